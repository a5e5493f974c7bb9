"""What every operation uses: the store, and how a request names its stream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.limits import Limits
from lockstep.local.kinesis.store import Store
from lockstep.stream.kinesis_file import StoredShard, StoredStream
from lockstep.stream.shards import shard_id, shard_number

type Request = Mapping[str, Any]
type Answer = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A store, a clock in milliseconds since 1970, limits, and the region and account of ARNs."""

    store: Store
    now: Callable[[], int]
    limits: Limits
    region: str
    account: str

    def arn(self, stream_name: str) -> str:
        """The Amazon resource name of a stream."""
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{stream_name}"

    def stream(self, request: Request) -> StoredStream:
        """The stream that a request names by `StreamName`, `StreamARN` or both.

        Raises:
            KinesisError: InvalidArgumentException if it names no stream or two,
                ResourceNotFoundException if the stream does not exist.
        """
        match request:
            case {"StreamName": name, "StreamARN": arn} if name != arn.partition("/")[2]:
                raise invalid(f"StreamName {name} and StreamARN {arn} are two different streams")
            case {"StreamARN": arn}:
                return self.stream_of_arn(arn)
            case {"StreamName": name}:
                return self.stream_of_arn(self.arn(name))
            case _:
                raise invalid("give StreamName, StreamARN or both")

    def stream_of_arn(self, arn: str) -> StoredStream:
        """The stream with this resource name.

        Raises:
            KinesisError: ResourceNotFoundException.
        """
        name = arn.partition("/")[2]
        found = self.store.find_stream(name)
        if found is None or arn != self.arn(name):
            named = f"Stream {name}" if arn == self.arn(name) else arn
            raise not_found(f"{named} under account {self.account} not found.")
        return found

    def shard(self, stream: StoredStream, identifier: str) -> StoredShard:
        """The stream's shard with this ID, open or closed, but not expired.

        Raises:
            KinesisError: ResourceNotFoundException.
        """
        number = shard_number(identifier)
        found = None if number is None else self.store.find_shard(stream, number)
        if found is None or found.expired(stream.horizon(self.now())):
            raise not_found(f"Could not find shard {identifier} in {self.describe(stream)}.")
        return found

    def describe(self, stream: StoredStream) -> str:
        """The stream's name in messages."""
        return f"stream {stream.name} under account {self.account}"


def shard_answer(shard: StoredShard) -> dict[str, Any]:
    """A shard in a response."""
    numbers = {"StartingSequenceNumber": str(shard.starting_number)}
    if shard.ending_number is not None:
        numbers["EndingSequenceNumber"] = str(shard.ending_number)
    answer: dict[str, Any] = {
        "ShardId": shard_id(shard.number),
        "HashKeyRange": hash_range_answer(shard),
        "SequenceNumberRange": numbers,
    }
    if shard.parent is not None:
        answer["ParentShardId"] = shard_id(shard.parent)
    if shard.adjacent_parent is not None:
        answer["AdjacentParentShardId"] = shard_id(shard.adjacent_parent)
    return answer


def hash_range_answer(shard: StoredShard) -> dict[str, str]:
    """The hash keys of a shard in a response."""
    return {
        "StartingHashKey": str(shard.range.start),
        "EndingHashKey": str(shard.range.end),
    }


def milliseconds(timestamp: float) -> int:
    """A timestamp of a request in milliseconds since 1970."""
    return round(timestamp * 1000)


def invalid(message: str) -> KinesisError:
    """An InvalidArgumentException."""
    return KinesisError("InvalidArgumentException", message)


def not_found(message: str) -> KinesisError:
    """A ResourceNotFoundException."""
    return KinesisError("ResourceNotFoundException", message)
