"""The change of one item, as DynamoDB Streams delivers it.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from shared.record import Record

# The `eventSource` of its records.
SOURCE = "aws:dynamodb"


class Value(TypedDict):
    """The value of an attribute, with exactly one of these keys. Binary data is in base64."""

    S: NotRequired[str]
    N: NotRequired[str]
    B: NotRequired[str]
    BOOL: NotRequired[bool]
    NULL: NotRequired[bool]
    SS: NotRequired[list[str]]
    NS: NotRequired[list[str]]
    BS: NotRequired[list[str]]
    L: NotRequired[list["Value"]]
    M: NotRequired[dict[str, "Value"]]


type TypedItem = dict[str, Value]


class Images(msgspec.Struct, frozen=True):
    """The key of an item, and the item before and after a change."""

    keys: TypedItem = msgspec.field(name="Keys")
    new: TypedItem | UnsetType = msgspec.field(name="NewImage", default=UNSET)
    old: TypedItem | UnsetType = msgspec.field(name="OldImage", default=UNSET)


class TableChange(msgspec.Struct, frozen=True):
    """What happened to an item, and who did it, if it was the service itself."""

    name: Literal["INSERT", "MODIFY", "REMOVE"] = msgspec.field(name="eventName")
    images: Images = msgspec.field(name="dynamodb")
    by: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)


_decode = msgspec.json.Decoder(TableChange).decode
_encode = msgspec.json.Encoder().encode


def table_change_in(record: Record) -> TableChange:
    """Decode the change in a record.

    Raises:
        ValueError: the data is not the change of an item; says why.
    """
    try:
        return _decode(record.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a change of a table: {error}") from None


def record_of(record: Mapping[str, Any], partition_key: str) -> Record:
    """Read one entry of a DynamoDB event's `Records`.

    The entry does not contain its shard id, so the unique id of the change takes its place.

    Args:
        record: the entry.
        partition_key: the key of the item, in the words of the consumer.
    """
    change = record["dynamodb"]
    return Record(
        stream=record["eventSourceARN"].partition(":table/")[2],
        shard_id=record["eventID"],
        sequence_number=change["SequenceNumber"],
        partition_key=partition_key,
        arrived_at=round(change["ApproximateCreationDateTime"] * 1000),
        data=_encode(record),
        holds="table_change",
    )


def keys_as_text(keys: Mapping[str, Any]) -> str:
    """The key of an item as JSON, always the same for one item."""
    return msgspec.json.encode(keys, order="sorted").decode()
