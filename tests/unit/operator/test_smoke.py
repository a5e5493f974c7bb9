"""The smoke test: each part of the way that does not work is named, and the image is removed."""

from collections.abc import Iterable, Mapping, Sequence

import pytest

from lockstep.stack.smoke import SmokeError, SmokeTest
from lockstep.stores.entry import Entry
from shared.clock import Clock
from shared.event import Event

STEPS = [
    "written to the table",
    "written to the index",
    "found by the search",
    "deleted from the table",
    "deleted from the index",
    "gone from the search",
]


class Way:
    """A stream whose events reach a store some seconds later, if it is not in `broken`."""

    def __init__(self, broken: str = "", seconds: float = 3.0) -> None:
        self.events: list[tuple[float, Event]] = []
        self.broken = broken
        self.seconds = seconds
        self._now = 1_795_248_000.0

    def put(self, events: Iterable[Event]) -> None:
        self.events += [(self._now, event) for event in events]

    def arrived(self) -> Sequence[Event]:
        return [event for at, event in self.events if self._now >= at + self.seconds]

    def find(self, text: str) -> Iterable[str]:
        found = {event.image_id: event for event in self.arrived()}
        if self.broken == "the deletion":
            found = {event.image_id: self.events[0][1] for event in self.arrived()}
        return [
            name
            for name, event in found.items()
            if text in name and event.type != "image.deleted" and self.broken != "search"
        ]

    def test(self) -> SmokeTest:
        def sleep(seconds: float) -> None:
            self._now += seconds

        clock = Clock(
            now=lambda: self._now, elapsed=lambda: self._now, sleep=sleep, chance=lambda: 0.0
        )
        stores = {name: Store(self, name) for name in ("table", "index")}
        return SmokeTest(self.put, stores=stores, find=self.find, clock=clock)


class Store:
    def __init__(self, way: Way, name: str) -> None:
        self._way = way
        self._name = name

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        if self._way.broken == self._name:
            return {}
        entries = {event.image_id: self._entry(event) for event in self._way.arrived()}
        return {name: entry for name, entry in entries.items() if name in image_ids}

    def _entry(self, event: Event) -> Entry:
        deleted = event.type == "image.deleted"
        spoiled = self._way.broken == "content" and self._name == "index"
        digest = None if deleted else "0" if spoiled else digest_of_event(event)
        return Entry(
            event.image_id,
            event.version,
            deleted=deleted,
            digest=digest,
            checked_version=event.version,
        )


def digest_of_event(event: Event) -> str:
    return f"digest of {event.image}"


def test_an_image_goes_the_whole_way_and_is_deleted() -> None:
    way = Way()
    found = way.test().run(60, 1.0)
    assert list(found.seconds) == STEPS
    assert [event.type for _, event in way.events] == ["image.uploaded", "image.deleted"]
    assert way.events[0][1].version < way.events[1][1].version
    assert {event.image_id for _, event in way.events} == {found.image_id}


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("table", "was not written to the table within 60 s"),
        ("index", "was not written to the index within 60 s"),
        ("search", "was not found by the search within 60 s"),
        ("content", "differ in image lockstep-smoke-.*: conflict"),
        ("the deletion", "was not gone from the search within 60 s"),
    ],
)
def test_the_part_that_does_not_work_is_named_and_the_image_is_deleted(
    broken: str, says: str
) -> None:
    way = Way(broken)
    with pytest.raises(SmokeError, match=says):
        way.test().run(60, 1.0)
    assert [event.type for _, event in way.events] == ["image.uploaded", "image.deleted"]


def test_a_clock_that_stands_still_does_not_keep_the_image() -> None:
    way = Way(seconds=0)
    way.test().run(60, 1.0)
    assert way.events[0][1].version < way.events[1][1].version
