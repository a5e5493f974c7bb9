"""The stream behind the mapping: an interface, and any Kinesis endpoint through boto3."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:  # stubs, which only a contributor has
    from types_boto3_kinesis import KinesisClient

GET_RECORDS_MOST = 10_000
_SECONDS_AN_HOUR = 3600
# What a read says when its iterator is of no use any more: a new one helps.
_ITERATOR_LOST = frozenset({"ExpiredIteratorException", "InvalidArgumentException"})


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as the stream keeps it; `arrived_at` is in milliseconds since 1970."""

    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: int


class ListedShard(msgspec.Struct, frozen=True):
    """One shard of the stream, and the shards that were split or merged into it."""

    shard_id: str
    parents: frozenset[str]
    starting_number: str

    def may_have_issued(self, sequence_number: str) -> bool:
        """Whether a number can be this shard's, and not one of an earlier stream's shard."""
        return int(sequence_number) >= int(self.starting_number)


class TrimHorizon(msgspec.Struct, frozen=True):
    """From the oldest record that the stream still has."""


class AtTimestamp(msgspec.Struct, frozen=True):
    """From the first record that arrived at this time, in seconds since 1970, or later."""

    seconds: float


class AfterSequenceNumber(msgspec.Struct, frozen=True):
    """From the record after this one."""

    sequence_number: str


type Position = TrimHorizon | AtTimestamp | AfterSequenceNumber


class Records(msgspec.Struct, frozen=True):
    """What a read brought.

    `behind`: the shard has more already. `ended`: the shard is closed and this was the last of it.
    """

    records: Sequence[StreamRecord]
    behind: bool
    ended: bool


class StreamUnavailableError(Exception):
    """The stream does not answer now, or asks for patience; trying again later may work."""


class ShardNotFoundError(StreamUnavailableError):
    """The stream, if there is one, has no such shard."""


class PositionLostError(Exception):
    """The stream does not know the position: it was made again, or is an older copy."""


class ShardReader(Protocol):
    """One shard, read in order."""

    def read(self, limit: int) -> Records:
        """The next records, at most so many, perhaps none. After an error, goes on where it was.

        Raises:
            StreamUnavailableError: nothing was read.
            ShardNotFoundError: nothing was read, perhaps because the shard has expired.
            PositionLostError: the shard cannot be read from where it was.
        """
        ...


class Stream(Protocol):
    """A stream of shards."""

    def retention(self) -> float:
        """How long a record is kept, in seconds.

        Raises:
            StreamUnavailableError: not known now.
        """
        ...

    def shards(self) -> Sequence[ListedShard]:
        """All shards that hold records, closed ones too.

        Raises:
            StreamUnavailableError: not known now.
        """
        ...

    def reader(self, shard_id: str, position: Position) -> ShardReader:
        """A reader that starts there; asks nothing of the stream before its first `read`."""
        ...


class KinesisStream:
    """A stream at any Kinesis endpoint, AWS's or a local one, through a boto3 client.

    The client should not retry by itself: the mapping does, and says so.
    """

    def __init__(self, client: "KinesisClient", name: str) -> None:
        self._client = client
        self._name = name

    def retention(self) -> float:
        """See `Stream.retention`."""
        with answering():
            answer = self._client.describe_stream_summary(StreamName=self._name)
            hours = answer["StreamDescriptionSummary"]["RetentionPeriodHours"]
        return float(hours * _SECONDS_AN_HOUR)

    def shards(self) -> Sequence[ListedShard]:
        """See `Stream.shards`."""
        found: list[ListedShard] = []
        request: dict[str, Any] = {"StreamName": self._name}
        while request:
            with answering():
                answer = self._client.list_shards(**request)
                for shard in answer["Shards"]:
                    above = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
                    parents = frozenset(parent for parent in above if parent)
                    number = shard["SequenceNumberRange"]["StartingSequenceNumber"]
                    found.append(ListedShard(shard["ShardId"], parents, number))
            token = answer.get("NextToken")
            request = {"NextToken": token} if token else {}
        return found

    def reader(self, shard_id: str, position: Position) -> "KinesisShardReader":
        """See `Stream.reader`."""
        return KinesisShardReader(self._client, self._name, shard_id, position)


class KinesisShardReader:
    """One shard of a Kinesis stream: keeps its position, and renews iterators that expired."""

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
        # Forgotten first: after any error the position, not the iterator, says where to go on.
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
            records = [
                StreamRecord(
                    record["SequenceNumber"],
                    record["PartitionKey"],
                    record["Data"],
                    round(record["ApproximateArrivalTimestamp"].timestamp() * 1000),
                )
                for record in answer["Records"]
            ]
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


@contextmanager
def answering() -> Iterator[None]:
    """What keeps the stream from answering in full, as a StreamUnavailableError.

    An answer that lacks what it always has was cut off: botocore makes an empty one of a server
    that died while it answered. It must not pass for the end of a shard.
    """
    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise StreamUnavailableError(str(error)) from error
    except KeyError as error:
        raise StreamUnavailableError(f"the answer was cut off: it has no {error}") from error
