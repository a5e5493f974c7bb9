"""The table's changes, from DynamoDB Streams or from Kinesis Data Streams for DynamoDB.

DynamoDB Streams delivers each change as a record. Kinesis Data Streams for DynamoDB puts each
change into the data of a Kinesis record. The order is not kept, and a record may come twice. With
the version check, both are correct.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UnsetType

from shared.change import Change, Purge, Put, Remove, StoredChange, flaw_in
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import InvalidEventError, Time
from shared.horizon import end_of_tombstone
from shared.item import KEY, STREAM_VIEW, MalformedItemError, change_in_item
from shared.record import Record, from_lambda
from shared.sink import MisconfiguredError
from shared.table_stream import SOURCE, TableChange, TypedItem, record_of, table_change_in

# The identity that removes expired items (time to live). The Streams API capitalizes the names.
_TIME_TO_LIVE = {"type": "Service", "principalid": "dynamodb.amazonaws.com"}


def envelope_of(records: Sequence[Mapping[str, Any]], changes_stream: str | None) -> Envelope:
    """The form of these records, which come from one stream.

    Only the source of a record decides, because Lambda sets it. The content could be forged.

    Args:
        records: the `Records` of an invocation.
        changes_stream: the name of the Kinesis stream that carries the table's changes, if any.
    """
    for record in records:
        if record["eventSource"] == SOURCE:
            return TABLE_STREAM
        if changes_stream and record["eventSourceARN"].rpartition("/")[2] == changes_stream:
            return TABLE_CHANGES_ON_KINESIS
        break
    return IMAGE_EVENTS


def _from_table_stream(record: Mapping[str, Any]) -> Record:
    """Read one entry of a DynamoDB event's `Records`.

    Raises:
        MisconfiguredError: the table's stream has another view.
    """
    change = record["dynamodb"]
    view = change.get("StreamViewType")
    if view != STREAM_VIEW:
        raise MisconfiguredError(f"the table's stream has view {view}: set it to {STREAM_VIEW}")
    return record_of(record, _image_id_in(change["Keys"]))


def _from_kinesis(record: Mapping[str, Any]) -> Record:
    return msgspec.structs.replace(from_lambda(record), holds="table_change")


def change_of(record: Record) -> Change:
    """What a change of the table means for the index.

    A new or changed item contains its change. If the time to live removed an item, it was an
    expired tombstone: purge it. If somebody deleted an item by hand, write a tombstone with the
    next version, so that a replay does not restore the image.

    Args:
        record: a record that holds a change of the table.

    Raises:
        InvalidEventError: the data is not a change of the table, or no sink wrote the item.
    """
    try:
        found = table_change_in(record)
    except ValueError as error:
        raise _malformed(str(error)) from None
    if found.name != "REMOVE":
        return _change_in("NewImage", found.images.new, found.images.keys)
    before = _change_in("OldImage", found.images.old, found.images.keys)
    if _by_time_to_live(found):
        match before:
            case Put():
                raise _malformed(
                    "OldImage: the time to live removed an image that is not a tombstone"
                )
            case Remove():
                return Purge(**msgspec.structs.asdict(before))
    at = dt.datetime.fromtimestamp(record.arrived_at / 1000, dt.UTC)
    return Remove(
        image_id=before.image_id,
        version=before.version + 1,
        event_type="image.deleted",
        occurred_at=msgspec.to_builtins(at),
        arrived_at=record.arrived_at,
        expires_at=end_of_tombstone(record.arrived_at),
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
    )


def _by_time_to_live(change: TableChange) -> bool:
    """Whether DynamoDB removed the item because of its time to live."""
    identity = {name.lower(): value for name, value in (change.by or {}).items()}
    return identity.items() >= _TIME_TO_LIVE.items()


TABLE_STREAM = Envelope(_from_table_stream, change_of)
TABLE_CHANGES_ON_KINESIS = Envelope(_from_kinesis, change_of)


def _change_in(where: str, item: TypedItem | UnsetType, keys: TypedItem) -> StoredChange:
    """The change in this item; its key must be that of the record."""
    if isinstance(item, UnsetType):
        raise _malformed(f"{where} is missing")
    plain: Mapping[str, Any] = item
    try:
        change = change_in_item(plain)
        msgspec.convert(change.occurred_at, Time)
    except (MalformedItemError, msgspec.ValidationError) as error:
        raise _malformed(f"{where}: {error}") from None
    flaw = flaw_in(change)
    if plain[KEY] != keys.get(KEY):
        flaw = f"{KEY} is {change.image_id!r}, its key is {keys}"
    if flaw is not None:
        raise _malformed(f"{where}: {flaw}")
    return change


def _malformed(detail: str) -> InvalidEventError:
    return InvalidEventError(
        "malformed", f"{detail}: correct the item (`lockstep audit` shows more)"
    )


def _image_id_in(keys: Mapping[str, Any]) -> str:
    """The image id. The keys of another table are returned as JSON."""
    match keys:
        case {"image_id": {"S": str(image_id)}}:
            return image_id
        case _:
            return msgspec.json.encode(keys).decode()
