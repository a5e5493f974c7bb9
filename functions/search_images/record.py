"""The record: an image as the system of record has it, as a reader may see it."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from shared.event import EventType, Image

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

_SHOWN = ("image_id", "version", "event_type", "occurred_at", "arrived_at", "digest", "image")


class Record(msgspec.Struct, frozen=True):
    """One image, whole. `arrived_at` is when its last event came onto the stream."""

    image_id: str
    version: int
    event_type: EventType
    occurred_at: str
    arrived_at: str
    digest: str
    image: Image


class MalformedRecordError(Exception):
    """There is an item of that id that is no image of ours; says why."""


def record(client: "DynamoDBClient", table: str, image_id: str) -> Record | None:
    """The image of this id, as it is at this moment; None for a deleted one, and for none.

    Raises:
        MalformedRecordError: what is there is not ours.
        ClientError, BotoCoreError: the table did not answer.
    """
    answer = client.get_item(
        TableName=table, Key={"image_id": {"S": image_id}}, ConsistentRead=True
    )
    item = answer.get("Item")
    if item is None or item.get("deleted") == {"BOOL": True}:
        return None
    try:
        found = {name: _plain(item[name]) for name in _SHOWN}
        arrived_at = dt.datetime.fromtimestamp(int(found["arrived_at"]) / 1000, dt.UTC)
        found["arrived_at"] = f"{arrived_at:%Y-%m-%dT%H:%M:%S}.{arrived_at.microsecond // 1000:03}Z"
        return msgspec.convert(found, Record)
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise MalformedRecordError(f"{image_id}: {error}") from error


def _plain(value: "AttributeValueTypeDef") -> Any:
    match value:
        case {"N": number}:
            return int(number)
        case {"L": values}:
            return [_plain(inner) for inner in values]
        case {"M": attributes}:
            return {name: _plain(inner) for name, inner in attributes.items()}
        case {"S": text}:
            return text
        case _:
            raise ValueError(f"no image of ours holds the type {', '.join(value)}")
