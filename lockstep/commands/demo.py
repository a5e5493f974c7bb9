"""`lockstep demo`: run the whole system once, in a temporary folder."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console

from lockstep.commands.endings import NO
from lockstep.commands.options import examples, json_option
from lockstep.commands.search import show_search
from lockstep.commands.up import index_from_option, start_in_background
from lockstep.console.terminal import answers, notes, print_json
from lockstep.local.up import down
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import read_checked
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.records import lines
from lockstep.stack import demo
from lockstep.stack.clients import Clients
from lockstep.stack.shipped import SAMPLE_DATA, shipped


@click.command("demo", epilog=examples("lockstep demo", "lockstep demo --json"))
@json_option
@index_from_option
@click.option(
    "--data",
    type=click.File("rb"),
    default=lambda: str(shipped(SAMPLE_DATA)),
    metavar="FILE",
    show_default="2,000 records of the Tate collection",
    help="Use this file, which has records like those in data/tate-2000.ndjson.",
)
def demo_command(data: BinaryIO, index_from: str, *, as_json: bool) -> None:
    """Run the whole system once, with real data.

    Start a local stack in a temporary folder, put 2,000 records of the Tate collection, wait until
    both consumers have caught up, audit, search, and stop the stack.

    Exit code 1: the stores differ, or the search finds nothing.
    """

    def tell(step: str, seconds: float, said: str) -> None:
        if not as_json:
            answers.print(f"{step.replace('_', ' '):<9} {seconds:6.2f} s  {said}")

    # The stack stops in whatever way the demo ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    steps = demo.Steps(tell)

    def end(state: Path) -> None:
        with steps.step("down"):
            down(state)

    with scratch(end) as state:
        with steps.step("up") as said:
            stack = start_in_background(
                state,
                ["--index-from", index_from],
                console=Console(quiet=True),
                dies_with_us=True,
            )
            said.append("real OpenSearch, DynamoDB Local, S3 and Kinesis endpoints, both functions")
        events = read_checked(lines(data), Stamp(), load_mapping("tate"))
        found = demo.run(Clients(stack), events, steps)
    if as_json:
        print_json(found)
    else:
        show_search(found.search)
        answers.print(f"audit: {found.audit}")
    # The search is for images of our data only.
    searched = bool(found.search.hits) or Path(data.name) != shipped(SAMPLE_DATA)
    sys.exit(0 if found.succeeded and searched else NO)


@contextmanager
def scratch(end: Callable[[Path], None]) -> Iterator[Path]:
    """A temporary folder: removed at the end or, after an error, kept and named.

    Args:
        end: stops what runs in the folder; called first.
    """
    state = Path(tempfile.mkdtemp(prefix="lockstep-demo-"))
    failed = False
    try:
        yield state
    except Exception:
        failed = True
        notes.print(f"the logs of the stack are kept in {state}")
        raise
    finally:  # also on Ctrl-C, which is not an error
        end(state)
        if not failed:
            shutil.rmtree(state)
