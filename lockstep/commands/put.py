"""`lockstep put`: events onto the stream, whatever file they stand in."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
from rich.progress import TimeElapsedColumn

from lockstep.commands.endings import INTERRUPTED, NO
from lockstep.commands.options import connected, json_option, stack_options
from lockstep.commands.progress import counting
from lockstep.converters import load_mapping
from lockstep.producer import Pause, Stamp
from lockstep.producer import Progress as Putting
from lockstep.sources import BadLine, lines, read_ahead, read_events
from lockstep.terminal import answers, notes, print_json, printable
from shared.event import Event


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


@click.command("put")
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
    converter = load_mapping(mapping) if mapping else None
    system = connected(name, state)
    refused = 0
    listed: list[BadLine] = []

    def events() -> Iterator[Event | Pause]:
        nonlocal refused
        for read in read_ahead(read_events(lines(file), Stamp(), converter)):
            if isinstance(read, BadLine):
                refused += 1
                notes.print(f"line {read.line}: {read.reason}: {printable(read.detail)}")
                if as_json:
                    listed.append(read)
            else:
                yield read

    put = 0

    def count(seen: Putting) -> None:
        nonlocal put
        put = seen.put
        show(seen)

    try:
        with putting_progress() as show:
            report = system.put(events(), on_progress=count)
    except KeyboardInterrupt:
        notes.print(
            f"interrupted: {put:,} put, perhaps also those of a last request: put all again from "
            "the start (what has a version is a duplicate then, what has none is written anew)"
        )
        sys.exit(INTERRUPTED)
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
    text = "putting {task.fields[trouble]}"
    with counting(text, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=None, trouble="")

        def on_progress(seen: Putting) -> None:
            nonlocal told
            trouble = printable(seen.trouble or "")
            progress.update(task, completed=seen.put, trouble=trouble)
            if trouble != told and trouble and not notes.is_terminal:
                notes.print(f"trying again: {trouble}")
            told = trouble

        yield on_progress
