"""Virtual time. It advances only when code waits, and then runs the actions that are due."""

import heapq
import itertools
from collections.abc import Callable

from lockstep.simulation.watchdog import EndlessHistoryError

START = 1_795_248_000.0  # 2026-11-21T08:00:00Z
# How often a history may wait. The most found in 3,000 histories is 240 times.
MOST_WAITS = 100_000


class VirtualTime:
    """The time of a history. `now` is in seconds since 1970; a wrong clock adds an offset."""

    def __init__(self) -> None:
        self.now = START
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = itertools.count()
        self._waits = 0

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run the action after this many seconds."""
        heapq.heappush(self._due, (self.now + seconds, next(self._ties), action))

    def advance(self, seconds: float) -> None:
        """Advance by this many seconds, and run the actions that become due.

        Raises:
            EndlessHistoryError: the history has waited more than `MOST_WAITS` times.
        """
        self._waits += 1
        if self._waits > MOST_WAITS:
            raise EndlessHistoryError(f"it waited more than {MOST_WAITS:,} times")
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = max(self.now, until)

    def settle(self) -> None:
        """Advance until no action is due."""
        while self._due:
            self.advance(self._due[0][0] - self.now)
