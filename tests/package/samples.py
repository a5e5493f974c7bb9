"""What must be stored, and what quarantined, once both functions have had every sample."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from functions.write_to_es.table_changes import envelope_of
from lockstep.quarantine import keys
from lockstep.stack.clients import Clients
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import Stack
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.event import InvalidEventError, digest
from shared.quarantine import CONSUMERS, QuarantinedRecord
from shared.record import event_in, from_lambda
from tests.builders import CHANGES_STREAM
from tools.sample_events import FOLDER, invocations, table_invocations

type Contents = Mapping[str, tuple[int, str | None]]
"""By image id: version and digest; a tombstone has none."""

type SetAside = set[tuple[str, str, str, bytes]]
"""Function, sequence number, reason and payload of what lies in quarantine."""


def names(function: str) -> list[str]:
    """A function's sample invocations, in an order in which they make sense one after the other."""
    return [*invocations(), *(table_invocations() if function == "WriteToEs" else ())]


def invocation(name: str) -> bytes:
    """A sample as it lies in `events/`."""
    return (FOLDER / name).read_bytes()


def environments(stack: Stack) -> Mapping[str, Mapping[str, str]]:
    """What `lockstep status --env-vars` says."""
    return env_vars(stack)


def expected() -> tuple[Contents, SetAside]:
    """By the rules, from the records alone: the highest version wins, the first among equals."""
    contents: dict[str, tuple[int, str | None]] = {}
    set_aside: SetAside = set()
    for record in (from_lambda(one) for batch in invocations().values() for one in batch):
        reason: str | None = None
        try:
            event = event_in(record)
        except InvalidEventError as invalid:
            reason = invalid.reason
        else:
            its_digest = digest(event.image) if event.image else None
            stored, its_content = contents.get(event.image_id, (0, None))
            if event.version > stored:
                contents[event.image_id] = (event.version, its_digest)
            elif event.version == stored and its_digest != its_content:
                reason = "conflict"
        if reason is not None:
            for function in CONSUMERS:
                set_aside.add((function, record.sequence_number, reason, record.data))
    return contents, set_aside


def expected_in_index() -> Contents:
    """What the samples of the table's changes leave beside that."""
    contents, _ = expected()
    found = dict(contents)
    for said in _said_of_the_table():
        images = said["dynamodb"]
        image_id = images["Keys"]["image_id"]["S"]
        if said["eventName"] != "REMOVE":
            new = images["NewImage"]
            if "N" not in new["version"]:
                continue
            version, its_digest = int(new["version"]["N"]), new.get("digest", {}).get("S")
        elif said.get("userIdentity"):
            continue  # nothing was in the index, and nothing is left
        else:
            version, its_digest = int(images["OldImage"]["version"]["N"]) + 1, None
        if version > found.get(image_id, (0, None))[0]:
            found[image_id] = (version, its_digest)
    return found


def expected_of_the_table() -> SetAside:
    """What of the table's changes is set aside: by the index's consumer alone."""
    found: SetAside = set()
    for records in table_invocations().values():
        envelope = envelope_of(records, CHANGES_STREAM)
        for record in map(envelope.record, records):
            said = msgspec.json.decode(record.data)
            version = said["dynamodb"].get("NewImage", {}).get("version", {})
            if "NS" in version:
                found.add(("write_to_es", record.sequence_number, "malformed", record.data))
    return found


def _said_of_the_table() -> Iterator[Mapping[str, Any]]:
    for one in (one for batch in table_invocations().values() for one in batch):
        yield (
            msgspec.json.decode(base64.b64decode(one["kinesis"]["data"]))
            if ("kinesis" in one)
            else one
        )


def in_table(stack: Stack) -> Contents:
    return _contents(TableReader(Clients(stack).dynamodb, stack.table).scan())


def in_index(stack: Stack) -> Contents:
    client = Clients(stack).opensearch
    client.indices.refresh(index=stack.index)
    return _contents(IndexReader(client, stack.index).scan())


def in_quarantine(stack: Stack) -> SetAside:
    client = Clients(stack).s3
    records = [
        msgspec.json.decode(
            client.get_object(Bucket=stack.bucket, Key=key)["Body"].read(), type=QuarantinedRecord
        )
        for key in keys(client, stack.bucket)
    ]
    return {
        (one.function, one.sequence_number, one.reason, base64.b64decode(one.payload))
        for one in records
    }


def _contents(entries: Iterable[Entry]) -> Contents:
    found = list(entries)
    assert [one for one in found if one.malformed or one.checked_version != one.version] == []
    return {one.image_id: (one.version, one.digest) for one in found}
