"""SubscribeToShard, as AWS documents it.

- SUBSCRIBE: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
- EVENT: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShardEvent.html
- LIMITS: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import cbor2
import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer

from lockstep.local.kinesis.consumers import CHANGE_MS
from lockstep.local.kinesis.operations.subscribing import Subscription
from lockstep.local.kinesis.server import Reply, reply
from tests.unit.kinesis.client import SECOND, Kinesis, Refusal, message_in

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"
MINUTE = 60 * SECOND
MIB = 1024 * 1024
SHARD = "shardId-000000000000"


def consumer(kinesis: Kinesis, name: str = "reader") -> str:
    """The ARN of a consumer that is ACTIVE."""
    answer = kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName=name)
    kinesis.clock.now += CHANGE_MS
    arn: str = answer["Consumer"]["ConsumerARN"]
    return arn


def call(kinesis: Kinesis, arn: str, position: Any, shard: str = SHARD) -> Subscription | Reply:
    request = {"ConsumerARN": arn, "ShardId": shard, "StartingPosition": position}
    headers = {
        "x-amz-target": "Kinesis_20131202.SubscribeToShard",
        "content-type": "application/x-amz-json-1.1",
    }
    return reply(kinesis.endpoint, headers, msgspec.json.encode(request))


def subscribe(kinesis: Kinesis, arn: str, kind: str = "TRIM_HORIZON", **more: Any) -> Subscription:
    found = call(kinesis, arn, {"Type": kind, **more})
    assert isinstance(found, Subscription), found
    return found


def refused(kinesis: Kinesis, arn: str, position: Any, shard: str = SHARD) -> str:
    found = call(kinesis, arn, position, shard)
    assert isinstance(found, Reply)
    body = msgspec.json.decode(found.body)
    return Refusal(body["__type"], message_in(body)).name


class Events:
    """What a client gets, one message after the other."""

    def __init__(self, generator: AsyncGenerator[bytes]) -> None:
        self._generator = generator

    async def message(self) -> tuple[dict[str, str], Any]:
        """The headers and the content of the next message."""
        buffer: Any = EventStreamBuffer()
        buffer.add_data(await asyncio.wait_for(anext(self._generator), 10))
        [found] = list(buffer)
        return found.headers, msgspec.json.decode(found.payload)

    async def event(self) -> Any:
        headers, content = await self.message()
        assert headers == {
            ":message-type": "event",
            ":event-type": "SubscribeToShardEvent",
            ":content-type": "application/x-amz-json-1.1",
        }
        return content

    async def data(self) -> list[bytes]:
        event = await self.event()
        return [base64.b64decode(record["Data"]) for record in event["Records"]]

    async def ends(self) -> bool:
        try:
            await asyncio.wait_for(anext(self._generator), 10)
        except StopAsyncIteration:
            return True
        return False


def follow(subscription: Subscription, story: Callable[[Events], Awaitable[None]]) -> None:
    """Run a story of a client, behind the initial response."""

    async def run() -> None:
        async with aclosing(subscription.events()) as generator:
            events = Events(generator)
            headers, content = await events.message()
            assert (headers[":event-type"], content) == ("initial-response", {})
            await story(events)

    asyncio.run(run())


def test_records_are_pushed_as_they_arrive(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE, EVENT."""
    kinesis.stream()
    [number] = kinesis.put(b"one")
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        event = await events.event()
        [record] = event["Records"]
        assert (record["SequenceNumber"], record["Data"]) == (number, "b25l")
        assert event["MillisBehindLatest"] == 0
        assert "ChildShards" not in event
        kinesis.put(b"two", b"three")
        assert await events.data() == [b"two", b"three"]

    follow(subscribe(kinesis, arn), story)


def test_an_event_without_records_says_how_far_it_is(kinesis: Kinesis) -> None:
    """Source: EVENT: `ContinuationSequenceNumber` captures progress without data."""
    kinesis.stream()
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        first = await events.event()
        kinesis.clock.now += SECOND
        second = await events.event()
        assert first["Records"] == second["Records"] == []
        assert first["ContinuationSequenceNumber"] == second["ContinuationSequenceNumber"]

    follow(subscribe(kinesis, arn, "LATEST"), story)


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
@pytest.mark.parametrize("before", [0, 3])
def test_a_continuation_neither_repeats_nor_skips(kinesis: Kinesis, kind: str, before: int) -> None:
    """Source: EVENT: use it with AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER."""
    kinesis.stream()
    kinesis.put(*[b"old"] * before)
    arn = consumer(kinesis)
    continuation = ""

    async def first(events: Events) -> None:
        nonlocal continuation
        event = await events.event()
        assert len(event["Records"]) == before
        continuation = event["ContinuationSequenceNumber"]

    async def then(events: Events) -> None:
        assert await events.data() == [b"new"]

    follow(subscribe(kinesis, arn), first)
    kinesis.put(b"new")
    kinesis.clock.now += 5 * SECOND
    follow(subscribe(kinesis, arn, kind, SequenceNumber=continuation), then)


