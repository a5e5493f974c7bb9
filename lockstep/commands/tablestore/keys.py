"""Printing quarantined keys."""

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import msgspec

from lockstep.commands.cases import ROWS, age
from lockstep.console.terminal import answers, cut, notes, print_table
from lockstep.console.text import printable
from lockstep.console.times import moment
from lockstep.quarantine.reading import Unreadable
from lockstep.quarantine.records import parse_time
from lockstep.tablestore.key_states import Would
from lockstep.tablestore.quarantined_keys import FoundKeys, QuarantinedKey
from shared.outcome import Duplicate, Failed, Refused

WouldWord = Literal["equal", "refused", "failed", "repair"]

REASONS = ("malformed", "refused_by_store")
# A failure document without the records of its batch.
WITHOUT_RECORDS = (
    "`lockstep tablestore audit --values --repair --apply` repairs all keys, also those of what "
    "cannot be read; then move it away (docs/guides/tablestore.md)"
)


class ListedKey(msgspec.Struct, frozen=True):
    """The key of an item that is quarantined.

    Attributes:
        id: short, always the same for one key.
        key: the key of the item as JSON, in DynamoDB's typed form.
        reasons: why, the first one first.
        detail: that of the first record.
        records: how many are quarantined.
        arrived_at: when the first change was.
        quarantined_at: when the first record was quarantined.
        objects: the quarantined records in the bucket.
        documents: the failure documents that have records of this key.
    """

    id: str
    key: str
    reasons: Sequence[str]
    detail: str
    records: int
    arrived_at: dt.datetime
    quarantined_at: dt.datetime
    objects: Sequence[str]
    documents: Sequence[str]


class ListedKeys(msgspec.Struct, frozen=True):
    """The quarantined keys, the oldest first. `unreadable`: objects that cannot be read."""

    keys: Sequence[ListedKey]
    unreadable: Sequence[Unreadable]


def listed(found: FoundKeys) -> ListedKeys:
    """The keys, for programs."""
    return ListedKeys([listed_key(one) for one in found.keys], found.unreadable)


def listed_key(one: QuarantinedKey) -> ListedKey:
    """A key, for programs."""
    return ListedKey(
        id=one.id,
        key=one.key,
        reasons=one.reasons,
        detail=one.detail,
        records=one.records,
        arrived_at=moment(one.arrived_at),
        quarantined_at=parse_time(one.quarantined_at),
        objects=one.objects,
        documents=one.documents,
    )


def show_keys(keys: Sequence[QuarantinedKey], now: float) -> None:
    """Print one row for each key, within the terminal. Keys are whole.

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
                printable(one.key),
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


def word_of(would: Would) -> WouldWord:
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
