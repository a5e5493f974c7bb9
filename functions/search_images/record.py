"""The whole record of one image, from the system of record."""

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from shared.change import Put, Remove
from shared.event import EventType, Image
from shared.item import change_in_item
from shared.rfc3339 import rfc3339

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class ImageRecord(msgspec.Struct, frozen=True):
    """One image. `arrived_at` is when the stream received its last event."""

    image_id: str
    version: int
    event_type: EventType
    occurred_at: str
    arrived_at: str
    digest: str
    image: Image


def record(client: "DynamoDBClient", table: str, image_id: str) -> ImageRecord | None:
    """Read an image with strong consistency; None if it does not exist or was deleted.

    Raises:
        MalformedItemError: no sink wrote the item.
        ClientError, BotoCoreError: the table did not answer.
    """
    answer = client.get_item(
        TableName=table, Key={"image_id": {"S": image_id}}, ConsistentRead=True
    )
    item = answer.get("Item")
    if item is None:
        return None
    match change_in_item(item):
        case Put() as found:
            return _record_of(found)
        case Remove():
            return None


def _record_of(found: Put) -> ImageRecord:
    arrived_at = dt.datetime.fromtimestamp(found.arrived_at / 1000, dt.UTC)
    return ImageRecord(
        image_id=found.image_id,
        version=found.version,
        event_type=found.event_type,
        occurred_at=found.occurred_at,
        arrived_at=rfc3339(arrived_at, "milliseconds"),
        digest=found.digest,
        image=found.image,
    )
