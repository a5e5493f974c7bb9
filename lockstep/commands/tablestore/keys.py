"""Printing quarantined keys."""

from collections.abc import Sequence
from typing import Any

from lockstep.commands.cases import ROWS, age
from lockstep.console.terminal import answers, cut, notes, print_table
from lockstep.console.text import printable
from lockstep.tablestore.key_states import Would
from lockstep.tablestore.quarantined_keys import FoundKeys, QuarantinedKey
from shared.outcome import Duplicate, Failed, Refused

REASONS = ("malformed", "refused_by_store")
# A failure document without the records of its batch.
WITHOUT_RECORDS = (
    "`lockstep tablestore audit --values --repair --apply` repairs all keys, also those of what "
    "cannot be read; then move it away (docs/guides/tablestore.md)"
)


def for_programs(found: FoundKeys) -> dict[str, Any]:
    """The keys as a JSON object."""
    return {"keys": found.keys, "unreadable": found.unreadable}


def show_keys(keys: Sequence[QuarantinedKey], now: float) -> None:
    """Print one row for each key, within the terminal or, elsewhere, 80 columns.

    Args:
        keys: the keys.
        now: in seconds since 1970.
    """
    if not keys:
        return
    spare = max(0, answers.width - 80)
    print_table(
        ["id", " age", "key", " records", "reason"],
        [
            [
                one.id,
                age(now - one.arrived_at / 1000),
                cut(one.key, 24 + spare // 2),
                f"{one.records:,}",
                cut(", ".join(one.reasons), 20 + spare // 2),
            ]
            for one in keys[:ROWS]
        ],
    )
    if len(keys) > ROWS:
        answers.print(f"... and {len(keys) - ROWS:,} more (`--json` lists all)")


def show_unreadable(found: FoundKeys) -> None:
    """Print the objects that cannot be read, and what to do."""
    for one in found.unreadable:
        notes.print(printable(f"skipped: {one.where}: {one.why}"))
    if found.unreadable:
        notes.print(WITHOUT_RECORDS)


def word_of(would: Would) -> str:
    """What a redrive would do with a key, in one word for programs."""
    match would:
        case Duplicate():
            return "equal"
        case Refused():
            return "refused"
        case Failed():
            return "failed"
        case _:
            return "repair"


def words_of(would: Would) -> str:
    """What a redrive would do with a key, in words."""
    match would:
        case Duplicate():
            return "nothing: the row is as the source says"
        case Refused(detail):
            return f"nothing: {detail}"
        case Failed(detail):
            return f"unknown now: {detail}"
        case _:
            return "write the row as the source says"
