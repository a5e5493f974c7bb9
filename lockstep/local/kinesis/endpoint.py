"""What every operation uses: the store, and how a request names its stream."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.local.kinesis.arrivals import Arrivals
from lockstep.local.kinesis.consumers import RegisteredConsumer
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.limits import Limits
from lockstep.local.kinesis.store import Store
from lockstep.local.kinesis.subscriptions import Subscriptions
from lockstep.local.kinesis.tokens import (
    ConsumerPage,
    ExpiredTokenError,
    InvalidTokenError,
    ShardPage,
    StreamPage,
    unseal,
)
from lockstep.local.metrics import Emit, EmittedMetric, emit_nothing
from lockstep.stream.kinesis_file import StoredShard, StoredStream
from lockstep.stream.shards import shard_id, shard_number

type Request = Mapping[str, Any]
type Answer = dict[str, Any] | None

# The second is that of the registration, so a consumer that is registered again has another ARN.
_CONSUMER_ARN = re.compile(r"(?P<stream>.+)/consumer/(?P<name>[^/:]+):(?P<second>\d+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A store, a clock in milliseconds since 1970, limits, and the region and account of ARNs.

    `emit` gets the metrics of streams, as CloudWatch has them.
    """

    store: Store
    now: Callable[[], int]
    limits: Limits
    region: str
    account: str
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    arrivals: Arrivals = field(default_factory=Arrivals)
    emit: Emit = emit_nothing

    def stop(self) -> None:
        """End the requests that wait for records: the endpoint ends."""
        self.subscriptions.stop()
        self.arrivals.stop()

    def arn(self, stream_name: str) -> str:
        """The Amazon resource name of a stream."""
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{stream_name}"

    def measure(self, stream: StoredStream, name: str, value: float) -> None:
        """Emit a metric of a stream."""
        self.emit(EmittedMetric("AWS/Kinesis", name, (("StreamName", stream.name),)), value)

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

    def consumer_arn(self, stream: StoredStream, consumer: RegisteredConsumer) -> str:
        """The Amazon resource name of a registered consumer."""
        return f"{self.arn(stream.name)}/consumer/{consumer.name}:{consumer.created_at // 1000}"

    def consumer(self, request: Request) -> tuple[StoredStream, RegisteredConsumer]:
        """The consumer that a request names, and its stream.

        It is named by `ConsumerARN`, by `StreamARN` and `ConsumerName`, or by all three.

        Raises:
            KinesisError: InvalidArgumentException if it names no consumer or two,
                ResourceNotFoundException if the consumer or its stream does not exist.
        """
        match request:
            case {"ConsumerARN": arn}:
                stream, consumer = self.consumer_of_arn(arn)
                named = (self.arn(stream.name), consumer.name)
                if named != (
                    request.get("StreamARN", named[0]),
                    request.get("ConsumerName", named[1]),
                ):
                    raise invalid(f"ConsumerARN {arn} is not of this StreamARN and ConsumerName")
                return stream, consumer
            case {"StreamARN": stream_arn, "ConsumerName": name}:
                stream = self.stream_of_arn(stream_arn)
                found = self.store.consumers.find(stream, name, self.now())
                if found is None:
                    raise not_found(f"Consumer {name} of {self.describe(stream)} not found.")
                return stream, found
            case _:
                raise invalid("give ConsumerARN, or StreamARN and ConsumerName")

    def consumer_of_arn(self, arn: str) -> tuple[StoredStream, RegisteredConsumer]:
        """The consumer with this resource name, and its stream.

        Raises:
            KinesisError: ResourceNotFoundException.
        """
        parts = _CONSUMER_ARN.fullmatch(arn)
        if parts is None:
            raise not_found(f"{arn} is not the ARN of a consumer.")
        stream = self.stream_of_arn(parts["stream"])
        found = self.store.consumers.find(stream, parts["name"], self.now())
        if found is None or arn != self.consumer_arn(stream, found):
            raise not_found(f"Consumer {arn} not found.")
        return stream, found

    def key_id(self, stream: StoredStream) -> str | None:
        """The key that encrypts new records of the stream; None if they are not encrypted."""
        history = self.store.settings.encryption(stream)
        return history[0].key_id if history else None

    def encryption_answer(self, stream: StoredStream) -> dict[str, str]:
        """The encryption of a stream in a description."""
        key_id = self.key_id(stream)
        if key_id is None:
            return {"EncryptionType": "NONE"}
        return {"EncryptionType": "KMS", "KeyId": key_id}

    def page[T: (ConsumerPage, ShardPage, StreamPage)](self, token: str, kind: type[T]) -> T:
        """The page that a `NextToken` asks for.

        Raises:
            KinesisError: InvalidArgumentException, ExpiredNextTokenException.
        """
        try:
            return unseal(self.store.secret, token, kind, self.now())
        except InvalidTokenError:
            raise invalid("Invalid NextToken.") from None
        except ExpiredTokenError as error:
            raise KinesisError("ExpiredNextTokenException", f"NextToken expired: {error}") from None

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


def check_created(endpoint: Endpoint, stream: StoredStream, request: Request) -> None:
    """Check that a stream was created at the request's `StreamCreationTimestamp`, if it has one.

    Raises:
        KinesisError: ResourceNotFoundException.
    """
    created = request.get("StreamCreationTimestamp")
    if created is not None and milliseconds(created) != stream.created_at:
        raise not_found(f"{endpoint.describe(stream)} was not created at {created}")


def milliseconds(timestamp: float) -> int:
    """A timestamp of a request in milliseconds since 1970."""
    return round(timestamp * 1000)


def invalid(message: str) -> KinesisError:
    """An InvalidArgumentException."""
    return KinesisError("InvalidArgumentException", message)


def not_found(message: str) -> KinesisError:
    """A ResourceNotFoundException."""
    return KinesisError("ResourceNotFoundException", message)


def rate_exceeded(endpoint: Endpoint, stream: StoredStream, shard: int) -> str:
    """The message for a shard that is over its limit."""
    return f"Rate exceeded for shard {shard_id(shard)} in {endpoint.describe(stream)}."


def stop_dry_run(request: Request) -> None:
    """End a valid request that must not be performed.

    Raises:
        KinesisError: DryRunOperationException.
    """
    if request.get("DryRun", False):
        raise KinesisError(
            "DryRunOperationException",
            "the request is valid; it was not performed because of DryRun",
        )
