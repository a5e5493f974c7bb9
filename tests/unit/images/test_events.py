"""The events of some images in the stream: which are found, and what reading them costs."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from lockstep.images.events import StreamEvents, read_events_of
from lockstep.stream.kinesis import KeyShards
from tests.builders import image_event
from tests.unit.replay.memory_stream import START, MemoryStream, MovingClock


def read(
    stream: MemoryStream,
    time: MovingClock,
    *image_ids: str,
    since: float = -math.inf,
    most: int = 99,
) -> StreamEvents:
    shards = {image_id: KeyShards(stream.shards(), 1.0) for image_id in image_ids}
    return read_events_of(stream, shards, since=since, at_most=most, clock=time.clock)


def versions(found: StreamEvents) -> Mapping[str, Sequence[int]]:
    return {name: [one.event.version for one in some] for name, some in found.of.items()}


def test_a_shard_that_images_share_is_read_once_and_each_gets_its_own_events() -> None:
    time = MovingClock()
    stream = MemoryStream(time)
    for version in (2, 1):
        stream.put("a", version)
        stream.put("b", version + 5)
        stream.put("c", version)
    found = read(stream, time, "a", "b", "never")
    assert versions(found) == {"a": [2, 1], "b": [7, 6], "never": []}
    assert found.complete
    assert len(stream.reads) == 1


def test_what_the_consumers_quarantine_is_no_event_of_an_image() -> None:
    time = MovingClock()
    stream = MemoryStream(time)
    stream.put_raw(b"{", "a")
    stream.put_raw(msgspec.json.encode(image_event("a", 1)), "another key")
    stream.put("a", int(START * 1e6) + 2 * 86_400 * 1_000_000)
    stream.put("a", 3)
    assert versions(read(stream, time, "a")) == {"a": [3]}


def test_what_arrived_before_is_left_out() -> None:
    time = MovingClock()
    stream = MemoryStream(time)
    stream.put("a", 1, ago=60)
    stream.put("a", 2, ago=5)
    assert versions(read(stream, time, "a", since=START - 10)) == {"a": [2]}
    assert versions(read(stream, time, "a")) == {"a": [1, 2]}


def test_a_bound_that_is_reached_is_told() -> None:
    time = MovingClock()
    stream = MemoryStream(time, page=1)
    for version in (1, 2, 3):
        stream.put("a", version)
    found = read(stream, time, "a", most=2)
    assert (versions(found), found.complete) == ({"a": [1, 2]}, False)
    assert read(stream, time, "a", most=3).complete
