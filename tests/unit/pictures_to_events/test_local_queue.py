"""The notifications of a local bucket: none is missed, and each comes until it is settled."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.pictures.alignment import ObjectIdentity
from lockstep.pictures_to_events.batch import SetAside
from lockstep.pictures_to_events.local import LATEST_SECONDS, pause_after, troubled
from lockstep.pictures_to_events.local_queue import BATCH_SIZE, LocalQueue
from lockstep.pictures_to_events.notifications import QueueMessage, told_in

ONE, OTHER = ObjectIdentity('"1"', 100, 5), ObjectIdentity('"2"', 100, 5)
NOW, HIDDEN = 1000.0, 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path: Path) -> Iterator[LocalQueue]:
    found = LocalQueue(path, "pictures")
    yield found
    found.close()


def keys(messages: list[QueueMessage]) -> list[str]:
    told = [told_in(one.body) for one in messages]
    assert {bucket for bucket, _ in told} <= {"pictures"}
    return [key for _, key in told]


def receive(queue: LocalQueue, now: float = NOW) -> list[QueueMessage]:
    return [*queue.receive(now, now + HIDDEN)]


def test_what_is_new_changed_or_gone_is_told_and_nothing_else(queue: LocalQueue) -> None:
    assert queue.note({"a": ONE, "b": ONE, "c": ONE}, NOW) == 3
    assert sorted(keys(receive(queue))) == ["a", "b", "c"]
    assert queue.note({"a": ONE, "b": OTHER, "d": ONE}, NOW) == 3
    assert sorted(keys(receive(queue))) == ["b", "c", "d"]
    assert queue.note({"a": ONE, "b": OTHER, "d": ONE}, NOW) == 0


def test_what_happens_while_the_stack_is_down_is_told_later(path: Path) -> None:
    first = LocalQueue(path, "pictures")
    first.note({"a": ONE, "b": ONE}, NOW)
    first.delete(receive(first))
    first.close()
    again = LocalQueue(path, "pictures")
    assert again.note({"b": ONE}, NOW) == 1
    assert keys(receive(again)) == ["a"]
    again.close()


def test_a_message_comes_again_until_it_is_deleted(queue: LocalQueue) -> None:
    queue.note({"a": ONE}, NOW)
    (first,) = receive(queue)
    assert receive(queue) == []
    (second,) = receive(queue, NOW + HIDDEN)
    assert second == first
    queue.bring_again([second], NOW + 1)
    (third,) = receive(queue, NOW + 1)
    queue.delete([third])
    assert receive(queue, NOW + 10 * HIDDEN) == []
    assert queue.waiting() == 0


def test_a_batch_has_a_limit_and_what_is_set_aside_is_kept(queue: LocalQueue) -> None:
    queue.note({f"k{number:02}": ONE for number in range(BATCH_SIZE + 1)}, NOW)
    messages = receive(queue)
    assert len(messages) == BATCH_SIZE
    queue.set_aside(SetAside(messages[0], "counted version", "image k00 has version 3"), NOW)
    assert queue.letters() == [("counted version", "image k00 has version 3")]


def test_a_list_that_was_slow_once_does_not_put_off_the_next_one() -> None:
    """For example, the first one on a busy machine, whose clients are made meanwhile."""
    assert [pause_after(took) for took in (0.0, 0.2, 4.0, 30.0)] == [1.0, 1.0, 4.0, 10.0]


def test_on_wish_notifications_come_late_several_times_and_out_of_order(path: Path) -> None:
    queue = LocalQueue(path, "pictures", troubled(random.Random(7)))
    named = [f"k{number:02}" for number in range(40)]
    queue.note(dict.fromkeys(named, ONE), NOW)
    assert 40 < queue.waiting() < 120
    came: list[str] = []
    now = NOW
    while queue.waiting():
        while messages := receive(queue, now):
            came += keys(messages)
            queue.delete(messages)
        now += 0.5
    assert now <= NOW + LATEST_SECONDS + 0.5
    assert {*came} == {*named}
    assert [*dict.fromkeys(came)] != named
    assert len(came) > len(named)
    queue.close()
