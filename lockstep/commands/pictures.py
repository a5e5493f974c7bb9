"""`lockstep pictures`: the operator's work on the picture bucket."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.commands.chosen_stack import applies as with_apply
from lockstep.commands.chosen_stack import changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, apply_option, examples, json_option
from lockstep.console.extras import check_installed
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable

if TYPE_CHECKING:
    from lockstep.stack.use_cases.picture_audit import PicturesAudited

_WORDS = {
    "missing": "a picture without an event",
    "changed": "another picture than the last event tells of",
    "gone": "an image whose picture is gone",
    "unknown": "an image whose picture is gone, and no row knows of it",
    "not_put": "an event that is not on the stream",
    "other_event": "deleted or changed by an event that no picture made",
    "no_picture": "no picture",
    "recent": "changed a short time ago: its event may be on its way",
    "behind": "its event is on the stream, and not in the table yet",
    "equal": "equal",
}


@click.group("pictures")
def pictures_group() -> None:
    """Compare pictures with the table, and put what is missing."""


@pictures_group.command(
    "audit",
    epilog=examples(
        "lockstep pictures audit",
        "lockstep pictures audit --repair",
        "lockstep pictures audit --repair --apply",
        "lockstep pictures audit --read --grace 0",
    ),
)
@changed_stack_options(when=with_apply)
@json_option
@click.option("--repair", is_flag=True, help="Show what a repair would do; --apply does it.")
@click.option("--read", "reads", is_flag=True, help="Read each picture, and compare its checksum.")
@click.option(
    "--grace",
    type=click.IntRange(0, 24 * 60),
    metavar="MINUTES",
    default=10,
    show_default=True,
    help="Leave out what changed within so many minutes: its event may be on its way.",
)
@apply_option
def audit_command(
    name: str | None,
    state: Path,
    grace: int,
    *,
    repair: bool,
    reads: bool,
    applies: bool,
    as_json: bool,
) -> None:
    """Compare pictures with images in both directions.

    A repair puts the events of pictures that are new, replaced or gone. It never overrules an event
    that somebody else put.

    Exit code 1: bucket and table differ.
    """
    if applies and not repair:
        raise click.UsageError("--apply needs --repair")
    check_installed("PIL")
    from lockstep.stack.use_cases.picture_audit import (  # noqa: PLC0415 - not without the extra
        audit_pictures,
    )

    clients = connected(name, state)
    with notes.status("comparing pictures") as line:
        found = audit_pictures(
            clients,
            grace=grace * 60.0,
            repair=applies,
            read_all=reads,
            on_progress=lambda count: line.update(f"pictures: {count:,}"),
        )
    if as_json:
        print_json(found, applied=applies)
    else:
        _show(found, repair=repair, applies=applies)
    sys.exit(NO if found.is_left else 0)


def _show(found: "PicturesAudited", *, repair: bool, applies: bool) -> None:
    rows = [[_WORDS[state], f"{count:,}"] for state, count in sorted(found.states.items())]
    if rows:
        print_table(["what it is", " pictures"], rows)
    for one in found.examples:
        answers.print(printable(f"for example {one.key}: {_WORDS[one.problem]}"))
    for why in found.not_repaired:
        answers.print(printable(f"not repaired: {why}"))
    if found.repaired:
        done = ", ".join(f"{count:,} {outcome}" for outcome, count in found.repaired.items())
        answers.print(f"repaired: {done}")
    answers.print(
        f"objects in the bucket: {found.pictures:,}, images of them in the table: "
        f"{found.images:,}; {found.verdict}"
    )
    if found.repairable and not applies:
        hint = APPLY_HINT if repair else "`lockstep pictures audit --repair` puts what is missing"
        answers.print(hint)
