"""`lockstep get`: show what both stores hold of one image, side by side."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from lockstep.audit.compare import DifferenceKind
from lockstep.commands.cases import ListedCase, listed_case, show_cases
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.endings import NO, NOT_KNOWN
from lockstep.commands.options import examples, image_id_argument, json_option
from lockstep.commands.side_by_side import show_side_by_side
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.images.held import HeldImage, fields_of
from lockstep.stack.use_cases.get import FoundImage, GetResult, get
from lockstep.stack.use_cases.trace import NotRead
from lockstep.stores import routing
from shared.event import IMAGE_ID_PATTERN, MAX_IMAGE_ID

_WORDS: Mapping[GetResult, str] = {
    "equal": "equal: both stores have the same image",
    "different": "different",
    "deleted": "deleted: both stores have its tombstone",
    "absent": "absent: neither store has it",
    "unknown": "unknown: a store could not be read",
}


class ShownImage(msgspec.Struct, frozen=True):
    """What a stack holds of one image.

    Attributes:
        image_id: the image.
        result: `equal` if both stores have the same image, `deleted` if both have its tombstone,
            `absent` if neither has anything, `unknown` if a store could not be read.
        difference: the kind of difference that `audit --values` names; null if there is none.
        differs: the fields that differ.
        table: what the table holds; null if nothing.
        index: what the index holds; null if nothing.
        quarantine: the records of the image in quarantine.
        routed: the documents of this ID that somebody wrote with a custom routing, by the names
            that an audit gives them; searches find them, so `result` is `different`.
        not_read: what could not be read, and why.
    """

    image_id: str
    result: GetResult
    difference: DifferenceKind | None
    differs: Sequence[str]
    table: HeldImage | None
    index: HeldImage | None
    quarantine: Sequence[ListedCase]
    routed: Sequence[str]
    not_read: Sequence[NotRead]


def shown_image(found: FoundImage) -> ShownImage:
    """What was found, for programs."""
    return ShownImage(
        found.image_id,
        found.result,
        found.difference,
        found.differs,
        found.table,
        found.index,
        [listed_case(one) for one in found.quarantine],
        found.routed,
        found.not_read,
    )


@click.command(
    "get",
    epilog=examples("lockstep get T02680", "lockstep get T02680 --stack lockstep --json"),
)
@image_id_argument
@stack_options
@json_option
def get_command(image_id: str, name: str | None, state: Path, *, as_json: bool) -> None:
    """Show what both stores hold of one image, side by side.

    A star marks each field that differs. The records of the image that are in quarantine follow.

    Exit code 0: both stores have the same image; 1: they differ, or the image is deleted or absent;
    2: a store could not be read.
    """
    clients = connected(name, state)
    with notes.status("reading the stores and the quarantine"):
        found = get(clients, image_id)
    if as_json:
        print_json(shown_image(found))
    else:
        show_found(found)
    sys.exit({"equal": 0, "unknown": NOT_KNOWN}.get(found.result, NO))


def show_found(found: FoundImage) -> None:
    """Print what the stores and the quarantine have of an image."""
    kind = "" if found.difference is None else f": {found.difference}"
    if found.result == "absent" and not re.match(IMAGE_ID_PATTERN, found.image_id):
        kind = (
            f". No image can have this ID: it has at most {MAX_IMAGE_ID} Latin letters, digits and "
            ". _ : -, first a letter or a digit"
        )
    answers.print(printable(f"{found.image_id}: {_WORDS[found.result]}{kind}"))
    unread = {one.source for one in found.not_read}
    stores = {"table": found.table, "index": found.index}
    if any(stores.values()):
        show_side_by_side(
            {
                name: {"state": "NOT read" if name in unread else "absent"} | fields_of(held)
                for name, held in stores.items()
            },
            marked=found.differs,
        )
    for document in found.routed:
        answers.print(printable(routing.named(document)))
    for one in found.not_read:
        answers.print(printable(f"NOT read: {one.source}: {one.why}"))
    if found.quarantine:
        answers.print(f"in quarantine: {counted(len(found.quarantine), 'record')} of this image")
        show_cases(found.quarantine)
