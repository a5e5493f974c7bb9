"""`lockstep demo`: run the whole system once, in a temporary folder."""

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console

from lockstep.commands.endings import NO
from lockstep.commands.options import examples, json_option
from lockstep.commands.search import show_search
from lockstep.commands.up import index_from_option, start_in_background
from lockstep.console.terminal import answers, notes, print_json
from lockstep.local.services import has_pictures
from lockstep.local.up import down
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import read_checked
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.records import lines
from lockstep.stack import demo
from lockstep.stack.clients import Clients
from lockstep.stack.shipped import SAMPLE_DATA, SAMPLE_PICTURE, shipped


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
@click.option(
    "--stay",
    is_flag=True,
    help="Then keep the stack, and show the address of its search page, until Ctrl-C.",
)
def demo_command(data: BinaryIO, index_from: str, *, stay: bool, as_json: bool) -> None:
    """Run the whole system once, with real data.

    Start a local stack in a temporary folder, put 2,000 records of the Tate collection, upload 36
    pictures, wait until both consumers have caught up, audit, search, and stop the stack.

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
        clients = Clients(stack)
        found = demo.run(clients, events, steps, _pictures())
        if stay:
            demo.wait_for_thumbnails(clients, found.pictures, steps)
            _show(found, as_json=as_json)
            _stay(f"{stack.endpoints.search}/?tag={demo.PICTURE_TAG}")
    if not stay:
        _show(found, as_json=as_json)
    # The search is for images of our data only.
    searched = bool(found.search.hits) or Path(data.name) != shipped(SAMPLE_DATA)
    sys.exit(0 if found.succeeded and searched else NO)


def _show(found: demo.Demo, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    show_search(found.search)
    answers.print(f"audit: {found.audit}")


def _pictures() -> Path | None:
    """The folder of the pictures; None without the extra that reads them."""
    if has_pictures():
        return shipped(SAMPLE_PICTURE).parent
    notes.print('no pictures: `pip install "lockstep[pictures]"` installs what reads them')
    return None


def _stay(address: str) -> None:
    """Say where the search page is, and wait for Ctrl-C."""
    notes.print(f"the search page: {address}")
    notes.print("Press Ctrl-C to stop the stack and delete its data.", style="dim")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


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
