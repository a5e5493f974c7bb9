"""Children that die with their parent: start, ask whether they answer, stop, find left-overs."""

import http.client
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket

import msgspec
import psutil

from lockstep.console.errors import UserError
from lockstep.web.addresses import HOST

# Below those that outgoing connections get (from 32,768 on Linux, from 49,152 on macOS): one of
# them could sit on the port of a server that died, just when that is to be started again.
PORTS = range(20_000, 32_768)
POLL_SECONDS = 0.05
# A stuck engine must not make Ctrl-C look broken; OpenSearch needs about two seconds to close.
STOP_SECONDS = 15.0
# Answers by which a server says that it is there but not ready, OpenSearch's health among them.
NOT_READY = frozenset({408, 429})
SERVER_ERROR = 500


class LocalStackError(UserError):
    """The local stack cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """One program of the local stack, and how to tell that it is ready.

    Attributes:
        command: the program's absolute path and its arguments.
        folder: where it runs; made if missing.
        log: the file that its output is appended to.
        port: where it listens, None for a program that serves nobody.
        host: the address that it answers on.
        health: the path whose answer means ready; anything but 408, 429 and 5xx is an answer.
        environment: all it sees of the environment; None: what its parent sees.
        empty: folders of its own to empty before each start (what a killed program left behind).
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


class Trace(msgspec.Struct, frozen=True):
    """A process beyond doubt: numbers are given again, start times are not."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The process, or None when it is gone."""
        try:
            process = psutil.Process(self.pid)
            same = process.create_time() == self.started
            runs = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if runs else None


def trace(pid: int) -> Trace:
    """The trace of a running process."""
    return Trace(pid, psutil.Process(pid).create_time())


def traces(pids: Iterable[int]) -> Sequence[Trace]:
    """The traces of those processes that still run: one may end as soon as it was started."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(trace(pid))
    return found


@dataclass(frozen=True, slots=True)
class Child:
    """A service that was started."""

    service: Service
    process: subprocess.Popen[bytes]

    @property
    def died(self) -> str | None:
        """How it ended, for people; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    @property
    def ready(self) -> bool:
        """Whether it answers; a service without a port is ready as soon as it runs."""
        at = self.service
        return at.port is None or answers(at.host, at.port, at.health)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended, and wait until it is gone."""
        self.process.kill()
        self.process.wait()


def start(service: Service) -> Child:
    """Start a service. On Linux it dies with the calling thread: call from the main thread.

    It gets a process group of its own, so that Ctrl-C in a terminal reaches its parent only,
    which then stops its children in order.
    """
    service.folder.mkdir(parents=True, exist_ok=True)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    for folder in service.empty:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with service.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # commands are built by this package
            dying_with_parent(service.command),
            cwd=service.folder,
            env=service.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Child(service, process)


def dying_with_parent(command: Sequence[str]) -> Sequence[str]:
    """The command that runs `command` as long as this process lives.

    Elsewhere than on Linux nothing offers that: there the next start ends what was left.
    """
    if sys.platform != "linux":
        return command
    stub = Path(__file__).with_name("exec_with_parent.py")
    return [sys.executable, "-I", "-S", str(stub), str(os.getpid()), *command]


def answers(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server answers there, and not by saying that it is not ready."""
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
    children: Iterable[Child],
    *,
    seconds: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Return when every child answers, or at once when `interrupted` says so.

    Raises:
        LocalStackError: one ended, or did not answer in time; names it and its log.
    """
    waiting = list(children)
    deadline = time.monotonic() + seconds
    while waiting and not interrupted():
        for child in waiting:
            name, log = child.service.name, child.service.log
            if child.died is not None:
                raise LocalStackError(f"{name} did not start ({child.died}); its log: {log}")
            if time.monotonic() > deadline:
                raise LocalStackError(f"{name} did not answer in {seconds:.0f} s; its log: {log}")
        waiting = [child for child in waiting if not child.ready]
        time.sleep(POLL_SECONDS if waiting else 0)


def stop(
    children: Iterable[Child],
    *,
    seconds: float = STOP_SECONDS,
    hurry: Callable[[], bool] = lambda: False,
) -> None:
    """End children one after the other: SIGTERM, then SIGKILL after `seconds` or on `hurry`."""
    for child in children:
        child.ask_to_stop()
        deadline = time.monotonic() + seconds
        while child.died is None and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_SECONDS)
        child.kill()


def end_left_overs(traces: Iterable[Trace]) -> None:
    """Kill those of the processes that still run, and wait until they are gone."""
    running = [process for one in traces if (process := one.process()) is not None]
    for process in running:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(running, timeout=STOP_SECONDS)


def free_ports(
    names: Iterable[str], preferred: Mapping[str, int], hosts: Mapping[str, str] = {}
) -> dict[str, int]:
    """A port for each name that nobody has, of `PORTS`: or the preferred one if it is free.

    Args:
        names: of what is to listen.
        preferred: the ports of the last time, for example.
        hosts: the address of what is not to listen on 127.0.0.1.

    Raises:
        LocalStackError: all are taken.
    """
    with ExitStack() as probes:
        # All are held until all are found, so that no port is given twice.
        return {
            name: _hold(probes, hosts.get(name, HOST), preferred.get(name, 0)) for name in names
        }


def _hold(probes: ExitStack, host: str, preferred: int) -> int:
    if preferred and _bound(probes, host, preferred, SO_REUSEADDR):
        return preferred
    for port in random.sample(PORTS, len(PORTS)):  # what another stack had is seldom drawn
        if _bound(probes, host, port):
            return port
    raise LocalStackError(f"{host} has no free port from {PORTS[0]} to {PORTS[-1]}")


def _bound(probes: ExitStack, host: str, port: int, *options: int) -> bool:
    """Whether the port could be had; it is held then."""
    probe = socket()
    for option in options:
        probe.setsockopt(SOL_SOCKET, option, 1)
    try:
        probe.bind((host, port))
        probe.listen()  # else one that listens not yet could share it
    except OSError:
        probe.close()
        return False
    probes.enter_context(probe)
    return True
