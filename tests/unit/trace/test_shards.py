"""Reading the shards of an image: what is found, what it costs, and where it ends."""

import itertools

import msgspec
import pytest

from lockstep.stream.kinesis import KeyShards
from lockstep.stream.stream import (
    READ_EVERY_SECONDS,
    ShardNotFoundError,
    StreamDeniedError,
    StreamUnavailableError,
)
from lockstep.trace.shards import (
    PATIENCE_READS,
    ReadingCost,
    ShardsRead,
    is_about,
    read_shards,
)
from tests.builders import image_event
from tests.unit.replay.memory_stream import NAME, START, MemoryStream, MovingClock

IMAGE = "T02680"


def read(
    stream: MemoryStream, time: MovingClock, *, since: float | None = None, at_most: int = 1_000
) -> ShardsRead:
    shards = KeyShards(stream.shards(), 1.0)
    return read_shards(stream, NAME, shards, IMAGE, since=since, at_most=at_most, clock=time.clock)


def stream_and_time(page: int = 1_000) -> tuple[MemoryStream, MovingClock]:
    time = MovingClock()
    return MemoryStream(time, page=page), time


def test_only_records_about_the_image_are_told_with_type_and_version() -> None:
    stream, time = stream_and_time()
    stream.put("another", 1)
    stream.put(IMAGE, 2)
    stream.put_raw(msgspec.json.encode(image_event(IMAGE, 3, "image.deleted")), IMAGE)
    found = read(stream, time)
    assert [(told.detail, told.version) for told in found.told] == [
        ("image.uploaded", 2),
        ("image.deleted", 3),
    ]
    assert (found.records, found.complete) == (3, True)


def test_what_is_no_valid_event_is_told_with_reason_and_readable_version() -> None:
    stream, time = stream_and_time()
    stream.put_raw(msgspec.json.encode(image_event(IMAGE, "7")), IMAGE)
    stream.put_raw(b"\xff", IMAGE)
    # With the key of another image, in the same shard.
    stream.put_raw(msgspec.json.encode(image_event(IMAGE, 8)), "another")
    text, bad, astray = read(stream, time).told
    assert text.detail.startswith("no valid event: number_as_text: ")
    assert (text.version, bad.version, astray.version) == (7, None, 8)
    assert bad.detail.startswith("no valid event: not_utf8: ")
    assert astray.detail.startswith("no valid event: partition_key: ")


def test_a_name_that_contains_the_id_is_not_the_image() -> None:
    event = msgspec.json.encode(image_event("other", 1, image={"name": IMAGE}))
    assert not is_about(IMAGE, "other", event)
    assert is_about("other", "key", event)


def test_it_reads_page_by_page_and_leaves_the_consumers_their_reads() -> None:
    stream, time = stream_and_time(page=2)
    for version in range(1, 6):
        stream.put(IMAGE, version)
    found = read(stream, time)
    assert [told.version for told in found.told] == [1, 2, 3, 4, 5]
    assert time.slept == [READ_EVERY_SECONDS] * 2


def test_it_ends_at_its_beginning_although_records_arrive() -> None:
    stream, time = stream_and_time(page=1)
    stream.put(IMAGE, 1)

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        stream.put(IMAGE, 100)

    stream.put(IMAGE, 2)
    clock = msgspec.structs.replace(time.clock, sleep=sleep)
    shards = KeyShards(stream.shards(), 1.0)
    found = read_shards(stream, NAME, shards, IMAGE, since=None, at_most=1_000, clock=clock)
    assert found.records == 3


def test_a_bound_ends_it_and_a_time_leaves_out_what_is_older() -> None:
    stream, time = stream_and_time(page=1)
    for version, ago in ((1, 300.0), (2, 200.0), (3, 100.0)):
        stream.put(IMAGE, version, ago=ago)
    bounded = read(stream, time, at_most=2)
    assert ([told.version for told in bounded.told], bounded.complete) == ([1, 2], False)
    exact = read(stream, time, at_most=3)
    assert (exact.records, exact.complete) == (3, True)
    since = read(stream, time, since=START - 200.0)
    assert [told.version for told in since.told] == [2, 3]


def test_a_stream_that_is_busy_is_asked_again_and_one_that_refuses_is_not() -> None:
    stream, time = stream_and_time()
    stream.put(IMAGE, 1)
    busy = StreamUnavailableError("throttled")
    stream.errors.extend(itertools.repeat(busy, PATIENCE_READS - 1))
    assert read(stream, time).records == 1
    stream.errors.extend(itertools.repeat(busy, PATIENCE_READS))
    with pytest.raises(StreamUnavailableError, match="throttled"):
        read(stream, time)
    stream.errors.append(StreamDeniedError("no"))
    with pytest.raises(StreamDeniedError):
        read(stream, time)


def test_a_shard_that_expired_meanwhile_has_nothing() -> None:
    stream, time = stream_and_time()
    stream.errors.append(ShardNotFoundError("gone"))
    assert read(stream, time) == ShardsRead([], 0, complete=True)


@pytest.mark.parametrize(
    ("cost", "requests", "seconds"),
    [
        (ReadingCost(1, 0, 0), 2, 0.5),
        (ReadingCost(1, 1, 100), 3, 1.0),
        (ReadingCost(3, 2_500, 100), 9, 3.0),
        (ReadingCost(2, None, None), 4, 1.0),
    ],
)
def test_the_cost_follows_from_shards_and_records(
    cost: ReadingCost, requests: int, seconds: float
) -> None:
    assert (cost.requests, cost.seconds) == (requests, seconds)
