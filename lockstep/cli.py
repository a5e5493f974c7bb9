"""The door of the operator's tool: one command, `lockstep`."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import click
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
)
from botocore.parsers import ResponseParserError
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import OpenSearchException
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lockstep import demo, sam
from lockstep.converters import MappingError, load_mapping
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import kits
from lockstep.local.kinesis.backlog import UnknownBacklogError
from lockstep.local.mapping.checkpoints import CheckpointsError
from lockstep.local.prepare import prepare
from lockstep.local.processes import HOST, LocalStackError, check_address, dying_with_parent
from lockstep.local.up import Ended, detach, down, local_consumers, local_servers, up
from lockstep.producer import Pause, PutError, Stamp
from lockstep.producer import Progress as Putting
from lockstep.search import SearchResult
from lockstep.simulation.command import simulate_command
from lockstep.sources import BadLine, lines, read_ahead, read_events
from lockstep.stack import Stack, StackNotFoundError, read_deployed, read_local
from lockstep.status import Status
from lockstep.system import System
from lockstep.terminal import answers, highlighted, notes, print_json, print_table, printable
from shared.event import Event
from shared.sink import SinkError

# 1 is a no: not caught up, different, lines refused. 2 is for not knowing, and for a wrong call.
NO, NOT_KNOWN = 1, 2
INTERRUPTED = 128 + signal.SIGINT

# Each shard of a stream may keep a worker process of each function busy.
SHARDS = 2
DATA = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"


class OneLine(click.Group):
    """Whatever a user can cause ends in one line that says what to do; a traceback is our fault."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (
            StackNotFoundError,
            LocalStackError,
            UnknownBacklogError,
            CheckpointsError,
            MappingError,
            PutError,
            SinkError,
            demo.DemoError,
        ) as error:
            raise _failure(str(error)) from error
        except (EndpointConnectionError, ConnectionClosedError, OpenSearchConnectionError) as error:
            message = f"{_first_line(error)}: does the stack run? `lockstep up` starts a local one"
            raise _failure(message) from error
        except (ClientError, BotoCoreError, ResponseParserError, OpenSearchException) as error:
            raise _failure(_first_line(error)) from error
        except OSError as error:
            raise _failure(f"{error.filename or 'input'}: {error.strerror}") from error
        except KeyboardInterrupt:
            notes.print("interrupted")
            sys.exit(INTERRUPTED)


def _first_line(error: Exception) -> str:
    """What a client's exception says, without the history behind it."""
    return str(error).partition(" caused by: ")[0].partition("\n")[0]


class _Failure(click.ClickException):
    """One line on standard error."""

    exit_code = NOT_KNOWN


def _failure(message: str) -> _Failure:
    return _Failure(printable(message))


def json_option[F: Callable[..., Any]](command: F) -> F:
    """Every command answers programs as well as people."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")(
        command
    )


def state_option[F: Callable[..., Any]](command: F) -> F:
    """Where a local stack lives."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".lockstep"),
        show_default=True,
        help="The local stack's folder.",
    )(command)


def stack_options[F: Callable[..., Any]](command: F) -> F:
    """Which stack a command is about."""
    named = click.option("--stack", "name", help="A deployed stack; else the local one.")
    return state_option(named(command))


def connected(name: str | None, state: Path) -> System:
    """The stack a command is about: the deployed one of that name, or the local one."""
    if name is None:
        return System(read_local(state))
    # boto3 knows only the older name of this variable.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if not session.region_name:
        message = "no region: set AWS_REGION, or a region in your AWS profile"
        raise StackNotFoundError(message)
    return System(read_deployed(session.client("cloudformation"), name, session.region_name))


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lockstep")
def main() -> None:
    """One stream of image events, two stores, never out of step."""


main.add_command(simulate_command)


