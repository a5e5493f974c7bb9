"""`lockstep quarantine`: list and show quarantined records."""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import click

from lockstep.commands.cases import (
    SHOWN,
    STATES,
    for_programs,
    show_case,
    show_cases,
    show_rest,
    show_side_by_side,
)
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import examples, json_option
from lockstep.commands.quarantine_options import (
    find,
    no_empty_id,
    pointers_option,
    wanted_options,
)
from lockstep.console.terminal import answers, cut, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.quarantine.cases import Wanted, state_of
from lockstep.quarantine.readable import readable_fields, version_in
from lockstep.quarantine.records import event_in, payload
from lockstep.stack.use_cases.quarantine import StackQuarantine
from lockstep.stores.contents import Content, content_of
from shared.event import InvalidEventError


@click.group("quarantine")
def quarantine_group() -> None:
    """List and show quarantined records."""


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
    found = find(quarantine, Wanted(reason=reason, image=image, since=since), pointers)
    if as_json:
        print_json(for_programs(found))
        return
    show_cases(found.cases)
    show_rest(found)


@quarantine_group.command("stats", epilog=examples("lockstep quarantine stats --json"))
@stack_options
@json_option
def stats_command(name: str | None, state: Path, *, as_json: bool) -> None:
    """Count quarantined records by reason, consumer and action."""
    found = find(StackQuarantine(connected(name, state)), Wanted())
    counts = Counter(
        (reason, function, state_of(case.verdict))
        for case in found.cases
        for reason in case.reasons
        for function in case.functions
    )
    images = len({case.image for case in found.cases})
    if as_json:
        rows = [
            {"reason": reason, "function": function, "state": word, "records": count}
            for (reason, function, word), count in sorted(counts.items())
        ]
        print_json(
            {"records": len(found.cases), "images": images, "counts": rows}
            | {"unreadable": found.unreadable}
        )
        return
    if counts:
        print_table(
            ["reason", "consumer", "action", " records"],
            [
                [reason, printable(function), STATES[word], f"{count:,}"]
                for (reason, function, word), count in sorted(counts.items())
            ],
        )
    answers.print(
        f"in quarantine: {counted(len(found.cases), 'record')} of {counted(images, 'image')}"
    )
    show_rest(found)


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
        print_json({"case": case, "payload": data, "contents": contents})
        return
    show_case(case, version_in(readable_fields(data)))
    if this is None:
        answers.print(f"payload: {cut(data.decode(errors='backslashreplace'), SHOWN)}")
    else:
        show_side_by_side({name: one.fields() if one else {} for name, one in contents.items()})