def test_a_continuation_outlives_its_record(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis.put(b"old", b"older than a day when it is read")
    arn = consumer(kinesis)
    kinesis.expire()
    continuation = ""

    async def first(events: Events) -> None:
        nonlocal continuation
        event = await events.event()
        assert event["Records"] == []
        continuation = event["ContinuationSequenceNumber"]

    async def then(events: Events) -> None:
        assert await events.data() == [b"new"]

    follow(subscribe(kinesis, arn), first)
    kinesis.put(b"new")
    kinesis.clock.now += 5 * SECOND
    follow(subscribe(kinesis, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=continuation), then)


def test_each_position_begins_where_it_says(kinesis: Kinesis) -> None:
    """Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_StartingPosition.html"""
    kinesis.stream()
    numbers = kinesis.put(b"1", b"2")
    kinesis.clock.now += SECOND
    time = kinesis.clock.now / 1000
    kinesis.put(b"3")
    wanted: list[tuple[dict[str, Any], list[bytes]]] = [
        ({"Type": "TRIM_HORIZON"}, [b"1", b"2", b"3"]),
        ({"Type": "LATEST"}, []),
        ({"Type": "AT_TIMESTAMP", "Timestamp": time}, [b"3"]),
        ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"2", b"3"]),
        ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1]}, [b"3"]),
    ]
    for number, (position, data) in enumerate(wanted):

        async def story(events: Events, data: list[bytes] = data) -> None:
            assert await events.data() == data

        found = call(kinesis, consumer(kinesis, f"reader-{number}"), position)
        assert isinstance(found, Subscription)
        follow(found, story)


def test_the_end_of_a_shard_names_its_children(kinesis: Kinesis) -> None:
    """Source: EVENT: `ChildShards` at the end of the shard. The Kinesis Client Library recognizes
    the end by a missing continuation (FanOutRecordsPublisher in awslabs/amazon-kinesis-client).
    """
    kinesis.stream()
    kinesis.put(b"last")
    arn = consumer(kinesis)
    kinesis("SplitShard", StreamName="pictures", ShardToSplit=SHARD, NewStartingHashKey="99")

    async def story(events: Events) -> None:
        event = await events.event()
        assert len(event["Records"]) == 1
        assert [child["ShardId"][-1] for child in event["ChildShards"]] == ["1", "2"]
        assert "ContinuationSequenceNumber" not in event
        assert await events.ends()

    follow(subscribe(kinesis, arn), story)