@main.command("up")
@state_option
@click.option("--fresh", is_flag=True, help="Empty the folder first: everything stored is lost.")
@click.option("--detach", is_flag=True, help="Return when it is ready; `lockstep down` ends it.")
@click.option(
    "--shards",
    type=click.IntRange(1, 100),
    default=SHARDS,
    show_default=True,
    help="Of a new stream.",
)
@click.option(
    "--listen",
    "host",
    metavar="ADDRESS",
    default=HOST,
    show_default=True,
    help="Of this machine. Whoever reaches it can read and write everything.",
)
@click.option(
    "--limits", is_flag=True, help="Throttle each shard as AWS does: 1,000 records, 1 MiB a second."
)
def up_command(
    state: Path, shards: int, host: str, *, fresh: bool, detach: bool, limits: bool
) -> None:
    """The whole system on this machine, until Ctrl-C."""
    check_address(host)
    if detach:
        words = ["--listen", host, "--shards", str(shards)]
        words += [*(["--fresh"] if fresh else []), *(["--limits"] if limits else [])]
        start_in_background(state, words, console=answers)
        return
    up(
        state,
        servers=local_servers(
            user_cache_path("lockstep"), progress_on(answers), host, limits=limits
        ),
        prepare=lambda stack: prepare(stack, System(stack).clients, shards=shards),
        consumers=local_consumers(),
        console=answers,
        fresh=fresh,
    )


def start_in_background(
    state: Path, words: Sequence[str] = (), *, console: Console, dies_with_us: bool = False
) -> Stack:
    """A local stack in a process of its own, `up` with these words; returns when it is ready."""
    # Downloads here, where their progress can be seen.
    install(kits().values(), user_cache_path("lockstep"), progress_on(notes))
    command = [sys.executable, "-P", "-m", "lockstep", "up", "--state", str(state), *words]
    return detach(state, dying_with_parent(command) if dies_with_us else command, console=console)


@main.command("down")
@state_option
def down_command(state: Path) -> None:
    """Stop the local stack; what is stored stays."""
    ended = down(state)
    answers.print("stopped" if ended is Ended.STOPPED else f"nothing runs in {state}")


def open_source(context: click.Context, _: click.Parameter, name: str) -> BinaryIO:
    """The file of that name; for `-` standard input, under a buffer of our own.

    Python's own is locked while the reading thread waits in it, and cannot be closed at an exit.
    """
    if name == "-":
        return open(0, "rb", closefd=False)
    try:
        return context.with_resource(Path(name).open("rb"))
    except OSError as error:
        message = f"{name}: {error.strerror}"
        raise click.BadParameter(message) from None


@main.command("put")
@click.argument("file", callback=open_source)
@stack_options
@json_option
@click.option("--from", "mapping", metavar="MAPPING", help="`tate`, or a .toml or .json file.")
def put_command(
    file: BinaryIO, name: str | None, state: Path, mapping: str | None, *, as_json: bool
) -> None:
    """Put events (NDJSON, one a line; - reads standard input) onto the stream.

    Each image's events arrive in order. A missing version or time is stamped. Exit code 1: some
    lines were no events; all others are put.
    """
    convert = load_mapping(mapping).convert if mapping else None
    system = connected(name, state)
    refused = 0
    listed: list[dict[str, int | str]] = []

    def events() -> Iterator[Event | Pause]:
        nonlocal refused
        for read in read_ahead(read_events(lines(file), Stamp(), convert)):
            if isinstance(read, BadLine):
                refused += 1
                notes.print(f"line {read.line}: {read.reason}: {printable(read.detail)}")
                if as_json:
                    listed.append({"line": read.line, "reason": read.reason})
            else:
                yield read

    with putting_progress() as on_progress:
        report = system.put(events(), on_progress=on_progress)
    seconds = round(report.seconds, 3)
    if as_json:
        counts = {"put": report.put, "refused": listed, "resent": report.resent}
        print_json(counts | {"seconds": seconds})
    else:
        answers.print(
            f"{report.put:,} put, {refused:,} refused, {report.resent:,} resent, {seconds:.1f} s"
        )
    sys.exit(NO if refused else 0)


