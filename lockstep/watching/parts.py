"""The parts that are read, each at its own interval and in the background.

A store that does not answer delays its own part only: an outage is when people look.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.console.failures import message_of

# Without an answer for so many seconds, the last value counts no more.
SILENT_SECONDS = 10.0

type Start = Callable[[Callable[[], None]], None]


def in_thread(work: Callable[[], None]) -> None:
    """Run it in a thread that does not keep the process alive."""
    threading.Thread(target=work, daemon=True).start()


class Part:
    """One part of what is seen, read again and again.

    Args:
        name: of the part, as `Seen` names it.
        read: reads it.
        every: in seconds, from the beginning of a reading to that of the next one.
        elapsed: seconds that never go back.
        start: starts a reading; a test may run it at once.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Any],
        *,
        every: float,
        elapsed: Callable[[], float],
        start: Start = in_thread,
    ) -> None:
        self.name = name
        self._read = read
        self.every = every
        self._elapsed = elapsed
        self._start = start
        self._begun: float | None = None
        self._running = False
        self._value: Any = None
        self._error: str | None = None
        self._bug: Exception | None = None
        self.readings = 0
        """The number of readings that have ended."""

    def look(self) -> None:
        """Begin a reading if it is time and none is under way.

        Raises:
            Exception: the last reading ended with an error that no user can cause.
        """
        if self._bug is not None:
            raise self._bug
        now = self._elapsed()
        if self._running or (self._begun is not None and now - self._begun < self.every):
            return
        self._begun, self._running = now, True
        self._start(self._work)

    @property
    def value(self) -> Any:
        """What was read last; None if there is nothing, or if it is too old."""
        return None if self.error else self._value

    @property
    def error(self) -> str | None:
        """Why there is no value, in one line; None if there is one, or not yet."""
        if self._running and self._begun is not None:
            seconds = self._elapsed() - self._begun
            if seconds > SILENT_SECONDS:
                return f"no answer for {seconds:,.0f} s"
        return self._error

    def _work(self) -> None:
        try:
            self._value, self._error = self._read(), None
        except Exception as error:  # noqa: BLE001 - told in `look` if it is a bug
            self._error = message_of(error)
            if self._error is None:
                self._bug = error
        self.readings += 1
        self._running = False


def errors_of(parts: Sequence[Part]) -> Mapping[str, str]:
    """The errors of parts, by name."""
    return {part.name: part.error for part in parts if part.error is not None}