def test_an_event_has_about_a_mebibyte_and_says_how_late_it_is(kinesis: Kinesis) -> None:
    """Source: EVENT, MillisBehindLatest."""
    kinesis.stream()
    kinesis.put(*[b"x" * (MIB // 2)] * 3)
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        sizes: list[int] = []
        behind: list[int] = []
        while sum(sizes) < 3:
            event = await events.event()
            sizes.append(len(event["Records"]))
            behind.append(event["MillisBehindLatest"])
        assert sizes == [1, 1, 1]
        assert behind == [CHANGE_MS, CHANGE_MS, 0]

    follow(subscribe(kinesis, arn), story)


def test_a_subscription_receives_two_mebibytes_in_a_second(limited: Kinesis) -> None:
    """Source: LIMITS: 2 MiB per second for each consumer and shard."""
    limited.stream()
    for _ in range(4):
        limited.put(b"x" * (MIB - 10))
        limited.clock.now += SECOND
    arn = consumer(limited)

    async def story(events: Events) -> None:
        for _ in range(3):
            assert len(await events.data()) == 1
        fourth = asyncio.create_task(events.data())
        await asyncio.sleep(0.3)
        assert not fourth.done()
        limited.clock.now += SECOND
        assert len(await fourth) == 1

    follow(subscribe(limited, arn), story)


def test_a_subscription_lasts_five_minutes(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE."""
    kinesis.stream()
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        await events.event()
        kinesis.clock.now += 5 * MINUTE - 1
        await events.event()
        kinesis.clock.now += 1
        assert await events.ends()

    follow(subscribe(kinesis, arn), story)


def test_a_second_call_takes_over_after_five_seconds(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE: within 5 seconds it is refused, later the previous connection fails."""
    kinesis.stream()
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        await events.event()
        kinesis.clock.now += 5 * SECOND - 1
        assert refused(kinesis, arn, {"Type": "LATEST"}) == "ResourceInUseException"
        await events.event()
        kinesis.clock.now += 1
        subscribe(kinesis, arn)
        headers, content = await events.message()
        assert headers[":message-type"] == "exception"
        assert headers[":exception-type"] == "ResourceInUseException"
        assert "took over" in content["message"]
        assert await events.ends()

    follow(subscribe(kinesis, arn), story)


def test_other_consumers_and_other_shards_are_independent(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE: per registered consumer per shard."""
    kinesis.stream(shards=2)
    one, other = consumer(kinesis), consumer(kinesis, "other")
    subscribe(kinesis, one)
    subscribe(kinesis, other)
    second = call(kinesis, one, {"Type": "LATEST"}, "shardId-000000000001")
    assert isinstance(second, Subscription)


def test_deleting_the_consumer_ends_the_subscription(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE, ResourceNotFoundException."""
    kinesis.stream()
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        await events.event()
        kinesis("DeregisterStreamConsumer", ConsumerARN=arn)
        kinesis.clock.now += CHANGE_MS
        headers, _ = await events.message()
        assert headers[":exception-type"] == "ResourceNotFoundException"
        assert await events.ends()

    follow(subscribe(kinesis, arn), story)


def test_a_call_that_cannot_succeed_is_refused(kinesis: Kinesis) -> None:
    """Source: SUBSCRIBE, its errors."""
    kinesis.stream()
    answer = kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="new")
    new = answer["Consumer"]["ConsumerARN"]
    latest = {"Type": "LATEST"}
    assert refused(kinesis, new, latest) == "ResourceInUseException"
    kinesis.clock.now += CHANGE_MS
    absent = "shardId-000000000009"
    assert refused(kinesis, new, latest, absent) == "ResourceNotFoundException"
    assert refused(kinesis, new[:-1], latest) == "ResourceNotFoundException"
    assert refused(kinesis, "x", latest) == "ValidationException"
    at = {"Type": "AT_SEQUENCE_NUMBER"}
    assert refused(kinesis, new, at) == "InvalidArgumentException"
    assert refused(kinesis, new, at | {"SequenceNumber": "7"}) == "InvalidArgumentException"
    assert refused(kinesis, new, {"Type": "NOW"}) == "ValidationException"
    future = {"Type": "AT_TIMESTAMP", "Timestamp": kinesis.clock.now / 1000 + 60}
    assert refused(kinesis, new, future) == "InvalidArgumentException"
    subscribe(kinesis, new)  # no refused call counted as a subscription


def test_a_stop_of_the_endpoint_ends_the_subscription(kinesis: Kinesis) -> None:
    kinesis.stream()
    arn = consumer(kinesis)

    async def story(events: Events) -> None:
        await events.event()
        kinesis.endpoint.subscriptions.stop()
        assert await events.ends()

    follow(subscribe(kinesis, arn), story)


def test_events_have_the_form_of_the_request(kinesis: Kinesis) -> None:
    """As the SDK for Java expects them: see test_cbor.py."""
    kinesis.stream()
    kinesis.put(b"\x00\xff")
    request = {
        "ConsumerARN": consumer(kinesis),
        "ShardId": SHARD,
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    }
    headers = {
        "x-amz-target": "Kinesis_20131202.SubscribeToShard",
        "content-type": "application/x-amz-cbor-1.1",
    }
    found = reply(kinesis.endpoint, headers, cbor2.dumps(request))
    assert isinstance(found, Subscription)
    subscription = found

    async def read() -> bytes:
        async with aclosing(subscription.events()) as events:
            return await anext(events) + await anext(events)

    buffer: Any = EventStreamBuffer()
    buffer.add_data(asyncio.run(read()))
    initial, event = list(buffer)
    assert initial.headers[":content-type"] == "application/x-amz-cbor-1.1"
    [record] = cbor2.loads(event.payload, semantic_decoders={1: lambda ms, _: ms})["Records"]
    assert record["Data"] == b"\x00\xff"
