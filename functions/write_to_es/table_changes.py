"""The table's changes: what DynamoDB says of its items, directly or through Kinesis.

DynamoDB Streams hands each change over as a record of its own; Kinesis Data Streams for DynamoDB
carries the same as the data of a Kinesis record, without order and sometimes twice. What they
mean is the same, and the guard makes both right.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from shared.change import Change, Purge, Put, Remove, Stored, flaw_in
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import InvalidEventError, Time
from shared.item import KEY, STREAM_VIEW, MalformedItemError, change_in
from shared.record import Record, from_lambda
from shared.sink import MisconfiguredError

_DYNAMODB = "aws:dynamodb"
# Who removes an item when its time to live is over. The Streams API spells the names with capitals.
_TIME_TO_LIVE = {"type": "Service", "principalid": "dynamodb.amazonaws.com"}


class _Value(TypedDict):
    """An attribute's value: one of these; binaries are base64."""

    S: NotRequired[str]
    N: NotRequired[str]
    B: NotRequired[str]
    BOOL: NotRequired[bool]
    NULL: NotRequired[bool]
    SS: NotRequired[list[str]]
    NS: NotRequired[list[str]]
    BS: NotRequired[list[str]]
    L: NotRequired[list["_Value"]]
    M: NotRequired[dict[str, "_Value"]]


type _Item = dict[str, _Value]


class _Images(msgspec.Struct, frozen=True):
    keys: _Item = msgspec.field(name="Keys")
    new: _Item | UnsetType = msgspec.field(name="NewImage", default=UNSET)
    old: _Item | UnsetType = msgspec.field(name="OldImage", default=UNSET)


class _TableChange(msgspec.Struct, frozen=True):
    name: Literal["INSERT", "MODIFY", "REMOVE"] = msgspec.field(name="eventName")
    images: _Images = msgspec.field(name="dynamodb")
    by: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)

    @property
    def by_time_to_live(self) -> bool:
        """Whether it was DynamoDB itself that removed the item."""
        said = {name.lower(): value for name, value in (self.by or {}).items()}
        return said.items() >= _TIME_TO_LIVE.items()


_decode = msgspec.json.Decoder(_TableChange).decode
_encode = msgspec.json.Encoder().encode


def envelope_of(records: Sequence[Mapping[str, Any]], changes_stream: str | None) -> Envelope:
    """In what form these records are, which come from one stream.

    By where they come from, which Lambda writes itself; never by their content.

    Args:
        records: the `Records` of an invocation.
        changes_stream: the name of the Kinesis stream that carries the table's changes, if any.
    """
    for record in records:
        if record["eventSource"] == _DYNAMODB:
            return TABLE_STREAM
        if changes_stream and record["eventSourceARN"].rpartition("/")[2] == changes_stream:
            return TABLE_CHANGES_ON_KINESIS
        break
    return IMAGE_EVENTS


def _from_table_stream(record: Mapping[str, Any]) -> Record:
    """The record in one entry of a DynamoDB event's `Records`.

    It does not say its shard: the change's own id, which is unique, stands in for it.

    Raises:
        MisconfiguredError: the table's stream leaves out what is needed.
    """
    said = record["dynamodb"]
    view = said.get("StreamViewType")
    if view != STREAM_VIEW:
        raise MisconfiguredError(f"the table's stream has view {view}: set it to {STREAM_VIEW}")
    return Record(
        stream=record["eventSourceARN"].partition(":table/")[2],
        shard_id=record["eventID"],
        sequence_number=said["SequenceNumber"],
        partition_key=_named(said["Keys"]),
        arrived_at=round(said["ApproximateCreationDateTime"] * 1000),
        data=_encode(record),
        holds="table_change",
    )


def _from_kinesis(record: Mapping[str, Any]) -> Record:
    return msgspec.structs.replace(from_lambda(record), holds="table_change")


def change_of(record: Record, horizon: dt.timedelta) -> Change:
    """What a table's change means for the index.

    A new item, or a changed one, is the change that made it. An item that its time to live took
    was a tombstone, and is purged. An item that somebody removed by hand leaves a tombstone, one
    version above: so what the item said does not come back.

    Args:
        record: one that holds a table's change.
        horizon: how long a replay may still come after a removal by hand.

    Raises:
        InvalidEventError: it is no such change, or of an item that none of our sinks wrote.
    """
    try:
        said = _decode(record.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(f"no change of a table: {error}") from None
    if said.name != "REMOVE":
        return _change_in("NewImage", said.images.new, said.images.keys)
    before = _change_in("OldImage", said.images.old, said.images.keys)
    if said.by_time_to_live:
        match before:
            case Put():
                raise _malformed("OldImage: the time to live took an image that is no tombstone")
            case Remove():
                return Purge(**msgspec.structs.asdict(before))
    at = dt.datetime.fromtimestamp(record.arrived_at / 1000, dt.UTC)
    return Remove(
        image_id=before.image_id,
        version=before.version + 1,
        event_type="image.deleted",
        occurred_at=msgspec.to_builtins(at),
        arrived_at=record.arrived_at,
        expires_at=record.arrived_at // 1000 + int(horizon.total_seconds()),
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
    )


TABLE_STREAM = Envelope(_from_table_stream, change_of)
TABLE_CHANGES_ON_KINESIS = Envelope(_from_kinesis, change_of)


def _change_in(where: str, item: _Item | UnsetType, keys: _Item) -> Stored:
    """The change that made this item, which is under these keys."""
    if isinstance(item, UnsetType):
        raise _malformed(f"{where} is missing")
    plain: Mapping[str, Any] = item
    try:
        change = change_in(plain)
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
    return InvalidEventError("malformed", f"{detail}: mend the item (`lockstep audit` has more)")


def _named(keys: Mapping[str, Any]) -> str:
    """The image id, as far as these are our table's keys."""
    match keys:
        case {"image_id": {"S": str(image_id)}}:
            return image_id
        case _:
            return _encode(keys).decode()
