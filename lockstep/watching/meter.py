"""Turns counts that only grow into rates, with a short history. Pure."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from lockstep.watching.seen import POINTS, History

# In seconds. Consumers settle a batch at a time, so the rate of one second says little.
RATE_SECONDS = 10.0
SHARE_SECONDS = 60.0


class _Reading(NamedTuple):
    at: float
    counts: Mapping[str, int]


class Meter:
    """Remembers the last readings of some counters."""

    def __init__(self) -> None:
        self._readings: deque[_Reading] = deque(maxlen=POINTS + 1)

    def add(self, at: float, counts: Mapping[str, int]) -> None:
        """Add a reading.

        A counter that went back is another one, for example after `lockstep up --fresh`: then
        everything begins again.

        Args:
            at: when it was read, in seconds that never go back.
            counts: the counters by name.
        """
        if self._readings:
            last = self._readings[-1].counts
            if any(counts.get(name, 0) < count for name, count in last.items()):
                self._readings.clear()
        self._readings.append(_Reading(at, counts))

    def rate(self, name: str) -> float | None:
        """The rate a second of late; None before the second reading."""
        return self._rate(name, self._since(RATE_SECONDS), self._readings[-1])

    def history(self, name: str) -> History:
        """The rate a second between each two readings."""
        readings = list(self._readings)
        return tuple(self._rate(name, before, after) for before, after in pairwise(readings))

    @property
    def period(self) -> float:
        """The mean time between two readings, in seconds; 0 before the second one."""
        first, last = self._readings[0], self._readings[-1]
        return (last.at - first.at) / max(1, len(self._readings) - 1)

    def grown(self) -> Mapping[str, int]:
        """By how much each counter of the last reading has grown of late."""
        before = self._since(SHARE_SECONDS).counts
        return {
            name: count - before.get(name, 0) for name, count in self._readings[-1].counts.items()
        }

    def _since(self, seconds: float) -> _Reading:
        """The first reading of the last so many seconds, but not the last one if there are two."""
        last = self._readings[-1]
        within = [one for one in self._readings if one.at >= last.at - seconds and one is not last]
        return within[0] if within else self._readings[max(-2, -len(self._readings))]

    @staticmethod
    def _rate(name: str, before: _Reading, after: _Reading) -> float | None:
        seconds = after.at - before.at
        if seconds <= 0 or name not in before.counts or name not in after.counts:
            return None
        return (after.counts[name] - before.counts[name]) / seconds
