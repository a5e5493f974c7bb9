"""`lockstep purge`: remove expired tombstones from the index."""

import sys
from pathlib import Path

import click

from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, apply_option, examples, json_option
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.repair.purge import Purged
from lockstep.stack.use_cases.audit import purge


@click.command("purge", epilog=examples("lockstep purge", "lockstep purge --apply"))
@changed_stack_options(when=applies)
@json_option
@apply_option
def purge_command(name: str | None, state: Path, *, applies: bool, as_json: bool) -> None:
    """Remove expired tombstones from the index.

    A tombstone that the table still needs stays. DynamoDB removes those in the table by TTL.

    Exit code 1: some tombstones could not be removed now.
    """
    clients = connected(name, state)
    with notes.status("reading tombstones") as line:
        found = purge(clients, lambda count: line.update(f"tombstones: {count:,}"), apply=applies)
    if as_json:
        print_json(found, applied=applies)
    else:
        show_purge(found, applies=applies)
    sys.exit(NO if found.failed else 0)


def show_purge(found: Purged, *, applies: bool) -> None:
    """Print a purge as text."""
    if found.kept:
        rows = [[_WORDS[why], f"{count:,}"] for why, count in found.kept.items()]
        print_table(["kept, because", " tombstones"], rows)
    for one in found.examples:
        answers.print(
            printable(f"for example {one.image_id}: {_WORDS.get(one.detail, 'can be removed')}")
        )
    answers.print(f"{found.expired:,} expired tombstones, {found.removable:,} can be removed")
    if applies:
        answers.print(
            f"{found.purged:,} removed, {found.changed_meanwhile:,} changed meanwhile, "
            f"{found.failed:,} failed"
        )
    elif found.removable:
        answers.print(APPLY_HINT)


_WORDS: dict[str, str] = {
    "purge": "can be removed",
    "not_over": "not expired yet",
    "removal_missing_in_table": "the table has no such deletion: run `lockstep audit`",
    "tombstone_in_table": "the tombstone in the table expires later",
    "newer_in_table": "the table has a newer version: run `lockstep audit --repair`",
    "malformed": "malformed: run `lockstep audit --values`",
}
