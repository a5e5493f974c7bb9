"""The record: one record of a stream as Lambda hands it over, and the event it may carry."""

import base64
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from shared import event
from shared.event import Event, InvalidEventError

# A version further ahead than this would freeze its image: nothing honest could beat it.
MAX_AHEAD_US = 24 * 60 * 60 * 1_000_000


type Holds = Literal["event", "table_change"]
"""What a record's data is: an image event, or what a table's stream says of one item."""


class Record(msgspec.Struct, frozen=True):
    """One record of a shard.

    `sequence_number` orders records of one shard; it is never a version (a producer's retry
    makes a later one). `arrived_at` is the stream's approximate arrival time, in milliseconds
    since 1970. Stream, shard and sequence number together name one record.
    """

    stream: str
    shard_id: str
    sequence_number: str
    partition_key: str
    arrived_at: int
    data: bytes
    holds: Holds = "event"

    @property
    def position(self) -> int:
        """The sequence number as the number it is: as text it compares wrongly."""
        return int(self.sequence_number)


def from_lambda(record: Mapping[str, Any]) -> Record:
    """The record in one entry of a Kinesis event's `Records`.

    Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    kinesis = record["kinesis"]
    return Record(
        stream=record["eventSourceARN"].rpartition("/")[2],
        shard_id=record["eventID"].partition(":")[0],
        sequence_number=kinesis["sequenceNumber"],
        partition_key=kinesis["partitionKey"],
        arrived_at=round(kinesis["approximateArrivalTimestamp"] * 1000),
        data=base64.b64decode(kinesis["data"]),
    )


def event_in(record: Record) -> Event:
    """The event a record carries, valid also in its place: right key, believable version.

    Raises:
        InvalidEventError: why this record can never be applied.
    """
    found = event.decode(record.data)
    if found.image_id != record.partition_key:
        detail = f"partition key {record.partition_key!r}: must be the image id, {found.image_id!r}"
        raise InvalidEventError("partition_key", detail)
    latest = record.arrived_at * 1000 + MAX_AHEAD_US
    if found.version > latest:
        detail = (
            f"$.version: {found.version} is more than a day after the record's arrival "
            f"(at most {latest}): set it in microseconds since 1970, or lower"
        )
        raise InvalidEventError("version_ahead", detail)
    return found
