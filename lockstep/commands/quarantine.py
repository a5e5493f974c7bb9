"""`lockstep quarantine`: list, show, export and discard quarantined records."""

import datetime as dt
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from lockstep.commands.cases import (
    SHOWN,
    ListedCase,
    listed,
    listed_case,
    show_case,
    show_cases,
    show_rest,
    tell_of_none,
)
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.discard import discard_command
from lockstep.commands.endings import NO
from lockstep.commands.files import WRITTEN, opened
from lockstep.commands.options import examples, json_option
from lockstep.commands.quarantine_options import (
    find,
    no_empty_id,
    pointers_option,
    wanted_options,
)
from lockstep.commands.side_by_side import show_side_by_side
from lockstep.console.terminal import answers, cut, notes, print_json, print_table, safe_json
from lockstep.console.text import counted, printable
from lockstep.console.times import moment
from lockstep.quarantine.cases import Action, Wanted, action_of
from lockstep.quarantine.export import exported_line
from lockstep.quarantine.readable import readable_fields, version_in
from lockstep.quarantine.reading import Unreadable
from lockstep.quarantine.records import event_in, payload
from lockstep.stack.use_cases.quarantine import CaseError, StackQuarantine
from lockstep.stores.contents import Content, content_of
from shared.event import Image, InvalidEventError
from shared.quarantine import QuarantineReason


class CaseCount(msgspec.Struct, frozen=True):
    """How many records have one reason, consumer and action."""

    reason: QuarantineReason
    consumer: str
    action: Action
    records: int


class CaseStats(msgspec.Struct, frozen=True):
    """What is in quarantine: records, of so many images. `unreadable`: what cannot be read.

    A record of both consumers is in a count of each.
    """

    records: int
    images: int
    counts: Sequence[CaseCount]
    unreadable: Sequence[Unreadable]


class ShownContent(msgspec.Struct, frozen=True):
    """An image at one version; `image` is null if it is deleted.

    `arrived_at` is the arrival of what a store holds.
    """

    version: int
    occurred_at: str
    image: Image | None
    arrived_at: dt.datetime | None


class ShownCase(msgspec.Struct, frozen=True):
    """A quarantined record, its payload in base64, and what is known of its image.

    `contents` has the content of this record (`this`), of the `table` and of the `index`; null if
    there is none.
    """

    case: ListedCase
    payload: bytes
    contents: Mapping[str, ShownContent | None]


@click.group("quarantine")
def quarantine_group() -> None:
    """List, show, export and discard quarantined records."""


quarantine_group.add_command(discard_command)


@quarantine_group.command(
    "list",
    epilog=examples(
        "lockstep quarantine list", "lockstep quarantine list --reason conflict --since 7d"
    ),
)
@stack_options
@json_option
@wanted_options
@pointers_option
def list_command(
    name: str | None,
    state: Path,
    *,
    reason: str | None,
    image: str | None,
    since: dt.datetime | None,
    pointers: BinaryIO | None,
    as_json: bool,
) -> None:
    """List quarantined records, oldest first, with the action for each."""
    quarantine = StackQuarantine(connected(name, state))
    wanted = Wanted(reason=reason, image=image, since=since)
    found = find(quarantine, wanted, pointers)
    if as_json:
        print_json(listed(found))
        return
    show_cases(found.cases)
    if not found.cases:
        tell_of_none("record", is_filtered=wanted != Wanted())
    show_rest(found)


