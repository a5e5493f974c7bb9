"""`lockstep up` and `down`: start the whole system, watch over it, stop it in order.

A state folder has one supervisor at a time, by a file lock that ends with its process. Engines and
the stream come first, then what `prepare` makes in them, then the consumers; the stop goes the
other way. On Linux everything dies with the supervisor, however it dies; what is left over
elsewhere is ended by the next `up`.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console
from rich.table import Table

from lockstep.local.engines.download import Report, install
from lockstep.local.engines.dynamodb import dynamodb
from lockstep.local.engines.opensearch import opensearch
from lockstep.local.engines.pins import kits
from lockstep.local.engines.s3 import s3
from lockstep.local.processes import (
    Child,
    LocalStackError,
    Service,
    Trace,
    end_left_overs,
    free_ports,
    start,
    stop,
    trace,
    traces,
    wait_until_ready,
)
from lockstep.stack.stack import (
    CONSUMERS,
    FORWARDER,
    LOCAL_REGION,
    SEARCH,
    Endpoints,
    IndexFrom,
    Stack,
    read_local,
    typed,
    write_local,
)
from lockstep.web.addresses import HOST

MARKER = "lockstep-state"
MARKER_TEXT = "Lockstep keeps a local stack in this folder; `lockstep up --fresh` empties it.\n"
LOCK = "up.lock"
RUNNING = "up.json"
CHILDREN = "children.json"
PORTS = "ports.json"
DETACHED_LOG = "up.log"
STACK = "stack.json"
GATEWAY = f"gateway-{SEARCH}"

# A loaded machine of two cores needs about twenty seconds for OpenSearch.
READY_SECONDS = 120.0
DEATHS = 5
DEATHS_WITHIN_SECONDS = 60.0
# Each further death waits that much longer, so that a passing trouble is outlived.
RESTART_SECONDS = 0.5
WATCH_SECONDS = 0.1
DOWN_SECONDS = 60.0
CLAIM_SECONDS = 1.0

type Services = Callable[[Path], Sequence[Service]]


class AlreadyRunningError(LocalStackError):
    """Another `up` has this state folder."""


class Ended(StrEnum):
    """What `down` found and did."""

    STOPPED = "stopped"
    NOTHING_RAN = "nothing ran"


@dataclass(frozen=True, slots=True)
class Parts:
    """The names of what lies in the engines."""

    stream: str = "lockstep-images"
    table: str = "lockstep-images"
    index: str = "images"
    bucket: str = "lockstep-quarantine"
    changes_stream: str = "lockstep-table-changes"
    region: str = LOCAL_REGION
    index_from: IndexFrom = "Kinesis"


class Running(msgspec.Struct, frozen=True):
    """The supervisor of a state folder, as it describes itself there."""

    supervisor: Trace
    ready: bool


def local_servers(
    cache: Path, report: Report, host: str = HOST, *, limits: bool = False
) -> Services:
    """The engines, fetched if need be, and the Kinesis endpoint.

    They answer on `host`, on the ports of the last time. DynamoDB Local listens on every other
    address of this machine, too. With `limits` the stream throttles its shards as AWS does.
    """

    def services(state: Path) -> Sequence[Service]:
        homes = install(kits().values(), cache, report)
        hosts = dict.fromkeys(("opensearch", "dynamodb", "s3", "kinesis"), host)
        before = _read(state / PORTS, dict[str, int]) or {}
        ports = free_ports([*hosts, "opensearch-transport"], before, hosts)
        _write(state / PORTS, before | ports)
        transport = ports["opensearch-transport"]
        kinesis = [
            "lockstep.local.kinesis",
            *("--database", str(state / "kinesis.db")),
            *("--host", host, "--port", str(ports["kinesis"])),
            *(["--limits"] if limits else []),
        ]
        return [
            opensearch(homes["opensearch"], state, ports["opensearch"], transport, host=host),
            dynamodb(homes["dynamodb"], state, ports["dynamodb"], host=host),
            s3(homes["s3"], state, ports["s3"], host=host),
            python_service("kinesis", state, kinesis, port=ports["kinesis"], host=host),
        ]

    return services


def local_consumers(functions: Sequence[str] = CONSUMERS, *, forwards: bool = False) -> Services:
    """One event source mapping for each function, in a process of its own.

    With `forwards`, another one copies the table's changes into Kinesis.
    """

    def services(state: Path) -> Sequence[Service]:
        module = "lockstep.local.mapping"
        of_state = ["--state", str(state)]
        forwarder = python_service(FORWARDER, state, [f"{module}.forward", *of_state])
        mappings = [
            python_service(f"mapping-{name}", state, [module, *of_state, "--function", name])
            for name in functions
        ]
        return [forwarder, *mappings] if forwards else mappings

    return services


def local_search(host: str = HOST) -> Services:
    """The query side over HTTP, on `host`, on the port of the last time."""

    def services(state: Path) -> Sequence[Service]:
        before = _read(state / PORTS, dict[str, int]) or {}
        ports = free_ports([SEARCH], before, {SEARCH: host})
        _write(state / PORTS, before | ports)
        words = ["lockstep.local.gateway", "--state", str(state), "--function", SEARCH]
        words += ["--host", host, "--port", str(ports[SEARCH])]
        return [
            python_service(GATEWAY, state, words, port=ports[SEARCH], host=host, health="/health")
        ]

    return services


def python_service(
    name: str,
    state: Path,
    module: Sequence[str],
    *,
    port: int | None = None,
    host: str = HOST,
    health: str = "/",
) -> Service:
    """A module of Lockstep's as a service; its log is written line by line."""
    return Service(
        name=name,
        # -P: a folder called `shared` where the user stands must not hide ours.
        command=[sys.executable, "-P", "-u", "-m", *module],
        folder=Path.cwd(),
        log=state / "logs" / f"{name}.log",
        port=port,
        host=host,
        health=health,
    )


