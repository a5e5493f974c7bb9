"""A stream in memory, over the simulation's shards, and a clock that moves when somebody sleeps."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis, StreamShard
from lockstep.stream import sequence
from lockstep.stream.kinesis import StreamSummary
from lockstep.stream.shards import shard_number
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    StreamRecord,
    TrimHorizon,
)
from shared.clock import Clock
from tests.builders import STREAM_ARN, image_event

NAME = "lockstep-images"
START = 1_795_248_000.0
DAY = 86_400.0


class MovingClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []
        self.clock = Clock(lambda: self.now, lambda: self.now, self.sleep, lambda: 1.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class MemoryStream:
    """The stream as a replay reads it; `errors` are raised by the next reads, one each."""

    def __init__(
        self,
        time: MovingClock,
        *,
        shards: int = 1,
        retention: float = 7 * DAY,
        created_at: float = START - 100 * DAY,
        page: int = 1_000,
    ) -> None:
        self.kinesis = Kinesis(NAME, shards=shards, now=lambda: time.now)
        self.errors: deque[Exception] = deque()
        self.reads: list[str] = []
        self.loses_positions = False
        self._time = time
        self._retention = retention
        self._created_at = created_at
        self._page = page

    def put(self, image_id: str, version: int, *, ago: float = 0.0, **fields: Any) -> None:
        """Put an event that arrived so many seconds ago."""
        self.put_raw(msgspec.json.encode(image_event(image_id, version, **fields)), image_id, ago)

    def put_raw(self, data: bytes, key: str, ago: float = 0.0) -> AcceptedRecord:
        self._time.now -= ago
        try:
            return self.kinesis.accept(key, data)
        finally:
            self._time.now += ago

    def summary(self) -> StreamSummary:
        return StreamSummary(STREAM_ARN, self._created_at, self._retention)

    def retention(self) -> float:
        return self._retention

    def shards(self) -> Sequence[ListedShard]:
        self._trim()
        return [
            ListedShard(
                shard_id,
                shard.parents,
                str(sequence.SequenceNumber(shard.created, 0, shard.created, _number(shard_id))),
            )
            for shard_id, shard in self.kinesis.shards.items()
            if not self._expired(shard)
        ]

    def reader(self, shard_id: str, position: Position) -> "MemoryReader":
        return MemoryReader(self, shard_id, position, self._page)

    def shard(self, shard_id: str) -> StreamShard:
        """The shard, without its expired records."""
        self._trim()
        shard = self.kinesis.shards.get(shard_id)
        if shard is None or self._expired(shard):
            raise ShardNotFoundError(shard_id)
        return shard

    def _trim(self) -> None:
        self.kinesis.trim(self._time.now - self._retention)

    def _expired(self, shard: StreamShard) -> bool:
        return shard.closed and bool(shard.records) and shard.trimmed == len(shard.records)


class MemoryReader:
    """Reads one shard."""

    def __init__(self, stream: MemoryStream, shard_id: str, position: Position, page: int) -> None:
        self._stream = stream
        self._shard_id = shard_id
        self._position = position
        self._page = page

    def read(self, limit: int) -> Records:
        self._stream.reads.append(self._shard_id)
        if self._stream.errors:
            raise self._stream.errors.popleft()
        shard = self._stream.shard(self._shard_id)
        at = max(shard.trimmed, self._index(shard))
        found = shard.records[at : at + min(limit, self._page)]
        if found:
            self._position = AfterSequenceNumber(found[-1].sequence_number)
        after = at + len(found)
        behind = after < len(shard.records)
        records = [
            StreamRecord(
                one.sequence_number, one.partition_key, one.data, round(one.arrived_at * 1000)
            )
            for one in found
        ]
        return Records(records, behind=behind, ended=shard.closed and not behind)

    def _index(self, shard: StreamShard) -> int:
        match self._position:
            case TrimHorizon():
                return 0
            case AtTimestamp(seconds):
                return sum(one.arrived_at < seconds for one in shard.records)
            case AfterSequenceNumber(number):
                index = sequence.position(number)
                if self._stream.loses_positions and index <= shard.trimmed:
                    raise PositionLostError("trimmed")
                return index


def _number(shard_id: str) -> int:
    number = shard_number(shard_id)
    assert number is not None
    return number
