"""`lockstep put`: put events from a file onto the stream."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import click
import msgspec
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from lockstep.commands.chosen_stack import connected, written_stack_options
from lockstep.commands.endings import INTERRUPTED, NO
from lockstep.commands.options import examples, json_option
from lockstep.commands.refusals import Refusals
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.producer import Pause, PutProgress, Stamp
from lockstep.producing.sources import BadLine, read_ahead, read_checked
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.records import records
from lockstep.source_files.text import not_opened
from lockstep.stack.use_cases.put import put as put_events
from shared.event import Event
from shared.horizon import QUARANTINE_AGE
from shared.stamps import is_late


class PutEvents(msgspec.Struct, frozen=True):
    """What was put.

    Attributes:
        put: events that the stream accepted.
        rejected: lines that are no valid event; `line` counts from 1.
        resent: how often a record was sent again.
        late: events that were over 90 days old.
        seconds: how long it took.
    """

    put: int
    rejected: Sequence[BadLine]
    resent: int
    late: int
    seconds: float


def open_source(context: click.Context, _: click.Parameter, name: str) -> BufferedReader:
    """Open the file; for `-` standard input, with a buffer of our own.

    The reading thread locks Python's own buffer while it waits, so it cannot be closed at exit.
    """
    if name == "-":
        return open(0, "rb", closefd=False)
    try:
        return context.with_resource(Path(name).open("rb"))
    except OSError as error:
        raise click.BadParameter(not_opened(name, error)) from None


@click.command(
    "put",
    epilog=examples(
        "lockstep put events.ndjson",
        "lockstep put --from tate data/tate-2000.ndjson",
        "lockstep put --from mapping.toml works.csv.gz",
    ),
)
@click.argument("file", callback=open_source)
@written_stack_options
@json_option
@click.option(
    "--from",
    "mapping",
    metavar="MAPPING",
    help="Convert each record with this mapping file (.toml or .json), or with `tate`.",
)
def put_command(
    file: BufferedReader, name: str | None, state: Path, mapping: str | None, *, as_json: bool
) -> None:
    """Put events from a file onto the stream.

    FILE has one JSON event per line, or is a JSON array, CSV or TSV; `-` is standard input. It may
    be compressed (gzip, zstd, bzip2, xz). The events of each image arrive in order. If `version` or
    `occurred_at` is missing, Lockstep adds it from the clock.

    Exit code 1: some events were rejected; all others are put.
    """
    converter = load_mapping(mapping) if mapping else None
    clients = connected(name, state)
    source = "standard input" if file.name == 0 else str(file.name)
    found = records(file, source, are_events=converter is None)
    refused = Refusals[BadLine](lists=as_json)
    late = _LateEvents(clients.clock.now)
    images = False

    def events() -> Iterator[CheckedEvent | Pause]:
        nonlocal images
        for read in read_ahead(read_checked(found.found, Stamp(clients.clock.now), converter)):
            if isinstance(read, BadLine):
                refused.add(f"{found.unit} {read.line}", read)
                images |= "required field `type`" in read.detail
                continue
            if isinstance(read, CheckedEvent):
                late.note(read.event)
            yield read

    put = 0

    def count(seen: PutProgress) -> None:
        nonlocal put
        put = seen.put
        show(seen)

    try:
        with putting_progress(file) as show:
            report = put_events(clients, events(), on_progress=count)
    except KeyboardInterrupt:
        notes.print(
            f"interrupted: {put:,} events are put; the last request may have put more. Put the "
            "whole file again: an event with a version is then a duplicate; an event without "
            "one gets a new version"
        )
        sys.exit(INTERRUPTED)
    refused.end()
    late.end()
    if images:
        notes.print("records without a `type` are not events: use `lockstep import` for them")
    if not report.put and not refused.count:
        notes.print(f"{printable(source)} has no records")
    seconds = round(report.seconds, 3)
    if as_json:
        print_json(PutEvents(report.put, refused.listed, report.resent, late.count, seconds))
    else:
        answers.print(
            f"{report.put:,} put, {refused.count:,} rejected, {report.resent:,} resent, "
            f"{seconds:.1f} s"
        )
    sys.exit(NO if refused.count else 0)


class _LateEvents:
    """Counts late events. They are put: an honest first event may be old."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.count = 0
        self._first = ""
        self._now = now

    def note(self, read: Event) -> None:
        """Count the event if it is late now."""
        now_ms = round(self._now() * 1000)
        if is_late(read.version, read.occurred_at, now_ms):
            self.count += 1
            self._first = self._first or read.image_id

    def end(self) -> None:
        """Say how many events were late."""
        if self.count:
            notes.print(
                f"late: {counted(self.count, 'event')} over {QUARANTINE_AGE.days} days old, the "
                f"first of image {self._first}"
            )
            notes.print("If an image was deleted meanwhile, check that it did not come back.")


def size_of(file: BufferedReader) -> int | None:
    """The bytes of a file, compressed or not; None if it is no file: a pipe has no size."""
    found = os.fstat(file.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_of(file: BufferedReader) -> int:
    """The bytes that are read of a file. Another thread may read it meanwhile."""
    return os.lseek(file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def putting_progress(file: BufferedReader) -> Iterator[Callable[[PutProgress], None]]:
    """Show on a terminal how many events are put, and how much of the file is read.

    Elsewhere, print one line for each new error of the stream.
    """
    told: str | None = None
    total = size_of(file)
    with Progress(
        TextColumn("putting: {task.fields[put]:,} events {task.fields[trouble]}", markup=False),
        BarColumn(),
        *([] if total is None else [DownloadColumn()]),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    ) as progress:
        task = progress.add_task("", total=total, put=0, trouble="")

        def on_progress(seen: PutProgress) -> None:
            nonlocal told
            trouble = printable(seen.trouble or "")
            read = 0 if total is None else read_of(file)
            progress.update(task, completed=read, put=seen.put, trouble=trouble)
            if trouble != told and trouble and not notes.is_terminal:
                notes.print(f"retrying: {trouble}")
            told = trouble

        yield on_progress
