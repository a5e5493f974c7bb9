"""Counts differences by kind and by time of arrival, in bounded memory."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator

import msgspec

# So many bars fit on a phone. More would not tell more.
MOST_BARS = 60
# Seconds. Each width is a multiple of the one before, so that bars can be joined exactly.
WIDTHS = (60, 300, 900, 3600, 21_600, *(days * 86_400 for days in (1, 7, 28, 364, 3640)))


class Bar(msgspec.Struct, frozen=True):
    """The differences of each kind that arrived in the period that begins at `begins`."""

    begins: dt.datetime
    counts: dict[str, int]


class Timeline:
    """Differences by time of arrival. The bars become wider as the time between them grows."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()
        self._first, self._last = 0, -1
        self._width = 0
        self.unknown = 0

    @property
    def width(self) -> dt.timedelta:
        """The period of one bar."""
        return dt.timedelta(seconds=WIDTHS[self._width])

    def add(self, kind: str, arrived_at: int | None) -> None:
        """Count a difference.

        Args:
            kind: its kind.
            arrived_at: in milliseconds since 1970; None if it is unknown.
        """
        if arrived_at is None:
            self.unknown += 1
            return
        at = arrived_at // 1000 // WIDTHS[self._width]
        if self._last < self._first:
            self._first = self._last = at
        first, last = min(self._first, at), max(self._last, at)
        while last - first >= MOST_BARS and self._width + 1 < len(WIDTHS):
            factor = WIDTHS[self._width + 1] // WIDTHS[self._width]
            self._width += 1
            joined: Counter[tuple[int, str]] = Counter()
            for (bar, of), count in self._counts.items():
                joined[bar // factor, of] += count
            self._counts = joined
            first, last, at = first // factor, last // factor, at // factor
        self._first, self._last = first, last
        self._counts[at, kind] += 1

    def bars(self) -> Iterator[Bar]:
        """The bars from the first to the last arrival, also the empty ones between them."""
        kinds = sorted({kind for _, kind in self._counts})
        for at in range(self._first, self._last + 1):
            begins = dt.datetime.fromtimestamp(0, dt.UTC) + at * self.width
            yield Bar(
                begins, {kind: self._counts[at, kind] for kind in kinds if self._counts[at, kind]}
            )
