"""`lockstep trace`: show all that is known of one image."""

import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import examples, image_id_argument, json_option, since_option
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.stack.use_cases.trace import ImageTrace, StackTrace
from lockstep.stores import routing
from lockstep.trace.events import TraceEvent
from lockstep.trace.held import StoreHolds
from lockstep.trace.shards import ReadingCost
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

# At two reads of 1,000 records a second, this takes a minute.
AT_MOST = 100_000
# An event with a detail is one line if it fits a usual terminal.
_COLUMNS = 80
_BY = {TABLE_CONSUMER: "table", INDEX_CONSUMER: "index"}
_SMALL = 100_000


@click.command(
    "trace",
    epilog=examples(
        "lockstep trace T02680",
        "lockstep trace T02680 --since 12h --json",
        "lockstep trace T02680 --stack lockstep --at-most 1000000",
    ),
)
@image_id_argument
@stack_options
@json_option
@since_option("Leave out what happened before: 7d, 12h, 30m, or 2026-11-21T08:00.")
@click.option(
    "--at-most",
    type=click.IntRange(min=0),
    metavar="RECORDS",
    default=AT_MOST,
    show_default=True,
    help="Read at most so many records of the stream, of all images.",
)
def trace_command(
    image_id: str,
    name: str | None,
    state: Path,
    *,
    since: dt.datetime | None,
    at_most: int,
    as_json: bool,
) -> None:
    """Show all that is known of one image, in order of time.

    It reads the shards of the image, both stores, the quarantine and the logs, and writes nothing.
    First it says what reading the shards costs.

    Exit code 0: all was read; 1: a source could not be read, or only in part.
    """
    trace = StackTrace(connected(name, state), image_id, since)
    show_cost(trace.cost, trace.objects)
    found = trace.read(at_most)
    if as_json:
        print_json(traced(trace.cost, found))
    else:
        show_trace(found)
    sys.exit(1 if found.not_read else 0)


class Cost(msgspec.Struct, frozen=True):
    """What reading the shards of the image costs; `records` and `bytes` are null if unknown."""

    shards: int
    records: int | None
    bytes: int | None
    requests: int
    seconds: float


class Traced(ImageTrace, frozen=True, kw_only=True):
    """All that is known of an image, and what it costs to read the stream."""

    cost: Cost


def traced(cost: ReadingCost, found: ImageTrace) -> Traced:
    """A trace, for programs."""
    its_cost = Cost(cost.shards, cost.records, cost.bytes, cost.requests, cost.seconds)
    return Traced(**msgspec.structs.asdict(found), cost=its_cost)


def show_cost(cost: ReadingCost, objects: int) -> None:
    """Say what the reading costs, before it begins."""
    size = (
        "an unknown number of records"
        if cost.records is None or cost.bytes is None
        else f"about {counted(cost.records, 'record')} ({_size(cost.bytes)})"
    )
    least = "at least " if cost.records is None else ""
    notes.print(
        f"reading {counted(cost.shards, 'shard')}: {size}, {least}"
        f"{counted(cost.requests, 'request')}, {cost.seconds:,.1f} s"
    )
    notes.print(
        f"and {counted(objects, 'object')} of the bucket; the consumers share the limits of a shard"
    )


def _size(size: int) -> str:
    """In kB below 0.1 MB."""
    return f"{size / 1e3:,.1f} kB" if size < _SMALL else f"{size / 1e6:,.1f} MB"


def show_trace(found: ImageTrace) -> None:
    """Print a trace as text."""
    for event in found.events:
        for line in _lines(event):
            answers.print(line)
    if not found.events:
        answers.print("no event is known")
    print_table(["store", "now"], [["table", _held(found.table)], ["index", _held(found.index)]])
    for document in found.routed:
        answers.print(printable(routing.named(document)))
    if found.in_logs != found.image_id:
        answers.print(printable(f"in the logs: {found.in_logs}"))
    for limit in found.limits:
        answers.print(f"limit: {limit}")
    for one in found.not_read:
        answers.print(printable(f"NOT read: {one.source}: {one.why}"))


def _lines(event: TraceEvent) -> Iterator[str]:
    """An event as lines: what happened, and where its record or records are."""
    by = " and ".join(_BY.get(one, one) for one in event.consumers)
    what = f"{event.what.replace('_', ' ')}{by and f' ({by})'}"
    version = "" if event.version is None else f", version {event.version}"
    times = "" if event.until is None else f", {event.times:,} times until {event.until}"
    first, detail = f"{event.at}  {what}{version}{times}", printable(event.detail)
    if len(first) + len(detail) + 2 <= _COLUMNS:
        yield f"{first}: {detail}"
    else:
        yield first
        yield f"  {detail}"
    if event.sequence_number:
        yield f"  {event.shard_id} {event.sequence_number}"
    if event.last_sequence_number is not None:
        yield f"  to {event.last_sequence_number}, {event.records:,} records"


def _held(held: StoreHolds | None) -> str:
    if held is None:
        return "nothing"
    if held.malformed is not None:
        return printable(f"malformed: {held.malformed}")
    until = "" if held.expires_at is None else f"; its tombstone expires {held.expires_at[:10]}"
    what = f"deleted{until}" if held.deleted else "an image"
    return printable(f"version {held.version}, arrived {held.arrived_at}, {what}")