def up(
    state: Path,
    *,
    servers: Services,
    prepare: Callable[[Stack], None],
    consumers: Services,
    console: Console,
    fresh: bool = False,
    parts: Parts | None = None,
) -> None:
    """Run the local stack until SIGINT, SIGTERM or SIGHUP; then stop it in order and return.

    A second signal ends what is still running at once. Call from the main thread.

    Args:
        state: where everything lies; made if missing. Writes stack.json there once all answer.
        servers: services called kinesis, dynamodb, opensearch and s3.
        prepare: makes what is not there yet: stream, table, index and aliases, bucket.
        consumers: started when all that is ready; one called `GATEWAY` serves the search.
        console: for people.
        fresh: empty the folder first.
        parts: names, if not the usual ones.

    Raises:
        AlreadyRunningError: another `up` has that folder.
        LocalStackError: the folder is not ours, an engine cannot be had, a service does not
            start or dies again and again; everything is stopped then.
        KeyboardInterrupt: a signal came before all was ready; everything is stopped then, too.
    """
    state = state.resolve()
    with _claimed(state), _signals() as signals:
        supervisor = _Supervisor(state, console, signals)
        try:
            end_left_overs(_read(state / CHILDREN, list[Trace]) or [])
            if fresh:
                _empty(state)
            _announce(state, ready=False)
            (state / STACK).unlink(missing_ok=True)
            supervisor.start(servers(state))
            supervisor.wait_until_ready()
            stack = _stack(state, parts or Parts(), supervisor.children)
            prepare(stack)
            write_local(stack, state)
            supervisor.start(consumers(state))
            supervisor.wait_until_ready()
            # Where the search answers is known now; it had to know the others first.
            stack = _stack(state, parts or Parts(), supervisor.children)
            write_local(stack, state)
            signals.raising = False
            _announce(state, ready=True)
            console.print(endpoints(stack))
            console.print("Ctrl-C stops everything; what is stored stays.", style="dim")
            supervisor.watch()
        finally:
            signals.raising = False
            supervisor.stop()
            (state / STACK).unlink(missing_ok=True)
            (state / RUNNING).unlink(missing_ok=True)


