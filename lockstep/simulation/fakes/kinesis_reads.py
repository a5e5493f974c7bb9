"""The reading half of the fake of boto3's Kinesis client."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.simulation.fakes.boto3_requests import answer_of
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis, StreamShard
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
)
from lockstep.stream import sequence

_HOUR = 3_600


class KinesisReads:
    """A client that reads the stream of a `Kinesis`.

    An iterator is the ID of a shard and the position of the next record in it. It never expires.
    """

    def __init__(
        self, stream: Kinesis, arn: str, *, created_at: float, connection: Connection = PERFECT
    ) -> None:
        self._stream = stream
        self._arn = arn
        self._created_at = created_at
        self._connection = connection

    def describe_stream_summary(self, **_: Any) -> dict[str, Any]:
        """The stream's creation and retention."""

        def described() -> dict[str, Any]:
            summary = {
                "StreamARN": self._arn,
                "StreamCreationTimestamp": dt.datetime.fromtimestamp(self._created_at, dt.UTC),
                "RetentionPeriodHours": round(self._stream.retention / _HOUR),
            }
            return {"StreamDescriptionSummary": summary}

        return self._send("DescribeStreamSummary", described)

    def list_shards(self, **_: Any) -> dict[str, Any]:
        """All shards that still have records, or may get some."""

        def listed() -> dict[str, Any]:
            self._stream.trim_expired()
            there = [one for one in self._stream.shards.values() if not _is_over(one)]
            return {"Shards": [_listed(one) for one in there]}

        return self._send("ListShards", listed)

    def get_shard_iterator(self, **request: Any) -> dict[str, Any]:
        """An iterator at the oldest record, at a time, or after a sequence number."""

        def begun() -> dict[str, Any]:
            shard = self._shard(request["ShardId"])
            match request["ShardIteratorType"]:
                case "TRIM_HORIZON":
                    at = shard.trimmed
                case "AT_TIMESTAMP":
                    since = request["Timestamp"]
                    at = sum(one.arrived_at < since for one in shard.records)
                case "AFTER_SEQUENCE_NUMBER":
                    at = sequence.position(request["StartingSequenceNumber"])
                case other:
                    raise NotImplementedError(other)
            return {"ShardIterator": f"{shard.shard_id}/{at}"}

        return self._send("GetShardIterator", begun)

    def get_records(self, **request: Any) -> dict[str, Any]:
        """The records at an iterator, and the next one; none at the end of a closed shard."""

        def read() -> dict[str, Any]:
            shard_id, _, position = request["ShardIterator"].partition("/")
            shard = self._shard(shard_id)
            at = max(int(position), shard.trimmed)
            records = shard.records[at : at + request["Limit"]]
            end = at + len(records)
            behind = end < len(shard.records)
            answer: dict[str, Any] = {
                "Records": [_record(one) for one in records],
                "MillisBehindLatest": 1 if behind else 0,
            }
            if behind or not shard.closed:
                answer["NextShardIterator"] = f"{shard_id}/{end}"
            return answer

        return self._send("GetRecords", read)

    def _shard(self, shard_id: str) -> StreamShard:
        self._stream.trim_expired()
        shard = self._stream.shards[shard_id]
        if _is_over(shard):
            raise AnswerError(400, f"ResourceNotFoundException: {shard_id} has expired")
        return shard

    def _send(self, operation: str, apply: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return answer_of(self._connection, "kinesis", operation, apply)


def _is_over(shard: StreamShard) -> bool:
    """Whether a closed shard had records, and all have been removed."""
    return shard.closed and 0 < len(shard.records) == shard.trimmed


def _listed(shard: StreamShard) -> dict[str, Any]:
    parents: Sequence[str] = sorted(shard.parents)
    names = ("ParentShardId", "AdjacentParentShardId")
    return {
        "ShardId": shard.shard_id,
        "SequenceNumberRange": {"StartingSequenceNumber": shard.starting_number},
        **dict(zip(names, parents, strict=False)),
    }


def _record(accepted: AcceptedRecord) -> dict[str, Any]:
    return {
        "SequenceNumber": accepted.sequence_number,
        "PartitionKey": accepted.partition_key,
        "Data": accepted.data,
        "ApproximateArrivalTimestamp": dt.datetime.fromtimestamp(accepted.arrived_at, dt.UTC),
    }
