"""The process of a local stack: what is stored, replaced or deleted in its bucket is an event."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from doors.log import new_logger
from lockstep.pictures.within_limits.readers import Readers
from lockstep.pictures_to_events.local import (
    AGAIN_SECONDS,
    LIST_SECONDS,
    LocalPictures,
    align_events,
)
from lockstep.pictures_to_events.local_queue import LocalQueue
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack
from tests.contract.pictures.conftest import Place, picture

NO_ONE = "http://127.0.0.1:1"


@pytest.fixture
def stack(
    place: Place, kinesis_endpoint: str, dynamodb_endpoint: str, s3_endpoint: str, tmp_path: Path
) -> Stack:
    return Stack(
        Endpoints(kinesis_endpoint, dynamodb_endpoint, NO_ONE, s3_endpoint),
        stream=place.name,
        table=place.images,
        index="none",
        bucket="none",
        region=LOCAL_REGION,
        functions={},
        state=str(tmp_path),
        pictures=PictureStores(place.name, place.rows),
    )


@pytest.fixture
def queue(place: Place, tmp_path: Path) -> Iterator[LocalQueue]:
    found = LocalQueue(tmp_path / "queue.db", place.name)
    yield found
    found.close()


@pytest.fixture
def started(stack: Stack, queue: LocalQueue) -> Iterator[Callable[[], LocalPictures]]:
    """Makes a process that has just started: it lists the bucket at its first step."""
    with Readers(1, zone="UTC", gps=False) as readers:
        align, logger = partial(align_events, readers), new_logger("pictures_to_events")
        yield lambda: LocalPictures(Clients(stack), queue, logger, align)


def test_each_change_is_an_event_also_of_what_happened_while_nothing_ran(
    place: Place, started: Callable[[], LocalPictures]
) -> None:
    place.upload("a.jpg", picture())
    place.upload("b.jpg", picture())
    assert started().step()
    place.upload("a.jpg", picture("blue"))
    place.remove("b.jpg")
    assert started().step()
    assert not started().step()
    told = sorted((event.image_id, event.type) for event in place.events())
    assert told == [
        ("a.jpg", "image.updated"),
        ("a.jpg", "image.uploaded"),
        ("b.jpg", "image.deleted"),
        ("b.jpg", "image.uploaded"),
    ]


def test_what_can_never_be_settled_is_kept_and_holds_up_nothing(
    place: Place, started: Callable[[], LocalPictures], queue: LocalQueue
) -> None:
    counted = {"image_id": {"S": "a.jpg"}, "version": {"N": "12"}}
    place.dynamodb.put_item(TableName=place.images, Item=counted)
    place.upload("a.jpg", picture())
    place.upload("b.jpg", picture())
    assert started().step()
    ((reason, detail),) = queue.letters()
    assert reason == "counted version"
    assert "version 12" in detail
    assert [event.image_id for event in place.events()] == ["b.jpg"]
    assert queue.waiting() == 0


def test_while_a_store_does_not_answer_messages_wait(
    place: Place, stack: Stack, started: Callable[[], LocalPictures], queue: LocalQueue
) -> None:
    place.upload("a.jpg", picture())
    place.kinesis.delete_stream(StreamName=place.name)
    running = started()
    with pytest.raises(Exception, match=place.name):
        running.step()
    assert queue.waiting() == 1
    place.kinesis.create_stream(StreamName=place.name, ShardCount=1)
    place.kinesis.get_waiter("stream_exists").wait(StreamName=place.name)
    now = Clients(stack).clock.now() + AGAIN_SECONDS + 1
    (message,) = queue.receive(now, now)
    queue.bring_again([message], 0.0)
    assert started().step()
    assert [event.image_id for event in place.events()] == ["a.jpg"]


def test_the_process_sleeps_until_the_next_list(started: Callable[[], LocalPictures]) -> None:
    process, before = started(), time.monotonic()
    assert process.seconds_to_list(before) == 0.0
    assert not process.step()
    assert process.seconds_to_list(before) == LIST_SECONDS