def detach(state: Path, command: Sequence[str], *, console: Console) -> Stack:
    """Run `command`, which is to `up` this folder, in the background; return when it is ready.

    Raises:
        AlreadyRunningError: another `up` has that folder.
        LocalStackError: it ended before it was ready; the message is the last line it wrote.
    """
    state = state.resolve()
    _make_ours(state)
    if (other := running(state)) is not None:
        raise _already(state, other)
    written = state / DETACHED_LOG
    with written.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the caller's own command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while (found := running(state)) is None or not found.ready:
            if process.poll() is not None:
                lines = written.read_text("utf-8", "replace").strip().rsplit("\n", 1)
                raise LocalStackError(
                    lines[-1].removeprefix("Error: ") or "it ended without a word"
                )
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    # It outlives this process on purpose: no warning about a child that still runs.
    process.returncode = 0
    stack = read_local(state)
    console.print(endpoints(stack))
    console.print(
        f"in the background, pid {process.pid}; stop it with {typed('down', None, state)}",
        style="dim",
    )
    return stack


def down(state: Path) -> Ended:
    """Ask the `up` that runs on this folder to stop, and wait until it is gone.

    Raises:
        LocalStackError: it did not stop within a minute.
    """
    state = state.resolve()
    found = running(state)
    if found is None:
        return Ended.NOTHING_RAN
    pid = found.supervisor.pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while _is_claimed(state):
        if time.monotonic() > deadline:
            raise LocalStackError(f"the local stack (pid {pid}) is still stopping; `kill -9 {pid}`")
        time.sleep(WATCH_SECONDS)
    return Ended.STOPPED


def running(state: Path) -> Running | None:
    """The supervisor that has this folder now, if any."""
    while _is_claimed(state):
        found = _read(state / RUNNING, Running)
        # Between its claim and its first word, the file is missing or speaks of an earlier one.
        if found is not None and found.supervisor.process() is not None:
            return found
        time.sleep(WATCH_SECONDS)
    return None


