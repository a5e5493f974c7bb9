"""The clock: time and random numbers, as arguments, so that tests can replace them."""

import math
from collections.abc import Callable

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """The functions for time and random numbers that code may use."""

    now: Callable[[], float]
    """Seconds since 1970."""
    elapsed: Callable[[], float]
    """Seconds that never go back, for durations."""
    sleep: Callable[[float], None]
    """Waits for this many seconds."""
    chance: Callable[[], float]
    """A random number from 0 to 1."""

    def steady(self) -> "Clock":
        """This clock, but its `now` never goes back.

        A use case has one such clock, and all its parts use it. The clock of a machine may be set
        back at any time: then a part of a use case would refuse what another one has accepted.
        """
        latest = -math.inf

        def now() -> float:
            nonlocal latest
            latest = max(latest, self.now())
            return latest

        return msgspec.structs.replace(self, now=now)
