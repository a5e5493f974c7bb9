"""Builders: an event, a record, a change, a stack, with all said that a test does not say."""

import base64
import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from lockstep.stack.stack import Endpoints, Stack
from shared.change import Change, Purge, change_from
from shared.clock import Clock
from shared.event import MAX_EVENT_BYTES, Event, decode
from shared.item import KEY, Item, item_from
from shared.outcome import Conflict, Duplicate, Outcome, Stale
from shared.record import Record, from_lambda

ARRIVED_AT = 1_795_248_000_500  # 2026-11-21T08:00:00.5Z, in milliseconds since 1970
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/lockstep-images"
TABLE_STREAM_ARN = (
    "arn:aws:dynamodb:us-east-1:000000000000:table/lockstep-images/stream/2026-11-21T07:00:00.000"
)
CHANGES_STREAM = "lockstep-table-changes"
CHANGES_STREAM_ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{CHANGES_STREAM}"
SHARD_ID = "shardId-000000000000"


def image(name: Any = "Richmond Hill", **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def image_event(
    image_id: str = "T02680", version: Any = 1, event_type: str = "image.uploaded", **fields: Any
) -> dict[str, Any]:
    """An event as a producer would write it; `fields` replace or add, also what is not allowed."""
    event: dict[str, Any] = {
        "type": event_type,
        "image_id": image_id,
        "version": version,
        "occurred_at": "2026-11-21T08:00:00.123456Z",
    }
    if event_type != "image.deleted":
        event["image"] = image(f"{image_id} at version {version}")
    return event | fields


def largest(image_id: str = "T02680", version: int = 1, **fields: Any) -> bytes:
    """An event, encoded, of as many bytes as one may have."""
    fields.setdefault("image", image("x", description="", tags=["t" * 8_000] * 30))
    event = image_event(image_id, version, **fields)
    event["image"]["description"] = "d" * (MAX_EVENT_BYTES - len(msgspec.json.encode(event)))
    return msgspec.json.encode(event)


def sequence_number(position: int) -> str:
    """A 56-digit sequence number; a higher position is a later record."""
    return f"4966{position:052d}"


def kinesis_record(
    event: dict[str, Any] | bytes | None = None,
    *,
    position: int = 1,
    partition_key: str | None = None,
    arrived_at: int = ARRIVED_AT,
    shard_id: str = SHARD_ID,
    stream_arn: str = STREAM_ARN,
) -> dict[str, Any]:
    """One entry of `Records`, as Lambda hands it to a function."""
    if event is None:
        event = image_event()
    data = event if isinstance(event, bytes) else msgspec.json.encode(event)
    if partition_key is None:
        partition_key = event["image_id"] if isinstance(event, dict) else "T02680"
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number(position),
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrived_at / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{sequence_number(position)}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/lockstep",
        "awsRegion": "us-east-1",
        "eventSourceARN": stream_arn,
    }


def table_record(
    new: Change | Item | None = None,
    old: Change | Item | None = None,
    *,
    position: int = 1,
    by_time_to_live: bool = False,
    arrived_at: int = ARRIVED_AT,
    key: Sequence[str] = (KEY,),
    **fields: Any,
) -> dict[str, Any]:
    """One entry of `Records` from a table's stream: its items before and after, as Lambda does.

    `key` names the attributes of the key. `fields` replace or add, also what is not allowed.
    """
    images = {
        name: one if isinstance(one, dict) else item_from(one)
        for name, one in (("NewImage", new), ("OldImage", old))
        if one is not None
    }
    keys = {name: next(iter(images.values()))[name] for name in key}
    identity = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return {
        "eventID": f"{position:032x}",
        "eventName": "REMOVE" if new is None else "INSERT" if old is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            # Whole seconds, as a table's stream has it.
            "ApproximateCreationDateTime": float(arrived_at // 1000),
            "Keys": keys,
            **images,
            "SequenceNumber": f"{7_000_000_000_000_000_000_000 + position}",
            "SizeBytes": len(msgspec.json.encode(images)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": TABLE_STREAM_ARN,
        **({"userIdentity": identity} if by_time_to_live else {}),
        **fields,
    }


def table_change_on_kinesis(
    record: dict[str, Any], *, position: int = 1, arrived_at: int = ARRIVED_AT
) -> dict[str, Any]:
    """The same change as Kinesis Data Streams for DynamoDB brings it, which tells no position."""
    said = record["dynamodb"]
    kept = ("ApproximateCreationDateTime", "Keys", "NewImage", "OldImage", "SizeBytes")
    data = {
        "awsRegion": record["awsRegion"],
        "eventID": str(uuid.UUID(int=position)),
        "eventName": record["eventName"],
        "userIdentity": record.get("userIdentity"),
        "recordFormat": "application/json",
        "tableName": "lockstep-images",
        "dynamodb": {name: said[name] for name in kept if name in said}
        # Not whole seconds, as in the table's own stream.
        | {"ApproximateCreationDateTime": arrived_at},
        "eventSource": "aws:dynamodb",
    }
    hashed = hashlib.md5(msgspec.json.encode(said["Keys"]), usedforsecurity=False)
    return kinesis_record(
        data,
        partition_key=hashed.hexdigest().upper(),
        position=position,
        arrived_at=arrived_at,
        stream_arn=CHANGES_STREAM_ARN,
    )


def kinesis_records(*events: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    """A batch: these events at positions 1, 2, 3 and so on."""
    return [kinesis_record(event, position=at) for at, event in enumerate(events, start=1)]


def record(event: dict[str, Any] | bytes | None = None, **place: Any) -> Record:
    return from_lambda(kinesis_record(event, **place))


def decoded(event: dict[str, Any]) -> Event:
    return decode(msgspec.json.encode(event))


def change(
    image_id: str = "T02680", version: int = 1, event_type: str = "image.uploaded", **fields: Any
) -> Change:
    """What a valid event means for a store."""
    event = image_event(image_id, version, event_type, **fields)
    return change_from(decoded(event), record(event))


def fresh_tombstone(image_id: str, version: int) -> Change:
    """A deletion that arrives now, for tests in which a tombstone expires by today's date."""
    event = image_event(image_id, version, "image.deleted")
    arrived_at = time.time_ns() // 1_000_000
    return change_from(decoded(event), record(event, arrived_at=arrived_at))


def purge_of(tombstone: Change) -> Purge:
    """What takes this tombstone out of the index again."""
    return Purge(**msgspec.structs.asdict(tombstone))


def clock(
    *,
    now: Callable[[], float] = lambda: 0.0,
    elapsed: Callable[[], float] = lambda: 0.0,
    sleep: Callable[[float], None] = lambda _: None,
    chance: Callable[[], float] = lambda: 0.0,
) -> Clock:
    """A clock that stands still, except for what is given."""
    return Clock(now, elapsed, sleep, chance)


def without_held(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """These outcomes without what the store holds, for tests of everything else."""
    return [
        msgspec.structs.replace(one, held=None)
        if isinstance(one, Duplicate | Stale | Conflict)
        else one
        for one in outcomes
    ]


def restored_table(client: Any, name: str, key: str = KEY) -> None:
    """Create a table as DynamoDB restores one: with its key, and without other settings."""
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def deployed_stack(**said: Any) -> Stack:
    """A deployed stack, of which a test says only what it is about."""
    usual: dict[str, Any] = {
        "endpoints": Endpoints(None, None, "https://o", None),
        "stream": "s",
        "table": "t",
        "index": "i",
        "bucket": "b",
        "region": "eu-central-1",
        "functions": {},
    }
    return Stack(**usual | said)