@contextmanager
def putting_progress() -> Iterator[Callable[[Putting], None]]:
    """A counter on a terminal; elsewhere a line whenever the stream has a new trouble."""
    told: str | None = None
    with Progress(
        TextColumn("putting {task.fields[trouble]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None, trouble="")

        def on_progress(seen: Putting) -> None:
            nonlocal told
            trouble = printable(seen.trouble or "")
            progress.update(task, completed=seen.put, trouble=trouble)
            if trouble != told and trouble and not notes.is_terminal:
                notes.print(f"trying again: {trouble}")
            told = trouble

        yield on_progress


@main.command("status")
@stack_options
@json_option
@click.option(
    "--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait until caught up."
)
@click.option("--env-vars", is_flag=True, help="Print the file for `sam local invoke --env-vars`.")
def status_command(
    name: str | None, state: Path, wait: float | None, *, env_vars: bool, as_json: bool
) -> None:
    """How far each consumer is behind. Exit code 0: caught up, 1: not yet."""
    system = connected(name, state)
    if env_vars:
        print_json(sam.env_vars(system.stack))
        return
    found = system.status() if wait is None else system.wait(wait)
    if as_json:
        print_json(found)
    else:
        show_status(found)
    sys.exit(0 if found.caught_up else NO)


def show_status(found: Status) -> None:
    """A status as a person reads it."""
    print_table(
        ["consumer", " records behind", " oldest", "caught up"],
        [
            [
                consumer,
                "unknown" if behind.behind_records is None else f"{behind.behind_records:,}",
                "unknown" if behind.behind_ms is None else f"{behind.behind_ms / 1000:,.1f} s",
                "yes" if behind.caught_up else "no",
            ]
            for consumer, behind in found.consumers.items()
        ],
    )
    more = " (`lockstep quarantine list` shows them)" if found.quarantined else ""
    answers.print(f"in quarantine: {found.quarantined:,}{more}")


@main.command("audit")
@stack_options
@json_option
def audit_command(name: str | None, state: Path, *, as_json: bool) -> None:
    """Do both stores say the same? Exit code 0: equal, 1: different, 2: could not tell."""
    system = connected(name, state)
    with notes.status("reading both stores") as line:
        found = system.audit(lambda store, count: line.update(f"reading the {store}: {count:,}"))
    if as_json:
        print_json(found)
    else:
        print_table(
            ["store", " entries"], [["table", f"{found.table:,}"], ["index", f"{found.index:,}"]]
        )
        if found.differences:
            counts = [[kind, f"{count:,}"] for kind, count in found.differences.items()]
            print_table(["difference", " images"], counts)
        if found.reason:
            answers.print(printable(found.reason))
        answers.print(f"audit: {found.result} ({found.seconds:.1f} s)")
    if found.result == "different" and not system.status().caught_up:
        notes.print("a consumer is behind: `lockstep status --wait 60`, then audit again")
    sys.exit(found.exit_code)


@main.command("search")
@click.argument("text")
@stack_options
@json_option
@click.option("--size", type=click.IntRange(1, 100), default=10, show_default=True)
def search_command(text: str, name: str | None, state: Path, size: int, *, as_json: bool) -> None:
    """Find images: by name, by any field, with typos; best first."""
    found = connected(name, state).search(text, size=size)
    if as_json:
        print_json(found)
    else:
        show_search(found)


def show_search(found: SearchResult) -> None:
    """Search results as a person reads them: the name, and where else the words were found."""
    for hit in found.hits:
        name = hit.highlights.get("name", [hit.name])[0]
        answers.print(highlighted(name), f" {hit.image_id}", sep="")
        for field, fragments in hit.highlights.items():
            if field != "name":
                answers.print(f"  {printable(field)}: ", highlighted(" … ".join(fragments)), sep="")
    answers.print(f"{found.total:,} found" if found.total else "nothing found")


@main.command("demo")
@json_option
@click.option(
    "--data",
    type=click.File("rb"),
    default=str(DATA),
    help="Another file of the shape of data/tate-2000.ndjson.",
)
def demo_command(data: BinaryIO, *, as_json: bool) -> None:
    """Everything once, on real data, in a scratch folder: up, put, catch up, audit, search."""

    def tell(step: str, seconds: float, said: str) -> None:
        if not as_json:
            answers.print(f"{step.replace('_', ' '):<9} {seconds:6.2f} s  {said}")

    # However the demo ends, so does the stack that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    steps = demo.Steps(tell)
    state = Path(tempfile.mkdtemp(prefix="lockstep-demo-"))
    try:
        with steps.step("up") as said:
            stack = start_in_background(state, console=Console(quiet=True), dies_with_us=True)
            said.append("OpenSearch, DynamoDB, S3, Kinesis and both functions, for real")
        convert = load_mapping("tate").convert
        found = demo.run(System(stack), read_events(lines(data), Stamp(), convert), steps)
    except Exception:
        notes.print(f"what the stack said of it is kept in {state}")
        raise
    finally:
        with steps.step("down"):
            down(state)
    shutil.rmtree(state)
    if as_json:
        print_json(found)
    else:
        show_search(found.search)
        answers.print(f"audit: {found.audit}")
    # What is searched for is in our data, not in any.
    searched = bool(found.search.hits) or Path(data.name) != DATA
    sys.exit(0 if found.succeeded and searched else NO)


# Last, since its commands hang on what stands above.
from lockstep import cli_quarantine  # noqa: E402, F401 - imported for its commands