def endpoints(stack: Stack) -> Table:
    """Where everything answers, for people."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    at = stack.endpoints
    table.add_row("kinesis", at.kinesis, "stream", stack.stream)
    table.add_row("dynamodb", at.dynamodb, "table", stack.table)
    table.add_row("opensearch", at.opensearch, "index", f"{stack.index}, {stack.live}")
    if stack.index_from != "Kinesis":
        table.add_row("", "", "fed from", stack.index_from)
    table.add_row("s3", at.s3, "bucket", stack.bucket)
    if at.search is not None:
        table.add_row("search", at.search, "try", "/?q=thames")
    return table


class _Signals:
    """What the user asked for while the stack starts (`raising`), runs or stops."""

    def __init__(self) -> None:
        self.count = 0
        self.raising = True

    def received(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.raising:
            self.raising = False
            raise KeyboardInterrupt

    def stop(self) -> bool:
        return self.count > 0

    def hurry(self) -> bool:
        return self.count > 1


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.received) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Supervisor:
    """Keeps services running."""

    def __init__(self, state: Path, console: Console, signals: _Signals) -> None:
        self.children: dict[str, Child] = {}
        self._state = state
        self._console = console
        self._signals = signals
        self._deaths: dict[str, deque[float]] = {}

    def start(self, services: Sequence[Service]) -> None:
        if services:
            self._say(f"starting {', '.join(service.name for service in services)}")
        for service in services:
            self.children[service.name] = start(service)
        self._record()

    def wait_until_ready(self) -> None:
        wait_until_ready(self.children.values(), seconds=READY_SECONDS)

    def watch(self) -> None:
        """Start again what dies, until a signal comes."""
        due: dict[str, float] = {}
        while not self._signals.stop():
            now = time.monotonic()
            for name, child in self.children.items():
                if name not in due and child.died is not None:
                    due[name] = now + self._mourn(child, now)
            for name in [name for name, moment in due.items() if moment <= now]:
                self.children[name] = start(self.children[name].service)
                self._record()
                del due[name]
            time.sleep(WATCH_SECONDS)

    def _mourn(self, child: Child, now: float) -> float:
        """Say that a child died, and after how many seconds to start it again."""
        name, log = child.service.name, child.service.log
        deaths = self._deaths.setdefault(name, deque(maxlen=DEATHS))
        deaths.append(now)
        if len(deaths) == DEATHS and now - deaths[0] <= DEATHS_WITHIN_SECONDS:
            raise LocalStackError(
                f"{name} died {DEATHS} times within a minute ({child.died}), so everything was "
                f"stopped; its log: {log}"
            )
        self._say(f"{name} died ({child.died}) and is started again; its log: {log}")
        recent = sum(now - moment <= DEATHS_WITHIN_SECONDS for moment in deaths)
        return RESTART_SECONDS * (recent - 1)

    def stop(self) -> None:
        if self.children:
            self._say("stopping")
        stop(reversed(self.children.values()), hurry=self._signals.hurry)
        self.children.clear()
        (self._state / CHILDREN).unlink(missing_ok=True)

    def _record(self) -> None:
        pids = (child.process.pid for child in self.children.values())
        _write(self._state / CHILDREN, traces(pids))

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def _stack(state: Path, parts: Parts, children: dict[str, Child]) -> Stack:
    services = {name: child.service for name, child in children.items()}
    at = {name: f"http://{one.host}:{one.port}" for name, one in services.items()}
    engines = (at["kinesis"], at["dynamodb"], at["opensearch"], at["s3"])
    return Stack(
        endpoints=Endpoints(*engines, search=at.get(GATEWAY)),
        stream=parts.stream,
        table=parts.table,
        index=parts.index,
        bucket=parts.bucket,
        region=parts.region,
        functions={name: name for name in CONSUMERS},
        state=str(state),
        index_from=parts.index_from,
        changes_stream=parts.changes_stream,
    )


def _make_ours(state: Path) -> None:
    """Make the folder, or see that it is one of Lockstep's: `fresh` empties only these."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        # The marker is the first that is written: looked for before the rest, another `up` that
        # begins just now could be taken for somebody else.
        if not any(state.iterdir()):
            (state / MARKER).write_text(MARKER_TEXT)
        elif not (state / MARKER).exists():
            raise LocalStackError(
                f"{state} is not empty and no state folder of Lockstep's: name another with --state"
            )
    except OSError as error:
        message = f"cannot keep state in {state}: {error.strerror}; name another with --state"
        raise LocalStackError(message) from None


@contextmanager
def _claimed(state: Path) -> Iterator[None]:
    """Have the folder alone."""
    _make_ours(state)
    with (state / LOCK).open("a") as lock:
        deadline = time.monotonic() + CLAIM_SECONDS
        while not _taken(lock.fileno()):
            # Whoever only asks whether a stack runs holds the lock for a moment, too.
            if time.monotonic() > deadline and (other := running(state)) is not None:
                raise _already(state, other)
            time.sleep(WATCH_SECONDS)
        yield


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_claimed(state: Path) -> bool:
    try:
        # Without making it: whoever only asks leaves nothing in a folder that `up` is making its.
        with (state / LOCK).open("rb") as lock:
            return not _taken(lock.fileno())
    except FileNotFoundError:
        return False


def _already(state: Path, other: Running) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"a local stack runs on {state} already (pid {other.supervisor.pid}); "
        f"stop it with {typed('down', None, state)}"
    )


def _announce(state: Path, *, ready: bool) -> None:
    _write(state / RUNNING, Running(trace(os.getpid()), ready))


def _empty(state: Path) -> None:
    """Remove all but what says whose folder this is and who has it."""
    for entry in state.iterdir():
        if entry.name in {MARKER, LOCK, DETACHED_LOG}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write(file: Path, content: object) -> None:
    """Write JSON in one step."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_bytes(msgspec.json.encode(content))
    unfinished.replace(file)


def _read[T](file: Path, kind: type[T]) -> T | None:
    """JSON that was written so, None if there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
