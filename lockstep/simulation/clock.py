"""Virtual time: it moves only when somebody waits, and what is due on the way happens then."""

import heapq
import itertools
from collections.abc import Callable

START = 1_795_248_000.0  # 2026-11-21T08:00:00Z


class VirtualTime:
    """`now` is in seconds since 1970, for everybody; who has a wrong clock adds to it."""

    def __init__(self) -> None:
        self.now = START
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = itertools.count()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do this once so much time has passed."""
        heapq.heappush(self._due, (self.now + seconds, next(self._ties), action))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = max(self.now, until)

    def settle(self) -> None:
        """Let time pass until nothing is due any more."""
        while self._due:
            self.advance(self._due[0][0] - self.now)
