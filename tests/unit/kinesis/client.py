"""A client without a network: requests and answers as bytes, a clock that stands still."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.server import Reply, reply

START = 1_795_248_000_500  # 2026-11-21T08:00:00.5Z
SECOND, HOUR = 1_000, 3_600_000


@dataclass
class Clock:
    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818 (it is what the endpoint answers, not a fault)
    name: str
    message: str


def message_in(refusal: Mapping[str, str]) -> str:
    """The message of a refusal, under the name that Kinesis gives it."""
    serialization = refusal["__type"] == "SerializationException"
    return refusal["Message" if serialization else "message"]


def answer_of(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Reply:
    """The answer to an operation that has one: not SubscribeToShard."""
    answer = reply(endpoint, headers, body)
    assert isinstance(answer, Reply)
    return answer


@dataclass
class Kinesis:
    """Calls the endpoint as a client would; `Refusal` is raised for what it refuses."""

    endpoint: Endpoint
    clock: Clock = field(default_factory=Clock)

    def __call__(self, operation: str, **request: Any) -> Any:
        answer = self.post(f"Kinesis_20131202.{operation}", msgspec.json.encode(request))
        body = msgspec.json.decode(answer.body) if answer.body else {}
        if answer.status != 200:
            raise Refusal(body["__type"], message_in(body))
        return body

    def post(self, target: str, body: bytes) -> Reply:
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        return answer_of(self.endpoint, headers, body)

    def refusal(self, operation: str, **request: Any) -> Refusal:
        try:
            answer = self(operation, **request)
        except Refusal as refusal:
            return refusal
        raise AssertionError(f"{operation} was answered: {answer}")

    def stream(self, name: str = "pictures", shards: int = 1) -> str:
        self("CreateStream", StreamName=name, ShardCount=shards)
        return name

    def put(self, *data: bytes, stream: str = "pictures", key: str = "T02680") -> list[str]:
        """Sequence numbers of records put one by one."""
        return [
            self("PutRecord", StreamName=stream, Data=each, PartitionKey=key)["SequenceNumber"]
            for each in data
        ]

    def expire(self) -> float:
        """A day and an hour pass, and the stream removes what it held. The time, in seconds."""
        self.clock.now += 25 * HOUR
        list(self.endpoint.store.trim(self.clock.now))
        return self.clock.now / 1000

    def iterator(self, kind: str, shard: int = 0, stream: str = "pictures", **more: Any) -> str:
        answer = self(
            "GetShardIterator",
            StreamName=stream,
            ShardId=f"shardId-{shard:012}",
            ShardIteratorType=kind,
            **more,
        )
        found: str = answer["ShardIterator"]
        return found

    def data(self, iterator: str) -> list[bytes]:
        """What one read gives."""
        answer = self("GetRecords", ShardIterator=iterator)
        return [base64.b64decode(record["Data"]) for record in answer["Records"]]

    def shards(self, stream: str = "pictures", **more: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("ListShards", StreamName=stream, **more)["Shards"]
        return found
