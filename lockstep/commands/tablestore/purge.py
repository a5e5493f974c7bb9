"""`lockstep tablestore purge`: delete the expired tombstones of a replica."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from functions.write_to_tablestore.keys import key_as_text
from functions.write_to_tablestore.purge import MalformedTombstone, PurgedTombstones
from lockstep.commands.chosen_stack import applies, changed_stack_options
from lockstep.commands.endings import NO
from lockstep.commands.options import (
    APPLY_HINT,
    apply_option,
    examples,
    json_option,
    rate_option,
    write_rate_option,
)
from lockstep.commands.refusals import Refusals
from lockstep.commands.tablestore.target import replica_of
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.stack.use_cases.replica_purge import replica_purge


class KeptRow(msgspec.Struct, frozen=True):
    """A row that stays. `key` is its key as JSON."""

    key: str
    detail: str
    reason: str = "malformed"


class PurgedRows(msgspec.Struct, frozen=True):
    """What a purge did, or would do.

    Attributes:
        expired: expired tombstones.
        purged: tombstones that were deleted.
        changed_meanwhile: tombstones that somebody else wrote or deleted meanwhile.
        failed: tombstones that were not deleted this time.
        malformed: rows that are no correct tombstone; they stay.
        finished: whether it came to the end of the table.
    """

    expired: int
    purged: int
    changed_meanwhile: int
    failed: int
    malformed: Sequence[KeptRow]
    finished: bool


@click.command(
    "purge",
    epilog=examples(
        "lockstep tablestore purge --stack orders",
        "lockstep tablestore purge --stack orders --rate 500 --write-rate 900 --apply",
    ),
)
@changed_stack_options(when=applies)
@json_option
@rate_option
@write_rate_option("Delete at most this many rows per second from Table Store.")
@apply_option
def purge_command(
    name: str | None,
    state: Path,
    *,
    rate: float | None,
    write_rate: float | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Delete the expired tombstones of the table in Table Store.

    NAME is the stack that was deployed from template-tablestore.yaml.

    A tombstone expires 121 days after the removal. A row that is written again meanwhile stays, and
    so does a row that is no correct tombstone. If the command is interrupted, run it again.

    Exit code 1: some tombstones could not be deleted now.
    """
    clients, replica = replica_of(name, state, connections=1)
    malformed = Refusals[KeptRow](lists=as_json, of="row")

    def on_malformed(one: MalformedTombstone) -> None:
        row = KeptRow(key_as_text(one.key), one.flaw)
        malformed.add(printable(row.key), row)

    with notes.status("reading tombstones") as line:
        done = replica_purge(
            replica,
            clients.clock,
            rate=rate,
            write_rate=write_rate,
            applies=applies,
            on_malformed=on_malformed,
            on_step=lambda so_far: line.update(f"expired tombstones: {so_far.expired:,}"),
        ).run()
    malformed.end()
    if as_json:
        print_json(
            PurgedRows(
                expired=done.expired,
                purged=done.purged,
                changed_meanwhile=done.changed,
                failed=done.failed,
                malformed=malformed.listed,
                finished=done.finished,
            ),
            applied=applies,
        )
    else:
        show_purge(done, applies=applies)
    sys.exit(NO if done.failed else 0)


def show_purge(done: PurgedTombstones, *, applies: bool) -> None:
    """Print a purge as text."""
    if done.malformed:
        answers.print(f"{counted(done.malformed, 'malformed tombstone')}: never deleted")
    answers.print(counted(done.expired, "expired tombstone"))
    if applies:
        answers.print(
            f"{done.purged:,} deleted, {done.changed:,} changed meanwhile, {done.failed:,} failed"
        )
    elif done.expired:
        answers.print(APPLY_HINT)
