"""The record: one entry of a stream as Lambda delivers it, and the event in it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from shared import event
from shared.event import Event, InvalidEventError

# With a version further ahead, later events with correct versions would be stale for a long time.
MAX_AHEAD_US = 24 * 60 * 60 * 1_000_000


# Twice as fast as the module of Python.
_from_base64 = msgspec.json.Decoder(bytes).decode

type Holds = Literal["event", "table_change"]
"""What the data of a record contains: an image event, or the change of one item of the table."""


class Record(msgspec.Struct, frozen=True):
    """One record of a shard.

    `sequence_number` orders the records of one shard. It is never used as a version, because a
    retry of the producer gets a higher one. `arrived_at` is the approximate arrival time in
    milliseconds since 1970. Stream, shard and sequence number together identify a record.
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
        """The sequence number as a number, because text has another order."""
        return int(self.sequence_number)


def from_lambda(record: Mapping[str, Any]) -> Record:
    """Read one entry of a Kinesis event's `Records`.

    Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    kinesis = record["kinesis"]
    return Record(
        stream=record["eventSourceARN"].rpartition("/")[2],
        shard_id=record["eventID"].partition(":")[0],
        sequence_number=kinesis["sequenceNumber"],
        partition_key=kinesis["partitionKey"],
        arrived_at=round(kinesis["approximateArrivalTimestamp"] * 1000),
        data=_from_base64(f'"{kinesis["data"]}"'),
    )


def event_in(record: Record) -> Event:
    """Decode the event in a record, and check its partition key and its version.

    Raises:
        InvalidEventError: the record can never be applied; says why.
    """
    return event_of(record.data, record.partition_key, record.arrived_at)


def event_of(data: bytes, partition_key: str, arrived_at: int) -> Event:
    """Decode the event in the data of a record; see `event_in`.

    Args:
        data: the data.
        partition_key: must be the image ID.
        arrived_at: when the record arrived, in milliseconds since 1970.

    Raises:
        InvalidEventError: the record can never be applied; says why.
    """
    found = event.decode(data)
    if found.image_id != partition_key:
        detail = f"partition key {partition_key!r}: must be the image id, {found.image_id!r}"
        raise InvalidEventError("partition_key", detail)
    check_version(found.version, arrived_at)
    return found


def check_version(version: int, arrived_at: int) -> None:
    """Check that a version is at most a day ahead of the arrival, in milliseconds since 1970.

    Raises:
        InvalidEventError: it is further ahead.
    """
    latest = arrived_at * 1000 + MAX_AHEAD_US
    if version > latest:
        detail = (
            f"$.version: {version} is more than a day after the record's arrival: "
            f"set microseconds since 1970, at most {latest}"
        )
        raise InvalidEventError("version_ahead", detail)
