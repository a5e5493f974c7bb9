"""Read a Kinesis stream at AWS or at a local endpoint."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from lockstep.stream.answers import answering
from lockstep.stream.pages import decoded_records
from lockstep.stream.shards import HASH_KEYS, hash_key
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

if TYPE_CHECKING:  # stubs, which only a contributor has
    from types_boto3_kinesis import KinesisClient

GET_RECORDS_MOST = 10_000
_SECONDS_AN_HOUR = 3600
# Errors of a read with an invalid iterator: a new iterator helps.
_ITERATOR_LOST = frozenset({"ExpiredIteratorException", "InvalidArgumentException"})


class StreamSummary(msgspec.Struct, frozen=True):
    """A Kinesis stream: its ARN, its creation in seconds since 1970, its retention in seconds."""

    arn: str
    created_at: float
    retention: float


class OpenShard(msgspec.Struct, frozen=True):
    """A shard that accepts records, and the lowest hash key of its range."""

    shard_id: str
    starting_hash_key: str


class KeyShards(msgspec.Struct, frozen=True):
    """The shards of one partition key, the oldest first.

    `share` is the share of all hash keys that the newest of them has.
    """

    chain: Sequence[ListedShard]
    share: float


class KinesisStream:
    """A Kinesis stream, read with a boto3 client.

    The client should not retry: the mapping retries, and logs it. It may decode records with
    `lockstep.stream.pages.decode_kinesis`.
    """

    def __init__(self, client: "KinesisClient", name: str) -> None:
        self._client = client
        self._name = name

    def retention(self) -> float:
        """See `Stream.retention`."""
        return self.summary().retention

    def summary(self) -> StreamSummary:
        """What the stream is.

        Raises:
            StreamUnavailableError: the stream is unavailable.
        """
        with answering():
            answer = self._client.describe_stream_summary(StreamName=self._name)
            found = answer["StreamDescriptionSummary"]
            return StreamSummary(
                found["StreamARN"],
                found["StreamCreationTimestamp"].timestamp(),
                float(found["RetentionPeriodHours"] * _SECONDS_AN_HOUR),
            )

    def shards(self) -> Sequence[ListedShard]:
        """See `Stream.shards`."""
        return [_listed(shard) for shard in self._descriptions()]

    def shards_of(self, partition_key: str) -> KeyShards:
        """The shards that have, or had, the records of this partition key; parents first.

        Raises:
            StreamUnavailableError: the stream is unavailable.
        """
        return self.shards_of_each([partition_key])[partition_key]

    def shards_of_each(self, partition_keys: Collection[str]) -> Mapping[str, KeyShards]:
        """As `shards_of`, for several partition keys."""
        described = [*self._descriptions()]
        # The number of a child is above that of its parents (`lockstep.stream.sequence`).
        described.sort(key=lambda one: int(_listed(one).starting_number))
        return {one: _of_key(one, described) for one in partition_keys}

    def _descriptions(self) -> Iterator[Any]:
        request: dict[str, Any] = {"StreamName": self._name}
        while request:
            with answering():
                answer = self._client.list_shards(**request)
                yield from answer["Shards"]
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}

    def open_shards(self) -> Sequence[OpenShard]:
        """The shards that accept records.

        Raises:
            StreamUnavailableError: the stream is unavailable.
        """
        found: list[OpenShard] = []
        request: dict[str, Any] = {
            "StreamName": self._name,
            "ShardFilter": {"Type": "AT_LATEST"},
        }
        while request:
            with answering():
                answer = self._client.list_shards(**request)
            found += [
                OpenShard(shard["ShardId"], shard["HashKeyRange"]["StartingHashKey"])
                for shard in answer["Shards"]
            ]
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}
        return found

    def reader(self, shard_id: str, position: Position) -> "KinesisShardReader":
        """See `Stream.reader`."""
        return KinesisShardReader(self._client, self._name, shard_id, position)


def _record(record: Any) -> StreamRecord:
    return StreamRecord(
        record["SequenceNumber"],
        record["PartitionKey"],
        record["Data"],
        round(record["ApproximateArrivalTimestamp"].timestamp() * 1000),
    )


def _of_key(partition_key: str, described: Sequence[Any]) -> KeyShards:
    key = int.from_bytes(hash_key(partition_key))
    chain: list[ListedShard] = []
    share = 0.0
    for shard in described:
        start, end = (
            int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey")
        )
        if start <= key <= end:
            chain.append(_listed(shard))
            share = (end - start + 1) / HASH_KEYS
    return KeyShards(chain, share)


def _listed(shard: Any) -> ListedShard:
    above = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    parents = frozenset(parent for parent in above if parent)
    return ListedShard(
        shard["ShardId"], parents, shard["SequenceNumberRange"]["StartingSequenceNumber"]
    )


class KinesisShardReader:
    """Reads one shard of a Kinesis stream; renews expired iterators."""

    def __init__(
        self, client: "KinesisClient", stream: str, shard_id: str, position: Position
    ) -> None:
        self._client = client
        self._stream = stream
        self._shard_id = shard_id
        self._position = position
        self._iterator: str | None = None

    def read(self, limit: int) -> Records:
        """See `ShardReader.read`."""
        kept = self._iterator
        iterator = kept or self._new_iterator()
        # Reset first: after an error, reading continues from the position, not from the iterator.
        self._iterator = None
        with answering():
            try:
                answer = self._client.get_records(
                    ShardIterator=iterator, Limit=min(limit, GET_RECORDS_MOST)
                )
            except ClientError as error:
                if kept and error.response["Error"]["Code"] in _ITERATOR_LOST:
                    return Records((), behind=True, ended=False)
                raise
            records = decoded_records(answer)
            if records is None:
                records = [_record(one) for one in answer["Records"]]
        if records:
            self._position = AfterSequenceNumber(records[-1].sequence_number)
        self._iterator = answer.get("NextShardIterator")
        behind = answer.get("MillisBehindLatest", 0) > 0
        return Records(records, behind=behind, ended=self._iterator is None)

    def _new_iterator(self) -> str:
        where: dict[str, Any]
        match self._position:
            case TrimHorizon():
                where = {"ShardIteratorType": "TRIM_HORIZON"}
            case AtTimestamp(seconds):
                where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds}
            case AfterSequenceNumber(number):
                where = {
                    "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                    "StartingSequenceNumber": number,
                }
        with answering():
            try:
                answer = self._client.get_shard_iterator(
                    StreamName=self._stream, ShardId=self._shard_id, **where
                )
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "InvalidArgumentException":
                        raise PositionLostError(str(error)) from error
                    case "ResourceNotFoundException":
                        raise ShardNotFoundError(str(error)) from error
                raise
            return answer["ShardIterator"]
