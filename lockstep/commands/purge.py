"""`lockstep purge`: tombstones past their time leave the index."""

import sys
from pathlib import Path

import click

from lockstep.commands.endings import NO
from lockstep.commands.options import connected, json_option, stack_options
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.repair.purge import Purged
from lockstep.stack.use_cases.audit import purge


@click.command("purge")
@stack_options
@json_option
@click.option("--apply", "applies", is_flag=True, help="Do it; else only say what would go.")
def purge_command(name: str | None, state: Path, *, applies: bool, as_json: bool) -> None:
    """Remove expired tombstones from the index.

    Those that the table still needs stay. The table forgets its own by itself. Exit code 1: some
    could not be taken out for now.
    """
    clients = connected(name, state)
    with notes.status("looking for tombstones") as line:
        found = purge(clients, lambda count: line.update(f"tombstones: {count:,}"), apply=applies)
    if as_json:
        print_json(found)
    else:
        show_purge(found, applies=applies)
    sys.exit(NO if found.failed else 0)


def show_purge(found: Purged, *, applies: bool) -> None:
    """A purge as a person reads it."""
    if found.kept:
        rows = [[_WORDS[why], f"{count:,}"] for why, count in found.kept.items()]
        print_table(["stays", " tombstones"], rows)
    for one in found.examples:
        answers.print(printable(f"for example {one.image_id}: {_WORDS.get(one.detail, 'may go')}"))
    answers.print(f"{found.over:,} tombstones past their time, {found.purge:,} may go")
    if applies:
        answers.print(
            f"{found.purged:,} purged, {found.moved_on:,} written meanwhile, "
            f"{found.failed:,} failed"
        )
    elif found.purge:
        answers.print("`--apply` does it")


_WORDS: dict[str, str] = {
    "purge": "may go",
    "not_over": "its time is not over",
    "removal_missing_in_table": "the table never got the removal: `lockstep audit --repair`",
    "tombstone_in_table": "the table's tombstone has a later end",
    "newer_in_table": "the index is behind: `lockstep audit --repair`",
    "malformed": "malformed: `lockstep audit --values`",
}
