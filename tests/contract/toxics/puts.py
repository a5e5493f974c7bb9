"""Puts onto a real stream through a proxy, and what has arrived there."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from doors.clock import SYSTEM_CLOCK
from lockstep.producing.producer import Producer, PutReport
from shared.clock import Clock
from shared.event import decode
from tests.builders import decoded, image_event
from tests.contract.kinesis.server import client_of
from tests.toxics import Proxy, before

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

# Two requests: the second version of an image waits for the first.
VERSIONS = {"twice": [1, 2], "once": [1]}


def image_id(name: str, number: int) -> str:
    return f"{name}-{number:06}"


class Line(NamedTuple):
    """A stream of its own, and two ways to it: past a proxy, and through it."""

    stream: str
    direct: "KinesisClient"
    proxy: Proxy
    through: "KinesisClient"


@contextmanager
def line_to(kinesis_endpoint: str) -> Iterator[Line]:
    """A producer's line, with nothing spoilt yet."""
    with (
        client_of(kinesis_endpoint) as direct,
        before(kinesis_endpoint) as proxy,
        client_of(proxy.url) as through,
    ):
        yield Line(new_stream(direct), direct, proxy, through)


def new_stream(client: "KinesisClient") -> str:
    """A stream of one shard."""
    name = f"stream-{uuid.uuid4()}"
    client.create_stream(StreamName=name, ShardCount=1)
    client.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return name


def impatient() -> Clock:
    """The real time, but for the pauses between a failure and the next try."""
    skipped = 0.0

    def skip(seconds: float) -> None:
        nonlocal skipped
        skipped += seconds

    return Clock(time.time, lambda: time.monotonic() + skipped, skip, random.random)


def put(
    client: "KinesisClient", stream: str, number: int, clock: Clock = SYSTEM_CLOCK
) -> PutReport:
    """Put a number's events."""
    events = [
        decoded(image_event(image_id(name, number), version))
        for name, versions in VERSIONS.items()
        for version in versions
    ]
    return Producer(client, stream, clock=clock).put(events)


def arrivals(client: "KinesisClient", stream: str) -> dict[str, list[int]]:
    """Each image's versions, as they came."""
    found: dict[str, list[int]] = {}
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    position = client.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    while records := (answer := client.get_records(ShardIterator=position))["Records"]:
        for event in (decode(record["Data"]) for record in records):
            found.setdefault(event.image_id, []).append(event.version)
        position = answer["NextShardIterator"]
    return found
