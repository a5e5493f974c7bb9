"""The pace: a limit on read capacity that is used, or on records that are replayed."""

from shared.clock import Clock

# The page size of a limited scan: a page uses only a small part of one second's units.
ITEMS_PER_PACED_PAGE = 100


class Pace:
    """Limits a rate, in units a second; one second's units may be used at once.

    `used` is the number of units so far.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self.used = 0.0
        self._rate = rate
        self._clock = clock
        self._free_from = 0.0

    def spend(self, units: float) -> None:
        """Wait until these units, which were used just now, are within the rate."""
        self.used += units
        now = self._clock.elapsed()
        self._free_from = max(self._free_from, now - 1) + units / self._rate
        if self._free_from > now:
            self._clock.sleep(self._free_from - now)
