"""The supervisor: starts services, restarts those that die, stops them in reverse order.

On Linux all services die with the supervisor's process; elsewhere the next `up` ends those that
are left.
"""

import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from lockstep.local.disk import LEAST_TO_GO_ON, Free, check_disk, free_bytes
from lockstep.local.processes import (
    Child,
    LocalStackError,
    Service,
    check_alive,
    end_left_overs,
    identities,
    start,
    stop,
    wait_until_ready,
)
from lockstep.local.state_folder import read_json
from lockstep.machine.files import write_json
from lockstep.machine.processes import ProcessIdentity

CHILDREN = "children.json"

# A busy machine with two cores needs about twenty seconds for OpenSearch.
READY_SECONDS = 120.0
DEATHS = 5
DEATHS_WITHIN_SECONDS = 60.0
# Each further restart waits this much longer, so that a temporary problem does not stop the stack.
RESTART_SECONDS = 0.5
WATCH_SECONDS = 0.1


class Signals:
    """The stop signals that the user sent. While `raising`, the first raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.count = 0
        self.raising = True

    def received(self, _number: int, _frame: FrameType | None) -> None:
        """Count a signal."""
        self.count += 1
        if self.raising:
            self.raising = False
            raise KeyboardInterrupt

    def stop(self) -> bool:
        """Whether to stop."""
        return self.count > 0

    def hurry(self) -> bool:
        """Whether to kill what still runs."""
        return self.count > 1


@contextmanager
def signals_handled() -> Iterator[Signals]:
    """Handle SIGINT, SIGTERM and SIGHUP; restore the earlier handlers at the end."""
    signals = Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.received) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Supervisor:
    """Keeps the services of one state folder running."""

    def __init__(
        self, state: Path, console: Console, signals: Signals, free: Free = free_bytes
    ) -> None:
        self._free = free
        self._children: dict[str, Child] = {}
        self._state = state
        self._console = console
        self._signals = signals
        self._deaths: dict[str, deque[float]] = {}

    @property
    def services(self) -> dict[str, Service]:
        """The services that were started, by name."""
        return {name: child.service for name, child in self._children.items()}

    def end_left_overs(self) -> None:
        """End the services of an earlier supervisor that was killed."""
        end_left_overs(read_json(self._state / CHILDREN, list[ProcessIdentity]) or [])

    def start(self, services: Sequence[Service]) -> None:
        """Start services and wait until they are ready.

        Raises:
            LocalStackError: one did not start.
        """
        if services:
            self._print(f"starting {', '.join(service.name for service in services)}")
        for service in services:
            self._children[service.name] = start(service)
        self._record()
        wait_until_ready(self._children.values(), seconds=READY_SECONDS, check=self._check_disk)

    def run(self, work: Callable[[], None]) -> None:
        """Do some work that needs the services, and wait until it is done.

        It runs in another thread, because a request can wait long for an engine that has ended, or
        whose disk is full.

        Raises:
            LocalStackError: a service ended meanwhile, or the disk is full. The work may go on.
        """
        ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

        def body() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again in the main thread
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=body, name="preparing", daemon=True).start()
        while True:
            try:
                error = ended.get(timeout=WATCH_SECONDS)
            except queue.Empty:
                self._check()
                continue
            if error is not None:
                self._check()  # that is the cause then
                raise error
            return

    def _check(self) -> None:
        self._check_disk()
        check_alive(self._children.values())

    def _check_disk(self) -> None:
        check_disk(self._state, LEAST_TO_GO_ON, self._free)

    def watch(self) -> None:
        """Restart services that die, until a stop signal arrives.

        Raises:
            LocalStackError: a service died `DEATHS` times within `DEATHS_WITHIN_SECONDS`.
        """
        due: dict[str, float] = {}
        while not self._signals.stop():
            now = time.monotonic()
            for name, child in self._children.items():
                if name not in due and child.died is not None:
                    due[name] = now + self._restart_delay(child, now)
            for name in [name for name, moment in due.items() if moment <= now]:
                self._children[name] = start(self._children[name].service)
                self._record()
                del due[name]
            time.sleep(WATCH_SECONDS)

    def _restart_delay(self, child: Child, now: float) -> float:
        """Report that a child died; return the seconds until its restart."""
        name = child.service.name
        deaths = self._deaths.setdefault(name, deque(maxlen=DEATHS))
        deaths.append(now)
        if len(deaths) == DEATHS and now - deaths[0] <= DEATHS_WITHIN_SECONDS:
            raise LocalStackError(
                f"{name} died {DEATHS} times within a minute ({child.died}), so the stack was "
                f"stopped{child.last_words}"
            )
        self._print(f"{name} died ({child.died}), restarting it{child.last_words}")
        recent = sum(now - moment <= DEATHS_WITHIN_SECONDS for moment in deaths)
        return RESTART_SECONDS * (recent - 1)

    def kill(self) -> None:
        """Kill all services at once: nothing was acknowledged yet that is not on disk."""
        for child in self._children.values():
            child.process.kill()
        for child in self._children.values():
            child.process.wait()
        self._forget()

    def stop(self) -> None:
        """Stop all services, the last started first."""
        if self._children:
            self._print("stopping")
        stop(reversed(self._children.values()), hurry=self._signals.hurry)
        self._forget()

    def _forget(self) -> None:
        self._children.clear()
        (self._state / CHILDREN).unlink(missing_ok=True)

    def _record(self) -> None:
        pids = (child.process.pid for child in self._children.values())
        write_json(self._state / CHILDREN, identities(pids))

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)
