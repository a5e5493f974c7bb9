"""`lockstep tablestore quarantine`: list and show the quarantined keys."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from lockstep.commands.cases import SHOWN, tell_of_none
from lockstep.commands.chosen_stack import stack_options
from lockstep.commands.options import examples, json_option
from lockstep.commands.quarantine_options import (
    no_empty_id,
    reason_option,
    since_quarantined_option,
)
from lockstep.commands.side_by_side import show_side_by_side
from lockstep.commands.tablestore.keys import (
    REASONS,
    ListedKey,
    WouldWord,
    listed,
    listed_key,
    show_keys,
    show_unreadable,
    word_of,
)
from lockstep.commands.tablestore.target import replica_of
from lockstep.console.terminal import answers, cut, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.console.times import moment, printed
from lockstep.quarantine.records import parse_time, payload
from lockstep.stack.use_cases.replica_quarantine import ReplicaQuarantine, key_with_id
from lockstep.tablestore.key_states import in_words
from lockstep.tablestore.quarantined_keys import WantedKeys
from shared.quarantine import QuarantinedRecord, QuarantineReason


class ShownRecord(msgspec.Struct, frozen=True):
    """A quarantined record of a table's stream; its payload is in base64."""

    stream: str
    shard_id: str
    sequence_number: str
    arrived_at: dt.datetime
    reason: QuarantineReason
    detail: str
    quarantined_at: dt.datetime
    payload: bytes


class ShownKey(msgspec.Struct, frozen=True):
    """A quarantined key.

    Attributes:
        key: the key.
        records: its quarantined records, the oldest first.
        item: the item as it is now, in DynamoDB's typed form, binaries in base64; null if none.
        row: the row as it is now, by column, binaries in base64; null if none.
        would: what a redrive would do.
        why: the same in words.
    """

    key: ListedKey
    records: Sequence[ShownRecord]
    item: Mapping[str, Any] | None
    row: Mapping[str, Any] | None
    would: WouldWord
    why: str


def _shown_record(held: QuarantinedRecord) -> ShownRecord:
    return ShownRecord(
        stream=held.stream,
        shard_id=held.shard_id,
        sequence_number=held.sequence_number,
        arrived_at=moment(held.arrived_at),
        reason=held.reason,
        detail=held.detail,
        quarantined_at=parse_time(held.quarantined_at),
        payload=payload(held),
    )


@click.group("quarantine")
def quarantine_group() -> None:
    """List and show the keys that the consumer has quarantined."""


@quarantine_group.command(
    "list",
    epilog=examples(
        "lockstep tablestore quarantine list --stack orders",
        "lockstep tablestore quarantine list --stack orders --since 7d --json",
    ),
)
@stack_options
@json_option
@reason_option(REASONS)
@since_quarantined_option
def list_command(
    name: str | None,
    state: Path,
    *,
    reason: str | None,
    since: dt.datetime | None,
    as_json: bool,
) -> None:
    """List the quarantined keys, oldest first.

    NAME is the stack that was deployed from template-tablestore.yaml. A key is quarantined if one
    of its records is quarantined, or in a failure document.
    """
    clients, replica = replica_of(name, state, connections=1)
    wanted = WantedKeys(reason=reason, since=since)
    with notes.status("reading the quarantine"):
        found = ReplicaQuarantine(clients, replica).find(wanted)
    if as_json:
        print_json(listed(found))
        return
    show_keys(found.keys, clients.clock.now())
    if not found.keys:
        tell_of_none("key", is_filtered=wanted != WantedKeys())
    show_unreadable(found)


@quarantine_group.command(
    "show", epilog=examples("lockstep tablestore quarantine show 3f2a91 --stack orders")
)
@click.argument("key_id", metavar="ID", callback=no_empty_id)
@stack_options
@json_option
def show_command(key_id: str, name: str | None, state: Path, *, as_json: bool) -> None:
    """Show one key: its records, and its item and its row as they are now.

    ID is an ID that `lockstep tablestore quarantine list` prints, or its first characters.
    """
    clients, replica = replica_of(name, state, connections=1)
    quarantine = ReplicaQuarantine(clients, replica)
    with notes.status("reading the quarantine"):
        one = key_with_id(key_id, quarantine.find(WantedKeys()))
    records = quarantine.records(one)
    [now] = quarantine.states([one])
    if as_json:  # payloads and binaries in base64
        print_json(
            ShownKey(
                key=listed_key(one),
                records=[_shown_record(held) for held in records],
                item=now.item,
                row=now.row,
                would=word_of(now.would),
                why=in_words(now.would),
            )
        )
        return
    said = {
        "id": one.id,
        "key": one.key,
        "reason": ", ".join(one.reasons),
        "detail": one.detail,
        "first change": printed(moment(one.arrived_at)),
        "quarantined": printed(parse_time(one.quarantined_at)),
        "redrive": in_words(now.would),
    }
    print_table(["", ""], [[label, printable(value)] for label, value in said.items()])
    for held in records:
        text = payload(held).decode(errors="backslashreplace")
        answers.print(f"record {printable(held.sequence_number)}: {cut(text, SHOWN)}")
    # An item that cannot become a row is shown with its types.
    there = now.columns or now.item or {}
    stores: dict[str, Any] = {"DynamoDB": there, "Table Store": now.row or {}}
    show_side_by_side({store: msgspec.to_builtins(columns) for store, columns in stores.items()})
