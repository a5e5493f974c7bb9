"""The records of one image in the stream: what reading them costs, and reading them."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from lockstep.quarantine.readable import readable_fields, version_in
from lockstep.stream.kinesis import KeyShards
from lockstep.stream.stream import (
    READ_EVERY_SECONDS,
    READ_RECORDS,
    AtTimestamp,
    Position,
    Records,
    ShardNotFoundError,
    ShardReader,
    Stream,
    StreamDeniedError,
    StreamRecord,
    StreamUnavailableError,
    TrimHorizon,
)
from lockstep.trace.events import Place, Told
from shared.clock import Clock
from shared.event import InvalidEventError
from shared.record import Record, event_in

# So many reads in a row may fail.
PATIENCE_READS = 20


class ReadingCost(msgspec.Struct, frozen=True):
    """What reading the shards of an image costs.

    `records` and `bytes` are estimates; None if they are unknown. `requests` and `seconds` follow
    from them; they are the least that it can be if these are unknown.
    """

    shards: int
    records: int | None
    bytes: int | None

    @property
    def requests(self) -> int:
        """GetShardIterator and GetRecords."""
        return 2 * self.shards + math.ceil((self.records or 0) / READ_RECORDS)

    @property
    def seconds(self) -> float:
        """The time: two reads a second, so that the consumers can read, too."""
        return (self.requests - self.shards) * READ_EVERY_SECONDS


class ShardsRead(msgspec.Struct, frozen=True):
    """What was read.

    `records` counts all records that were read, of all images. `complete` is false if the bound
    was reached.
    """

    told: Sequence[Told]
    records: int
    complete: bool


def read_shards(
    stream: Stream,
    name: str,
    shards: KeyShards,
    image_id: str,
    *,
    since: float | None,
    at_most: int,
    clock: Clock,
) -> ShardsRead:
    """Read the records of an image, from the oldest shard of its hash key to the newest.

    Args:
        stream: the stream.
        name: its name.
        shards: the shards of the hash key of the image.
        image_id: the image.
        since: read what arrived then or later, in seconds since 1970; None: all.
        at_most: stop after so many records of all images.
        clock: the time. What arrives from now on is not read.

    Raises:
        StreamUnavailableError: the stream does not answer.
    """
    found = read_matching(
        stream,
        shards,
        lambda one: is_about(image_id, one.partition_key, one.data),
        since=since,
        until=clock.now(),
        at_most=at_most,
        clock=clock,
    )
    told = [
        _arrived(one, Place(name, shard_id, one.sequence_number))
        for shard_id, one in found.matching
    ]
    return ShardsRead(told, found.records, complete=found.complete)


class MatchingRecords(msgspec.Struct, frozen=True):
    """The records that match, each with its shard. The other fields: see `ShardsRead`."""

    matching: Sequence[tuple[str, StreamRecord]]
    records: int
    complete: bool


def read_matching(
    stream: Stream,
    shards: KeyShards,
    matches: Callable[[StreamRecord], bool],
    *,
    since: float | None,
    until: float,
    at_most: int,
    clock: Clock,
) -> MatchingRecords:
    """Read the records that match, from the oldest shard to the newest.

    Args:
        stream: the stream.
        shards: the shards of one hash key.
        matches: whether a record is wanted.
        since: read what arrived then or later, in seconds since 1970; None: all.
        until: what arrives after this time is not needed.
        at_most: stop after so many records.
        clock: waits between two reads.

    Raises:
        StreamUnavailableError: the stream does not answer.
    """
    # A second earlier: Kinesis clients may round the time.
    start: Position = TrimHorizon() if since is None else AtTimestamp(since - 1)
    matching: list[tuple[str, StreamRecord]] = []
    count = 0
    for shard in shards.chain:
        for read in _reads(stream.reader(shard.shard_id, start), until * 1000, clock):
            matching += [
                (shard.shard_id, one)
                for one in read.records
                if (since is None or one.arrived_at >= since * 1000) and matches(one)
            ]
            count += len(read.records)
            if count >= at_most and read.behind:
                return MatchingRecords(matching, count, complete=False)
    return MatchingRecords(matching, count, complete=True)


def is_about(image_id: str, partition_key: str, data: bytes) -> bool:
    """Whether a record is about this image: by its partition key, or by what it says."""
    if partition_key == image_id:
        return True
    # Most records are about other images: these are not decoded.
    return image_id.encode() in data and readable_fields(data).get("image_id") == image_id


def _reads(reader: ShardReader, until: float, clock: Clock) -> Iterator[Records]:
    """All reads of a shard, up to a time in milliseconds since 1970."""
    failures = 0
    while True:
        try:
            read = reader.read(READ_RECORDS)
        except ShardNotFoundError:
            return  # it has expired since it was listed
        except StreamDeniedError:
            raise
        except StreamUnavailableError:
            failures += 1
            if failures == PATIENCE_READS:
                raise
            clock.sleep(READ_EVERY_SECONDS)
            continue
        failures = 0
        yield read
        passed = bool(read.records) and read.records[-1].arrived_at > until
        if passed or read.ended or not read.behind:
            return
        clock.sleep(READ_EVERY_SECONDS)


def _arrived(one: StreamRecord, place: Place) -> Told:
    record = Record(
        stream=place.stream,
        shard_id=place.shard_id,
        sequence_number=one.sequence_number,
        partition_key=one.partition_key,
        arrived_at=one.arrived_at,
        data=one.data,
    )
    version: int | None
    try:
        event = event_in(record)
    except InvalidEventError as invalid:
        fields: dict[str, Any] = readable_fields(one.data)
        version = version_in(fields)
        detail = f"no valid event: {invalid.reason}: {invalid.detail}"
    else:
        version = event.version
        detail = event.type
    return Told("arrived", one.arrived_at / 1000, "stream", place, detail, version=version)
