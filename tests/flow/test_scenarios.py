"""From the producer to two equal stores, whatever happens on the way."""

import random
import time
from typing import Any

import pytest

from lockstep.producing.producer import Producer
from lockstep.quarantine import keys
from lockstep.stores.entry import Entry
from shared.change import digest_of
from tests.builders import change, decoded, image, image_event
from tests.flow.conftest import World
from tests.flow.scenario import (
    AnswerLost,
    Crashed,
    Happening,
    Name,
    Put,
    Replayed,
    Throttled,
)

TABLE: Name = "write_to_dynamodb"
INDEX: Name = "write_to_es"


def history(seed: int, size: int = 60) -> list[dict[str, Any]]:
    """Uploads, updates, deletions and re-uploads of a dozen images, versions rising per image."""
    chance = random.Random(seed)
    versions: dict[str, int] = {}
    events = []
    for _ in range(size):
        image_id = f"i{chance.randrange(12)}"
        known = image_id in versions
        version = versions[image_id] = versions.get(image_id, 0) + chance.randrange(1, 4)
        kinds = ["image.updated", "image.deleted", "image.uploaded"] if known else []
        kind = chance.choice(kinds or ["image.uploaded"])
        events.append(image_event(image_id, version, kind))
    return events


def folded(events: list[dict[str, Any]]) -> dict[str, tuple[int, bool, str | None]]:
    """The fold of the events: each image's highest version."""
    state = {}
    for event in sorted(events, key=lambda one: one["version"]):
        made = change(
            event["image_id"],
            event["version"],
            event["type"],
            **({"image": event["image"]} if "image" in event else {}),
        )
        state[event["image_id"]] = (made.version, "image" not in event, digest_of(made))
    return state


def said(entries: list[Entry]) -> dict[str, tuple[int, bool, str | None]]:
    return {one.image_id: (one.version, one.deleted, one.digest) for one in entries}


EVENTS = history(1)
MORE = history(2)

SCENARIOS: dict[str, list[Happening]] = {
    "nothing happens": [Put(EVENTS)],
    "a crash before the request": [Crashed(INDEX, after_request=False), Put(EVENTS)],
    "a crash after the request": [
        Crashed(TABLE, after_request=True),
        Crashed(INDEX, after_request=True),
        Put(EVENTS),
    ],
    "an answer is lost": [AnswerLost(TABLE), AnswerLost(INDEX), Put(EVENTS)],
    "the table is throttled beyond an invocation's retries": [Throttled(TABLE, 9), Put(EVENTS)],
    "the index is throttled beyond an invocation's retries": [Throttled(INDEX, 9), Put(EVENTS)],
    "some images are throttled": [
        Throttled(TABLE, 6, frozenset({"i1", "i2"})),
        Throttled(INDEX, 6, frozenset({"i3"})),
        Put(EVENTS),
    ],
    "all is delivered again": [Put(EVENTS), Replayed(TABLE), Replayed(INDEX), Put([])],
    "one consumer is delivered everything again while more arrives": [
        Put(EVENTS),
        Replayed(INDEX),
        Crashed(INDEX, after_request=True),
        Put([event | {"version": event["version"] + 200} for event in MORE]),
    ],
    "everything at once": [
        Throttled(INDEX, 3),
        Crashed(TABLE, after_request=True),
        Put(EVENTS[:30]),
        AnswerLost(INDEX),
        Replayed(TABLE),
        Put(EVENTS[30:]),
        Crashed(INDEX, after_request=False),
        Throttled(TABLE, 5, frozenset({"i5"})),
        Replayed(INDEX),
        Put(EVENTS),
    ],
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_both_stores_end_equal_to_the_fold_of_the_events(
    world: World, scenario: list[Happening]
) -> None:
    world.run(*scenario)
    put = [event for step in scenario if isinstance(step, Put) for event in step.events]
    for store in (world.table, world.index):
        assert said(list(store.scan())) == folded(put)
    assert world.audit().result == "equal"
    assert list(keys(world.clients.s3, world.stack.bucket)) == []


def test_one_stores_outage_never_holds_up_the_other(world: World) -> None:
    Producer(world.clients.kinesis, world.stack.stream).put(decoded(one) for one in EVENTS)
    world.consumers[TABLE].drain(now=time.time())
    assert said(list(world.table.scan())) == folded(EVENTS)
    assert list(world.index.scan()) == []


def test_conflicting_contents_are_set_aside_by_both_and_the_stores_stay_equal(
    world: World,
) -> None:
    other = image_event("a", 5, image=image("something else"))
    world.run(Put([image_event("a", 5), image_event("b")]), Put([other, image_event("c")]))
    quarantined = [key.split("/")[1] for key in keys(world.clients.s3, world.stack.bucket)]
    assert sorted(quarantined) == [TABLE, INDEX]
    assert world.audit().result == "equal"
