"""Child processes that die with their parent: start them, wait until they are ready, stop them."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lockstep.console.errors import UserError
from lockstep.local.log_lines import telling_line
from lockstep.machine.processes import ProcessIdentity, identify
from lockstep.web.addresses import HOST

POLL_SECONDS = 0.05
# OpenSearch needs about two seconds to stop. A stuck engine must not make Ctrl-C look broken.
STOP_SECONDS = 15.0
# The statuses of a server that runs but is not ready, such as OpenSearch's health.
NOT_READY = frozenset({408, 429})
SERVER_ERROR = 500


class LocalStackError(UserError):
    """A request to the local stack failed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program of the local stack, and how to check that it is ready.

    Attributes:
        command: the program's absolute path and its arguments.
        folder: its working directory; created if missing.
        log: the file that its output is appended to.
        port: the port that it listens on, None for a program that is not a server.
        host: the address that it listens on.
        health: the path to check; any status but 408, 429 and 5xx means ready.
        environment: its whole environment; None means its parent's.
        empty: folders to empty before each start, because a killed program leaves files there.
    """

    name: str
    command: Sequence[str]
    folder: Path
    log: Path
    port: int | None = None
    host: str = HOST
    health: str = "/"
    environment: Mapping[str, str] | None = None
    empty: Sequence[Path] = field(default=())


@dataclass(frozen=True, slots=True)
class Child:
    """A service that was started. Its log had `logged` bytes then."""

    service: Service
    process: subprocess.Popen[bytes]
    logged: int = 0

    @property
    def died(self) -> str | None:
        """How it ended, as text for people; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    @property
    def last_words(self) -> str:
        """What its log says, and where that is, as the end of a sentence.

        Who is killed says nothing of it: then the last line of the log is not the cause.
        """
        killed = self.process.returncode == -signal.SIGKILL
        ended = self.process.returncode is not None
        said = None if killed else telling_line(self.service.log, self.logged, ended=ended)
        return f"{'' if said is None else f': {said}'}; see its log: {self.service.log}"

    @property
    def ready(self) -> bool:
        """Whether it is ready; a service without a port is ready as soon as it runs."""
        at = self.service
        return at.port is None or answers(at.host, at.port, at.health)

    def ask_to_stop(self) -> None:
        """Send SIGTERM if it still runs."""
        self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL if it still runs, and wait until it has ended."""
        self.process.kill()
        self.process.wait()


def start(service: Service) -> Child:
    """Start a service. On Linux it dies with the calling thread: call this from the main thread.

    It gets its own process group, so that Ctrl-C in a terminal reaches the parent only, which then
    stops its children in order.

    Raises:
        LocalStackError: its program is not there.
    """
    if shutil.which(service.command[0]) is None:
        raise LocalStackError(
            f"{service.name} cannot start: {service.command[0]} is not there, or is no program: "
            'run `pip install --force-reinstall "lockstep[local]"`'
        )
    service.folder.mkdir(parents=True, exist_ok=True)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    for folder in service.empty:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with service.log.open("ab") as log:
        logged = os.fstat(log.fileno()).st_size
        process = subprocess.Popen(  # noqa: S603  # commands are built by this package
            dying_with_parent(service.command),
            cwd=service.folder,
            env=service.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Child(service, process, logged)


def dying_with_parent(command: Sequence[str]) -> Sequence[str]:
    """A command that runs `command` and dies with this process.

    Only Linux supports this. On other systems it returns `command`, and the next `up` ends
    processes that are left.
    """
    if sys.platform != "linux":
        return command
    stub = Path(__file__).with_name("exec_with_parent.py")
    return [sys.executable, "-I", "-S", str(stub), str(os.getpid()), *command]


def answers(host: str, port: int, path: str) -> bool:
    """Whether a ready HTTP server answers on this address and port."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return status not in NOT_READY and status < SERVER_ERROR


def wait_until_ready(
    children: Iterable[Child], *, seconds: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until all children are ready.

    Args:
        children: they were just started.
        seconds: how long to wait.
        check: raises an error if waiting is of no use any more.

    Raises:
        LocalStackError: a child ended, or was not ready in time; names it and its log.
    """
    started = list(children)
    waiting = started.copy()
    deadline = time.monotonic() + seconds
    while waiting:
        for child in waiting.copy():
            # Each time, because a child that hangs answers after some seconds.
            check()
            check_alive(started)
            if child.ready:
                waiting.remove(child)
        # Also one that was ready: another program may answer on the port of one that ended.
        check_alive(started)
        if waiting and time.monotonic() > deadline:
            late = waiting[0]
            raise LocalStackError(
                f"{late.service.name} was not ready within {seconds:.0f} s{late.last_words}"
            )
        time.sleep(POLL_SECONDS if waiting else 0)


def check_alive(children: Iterable[Child]) -> None:
    """Check that all children run.

    Raises:
        LocalStackError: one has ended.
    """
    for child in children:
        if child.died is not None:
            raise LocalStackError(
                f"{child.service.name} did not start ({child.died}){child.last_words}"
            )


def stop(
    children: Iterable[Child],
    *,
    seconds: float = STOP_SECONDS,
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """Stop children one by one: SIGTERM, then SIGKILL after `seconds` or if `hurry` is true."""
    for child in children:
        child.ask_to_stop()
        deadline = time.monotonic() + seconds
        while child.died is None and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_SECONDS)
        child.kill()


def identities(pids: Iterable[int]) -> Sequence[ProcessIdentity]:
    """The identities of those processes that still run: one may end right after its start."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(identify(pid))
    return found


def end_left_overs(left: Iterable[ProcessIdentity]) -> None:
    """Kill those of the processes that still run, and wait until they have ended."""
    running = [process for one in left if (process := one.process()) is not None]
    for process in running:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(running, timeout=STOP_SECONDS)
