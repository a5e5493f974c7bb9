"""`lockstep demo`: the whole promise once, in a scratch folder."""

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
from lockstep.commands.options import json_option
from lockstep.commands.search import show_search
from lockstep.commands.up import index_from_option, start_in_background
from lockstep.console.terminal import answers, notes, print_json
from lockstep.local.up import down
from lockstep.producing.converters import load_mapping
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import lines, read_events
from lockstep.stack import demo
from lockstep.stack.clients import Clients

DATA = Path(__file__).parents[2] / "data" / "tate-2000.ndjson"


@click.command("demo")
@json_option
@index_from_option
@click.option(
    "--data",
    type=click.File("rb"),
    default=str(DATA),
    help="Another file of the shape of data/tate-2000.ndjson.",
)
def demo_command(data: BinaryIO, index_from: str, *, as_json: bool) -> None:
    """Run the whole system once, with real data.

    Up, put, catch up, audit, search.
    """

    def tell(step: str, seconds: float, said: str) -> None:
        if not as_json:
            answers.print(f"{step.replace('_', ' '):<9} {seconds:6.2f} s  {said}")

    # However the demo ends, so does the stack that it started.
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
            said.append("OpenSearch, DynamoDB, S3, Kinesis and both functions, for real")
        events = read_events(lines(data), Stamp(), load_mapping("tate"))
        found = demo.run(Clients(stack), events, steps)
    if as_json:
        print_json(found)
    else:
        show_search(found.search)
        answers.print(f"audit: {found.audit}")
    # What is searched for is in our data, not in any.
    searched = bool(found.search.hits) or Path(data.name) != DATA
    sys.exit(0 if found.succeeded and searched else NO)


@contextmanager
def scratch(end: Callable[[Path], None]) -> Iterator[Path]:
    """A folder that is gone in the end; where something failed it is kept, and named.

    Args:
        end: what is at work in it, ended first.
    """
    state = Path(tempfile.mkdtemp(prefix="lockstep-demo-"))
    failed = False
    try:
        yield state
    except Exception:
        failed = True
        notes.print(f"what the stack said of it is kept in {state}")
        raise
    finally:  # also on Ctrl-C, which is no failure
        end(state)
        if not failed:
            shutil.rmtree(state)