@quarantine_group.command("stats", epilog=examples("lockstep quarantine stats --json"))
@stack_options
@json_option
def stats_command(name: str | None, state: Path, *, as_json: bool) -> None:
    """Count quarantined records by reason, consumer and action."""
    found = find(StackQuarantine(connected(name, state)), Wanted())
    counted_cases = Counter(
        (reason, consumer, action_of(case.verdict))
        for case in found.cases
        for reason in case.reasons
        for consumer in case.functions
    )
    counts = [CaseCount(*key, count) for key, count in sorted(counted_cases.items())]
    images = len({case.image for case in found.cases})
    if as_json:
        print_json(CaseStats(len(found.cases), images, counts, found.unreadable))
        return
    if counts:
        print_table(
            ["reason", "consumer", "action", " records"],
            [
                [
                    one.reason,
                    printable(one.consumer),
                    one.action.replace("_", " "),
                    f"{one.records:,}",
                ]
                for one in counts
            ],
        )
    answers.print(
        f"in quarantine: {counted(len(found.cases), 'record')} of {counted(images, 'image')}"
    )
    show_rest(found)


def shown_content(one: Content) -> ShownContent:
    """The content, for programs."""
    arrived_at = moment(one.arrived_at) if one.arrived_at else None
    return ShownContent(one.version, one.occurred_at, one.image, arrived_at)


@quarantine_group.command("show", epilog=examples("lockstep quarantine show 3f2a91"))
@click.argument("case_id", metavar="ID", callback=no_empty_id)
@stack_options
@json_option
@pointers_option
def show_command(
    case_id: str,
    name: str | None,
    state: Path,
    *,
    pointers: BinaryIO | None,
    as_json: bool,
) -> None:
    """Show one record, its reason, and the content in both stores.

    ID is an ID that `lockstep quarantine list` prints, or its first characters.
    """
    quarantine = StackQuarantine(connected(name, state))
    found = find(quarantine, Wanted(), pointers)
    case = quarantine.one(case_id, found)
    held = quarantine.record(case, found)
    data = payload(held)
    try:
        this: Content | None = content_of(event_in(held))
    except InvalidEventError:
        this = None
    there = {} if case.image_id is None else quarantine.stores.contents(case.image_id)
    contents = {"this": this, **there}
    if as_json:  # the payload in base64
        shown = {
            name: None if one is None else shown_content(one) for name, one in contents.items()
        }
        print_json(ShownCase(listed_case(case), data, shown))
        return
    show_case(case, version_in(readable_fields(data)))
    if this is None:
        answers.print(f"payload: {cut(data.decode(errors='backslashreplace'), SHOWN)}")
    else:
        show_side_by_side({name: one.fields() if one else {} for name, one in contents.items()})


@quarantine_group.command(
    "export",
    epilog=examples(
        "lockstep quarantine export 3f2a91",
        "lockstep quarantine export --all --reason schema -o records.ndjson",
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=no_empty_id)
@stack_options
@click.option("--all", "exports_all", is_flag=True, help="Export all records.")
@click.option(
    "-o",
    "--output",
    type=WRITTEN,
    metavar="FILE",
    default="-",
    help="Write to FILE. Default: standard output.",
)
@wanted_options
@pointers_option
def export_command(
    ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    exports_all: bool,
    output: Path,
    reason: str | None,
    image: str | None,
    since: dt.datetime | None,
    pointers: BinaryIO | None,
) -> None:
    """Write quarantined records as lines, to correct them.

    Each line has the ID of a record, what is wrong with it, and the event as far as it can be read
    (NDJSON). Correct `event` in each line, and remove the lines that you do not correct. Then
    `lockstep redrive --mend FILE` puts the corrected events.

    Exit code 1: a record could not be read; it is named.
    """
    if bool(ids) == exports_all:
        raise click.UsageError("give the IDs of records, or --all")
    quarantine = StackQuarantine(connected(name, state))
    found = find(quarantine, Wanted(reason=reason, image=image, since=since), pointers)
    cases = [quarantine.one(one, found) for one in ids] or found.cases
    file = opened(output)
    unread = 0
    for case, data in zip(cases, quarantine.payloads(cases, found), strict=True):
        if isinstance(data, CaseError):
            unread += 1
            notes.print(printable(str(data)))
        else:
            file.write(safe_json(exported_line(case, data)) + b"\n")
    show_rest(found)
    notes.print(f"{counted(len(cases) - unread, 'record')} exported")
    sys.exit(NO if unread else 0)
