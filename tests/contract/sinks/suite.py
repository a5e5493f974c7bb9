"""The contract of a sink: what the table, the index and the fake in memory must all do alike.

To put a sink under it, write `test_NAME_sink.py` beside this file with one subclass, whose
fixture `store` gives a store of its own, empty, to each test:

    class TestImageTable(SinkContract):
        @pytest.fixture
        def store(self, dynamodb_endpoint: str) -> Store:
            return TableStore(...)

`Store` is the sink and one way to look behind it, not through it: `stored` reads with the
engine's own client, strongly consistent, and decodes the image from what the store really
holds (never from the change that was sent), so that a wrong conversion is found. A test that
only one sink must pass goes into its own file.
"""

import datetime as dt
import itertools
import random
import string
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import pytest

from shared.batch import Delivery
from shared.change import Change, Put, digest_of
from shared.deliver import deliver
from shared.event import (
    MAX_DESCRIPTION_BYTES,
    MAX_EVENT_BYTES,
    MAX_VALUE_BYTES,
    MAX_VERSION,
    Image,
    digest,
)
from shared.outcome import Applied, Conflict, Duplicate, Held, Outcome, Stale, held
from shared.quarantine import QuarantinedRecord
from shared.sink import Sink
from tests.builders import (
    ARRIVED_AT,
    change,
    clock,
    image,
    image_event,
    kinesis_records,
    without_held,
)
from tests.images import whole_image

UPLOADED, UPDATED, DELETED = "image.uploaded", "image.updated", "image.deleted"

CLOCK = clock(now=lambda: dt.datetime(2026, 11, 21, 8, 0, 1, tzinfo=dt.UTC).timestamp())


def plenty() -> float:
    """More seconds than any delivery needs."""
    return 900.0


class Stored(msgspec.Struct, frozen=True):
    """What a store holds of one image, decoded from its own form."""

    version: int
    deleted: bool
    digest: str | None
    expires_at: int | None
    image: Image | None


class Store(Protocol):
    """A sink, and what is really behind it."""

    @property
    def sink(self) -> Sink: ...

    def stored(self, image_id: str) -> Stored | None:
        """What is there now; None when nothing is."""
        ...


def write(sink: Sink, *changes: Change) -> list[Outcome]:
    """Changes of different images, cut into requests as `deliver` does; without what is held."""
    return without_held(
        outcome for request in sink.requests(changes) for outcome in sink.send(request)
    )


def write_each(sink: Sink, *changes: Change) -> list[Outcome]:
    """Changes one after another, which may be of the same image."""
    return [outcome for one in changes for outcome in write(sink, one)]


def as_stored(one: Change) -> Stored:
    """How this change looks once it is in a store."""
    if isinstance(one, Put):
        return Stored(
            one.version, deleted=False, digest=one.digest, expires_at=None, image=one.image
        )
    return Stored(one.version, deleted=True, digest=None, expires_at=one.expires_at, image=None)


class SinkContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("each sink's subclass says what its store is")

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED, DELETED])
    def test_whatever_comes_first_of_an_image_is_stored(
        self, store: Store, event_type: str
    ) -> None:
        first = change("T1", 7, event_type)
        assert store.stored("T1") is None
        assert write(store.sink, first) == [Applied()]
        assert store.stored("T1") == as_stored(first)

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED])
    def test_a_higher_version_replaces_the_whole_image(self, store: Store, event_type: str) -> None:
        rich = change(
            "T1",
            1,
            image=image("rich", description="d", width=1, tags=["a"], attributes={"artist": "x"}),
        )
        poor = change("T1", 2, event_type, image=image("poor", attributes={"medium": "oil"}))
        assert write_each(store.sink, rich, poor) == [Applied(), Applied()]
        assert store.stored("T1") == as_stored(poor)

    @pytest.mark.parametrize("deleted_at", [1, 2, 3])
    def test_the_highest_version_wins_whatever_the_order(
        self, store: Store, deleted_at: int
    ) -> None:
        orders = list(itertools.permutations([1, 2, 3]))
        by_image = [
            [
                change(f"T{number}", version, DELETED if version == deleted_at else UPDATED)
                for version in order
            ]
            for number, order in enumerate(orders)
        ]
        highest = [0] * len(orders)
        for round_of in zip(*by_image, strict=True):
            expected = [
                Applied() if one.version > seen else Stale()
                for one, seen in zip(round_of, highest, strict=True)
            ]
            assert write(store.sink, *round_of) == expected
            highest = [max(one.version, seen) for one, seen in zip(round_of, highest, strict=True)]
        for changes in by_image:
            winner = max(changes, key=lambda one: one.version)
            assert store.stored(winner.image_id) == as_stored(winner)

    @pytest.mark.parametrize("event_type", [UPLOADED, DELETED])
    def test_what_is_held_instead_of_a_change_is_told_with_its_arrival_and_time(
        self, store: Store, event_type: str
    ) -> None:
        occurred_at = "2026-11-21T08:00:00.123456+01:00"
        first = change("T1", 5, event_type, occurred_at=occurred_at)
        its = held(5, ARRIVED_AT, occurred_at)
        assert isinstance(its, Held)
        write(store.sink, first)
        again = change("T1", 5, event_type, occurred_at="2026-11-22T08:00:00Z")
        lower = change("T1", 4, UPDATED)
        other = change("T1", 5, UPDATED, image=image("another"))
        assert [*store.sink.send([again]), *store.sink.send([lower])] == [
            Duplicate(its),
            Stale(its),
        ]
        (conflict,) = store.sink.send([other])
        assert isinstance(conflict, Conflict)
        assert conflict.held == its

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED, DELETED])
    def test_the_same_version_with_the_same_content_is_a_duplicate(
        self, store: Store, event_type: str
    ) -> None:
        one = change("T1", 5, event_type)
        assert write_each(store.sink, one, one, one) == [Applied(), Duplicate(), Duplicate()]
        assert store.stored("T1") == as_stored(one)

    def test_the_same_content_under_another_type_is_a_duplicate_too(self, store: Store) -> None:
        uploaded, updated = change("T1", 5, UPLOADED), change("T1", 5, UPDATED)
        assert write_each(store.sink, uploaded, updated) == [Applied(), Duplicate()]
        assert write_each(store.sink, updated, uploaded) == [Duplicate(), Duplicate()]

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED])
    def test_the_same_version_with_other_content_is_a_conflict_that_names_both(
        self, store: Store, event_type: str
    ) -> None:
        first = change("T1", 5, image=image("one"))
        other = change("T1", 5, event_type, image=image("another"))
        applied, conflict = write_each(store.sink, first, other)
        assert applied == Applied()
        assert isinstance(conflict, Conflict)
        assert str(digest_of(first)) in conflict.detail
        assert str(digest_of(other)) in conflict.detail
        assert store.stored("T1") == as_stored(first)

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED])
    def test_an_image_under_the_version_of_its_tombstone_is_a_conflict(
        self, store: Store, event_type: str
    ) -> None:
        tombstone, put = change("T1", 5, DELETED), change("T1", 5, event_type)
        applied, conflict = write_each(store.sink, tombstone, put)
        assert applied == Applied()
        assert isinstance(conflict, Conflict)
        assert "tombstone" in conflict.detail
        assert str(digest_of(put)) in conflict.detail
        assert store.stored("T1") == as_stored(tombstone)

    def test_a_deletion_under_the_version_of_its_image_is_a_conflict(self, store: Store) -> None:
        put, tombstone = change("T1", 5), change("T1", 5, DELETED)
        applied, conflict = write_each(store.sink, put, tombstone)
        assert applied == Applied()
        assert isinstance(conflict, Conflict)
        assert "tombstone" in conflict.detail
        assert str(digest_of(put)) in conflict.detail
        assert store.stored("T1") == as_stored(put)

    def test_a_late_replay_does_not_bring_a_deleted_image_back(self, store: Store) -> None:
        deleted = change("T1", 5, DELETED)
        write(store.sink, deleted)
        late = [
            change("T1", version, event_type)
            for version in (4, 1)
            for event_type in (UPLOADED, UPDATED, DELETED)
        ]
        assert write_each(store.sink, *late) == [Stale()] * len(late)
        assert store.stored("T1") == as_stored(deleted)

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED])
    def test_an_image_that_comes_back_is_never_purged(self, store: Store, event_type: str) -> None:
        back = change("T1", 3, event_type)
        outcomes = write_each(store.sink, change("T1", 1), change("T1", 2, DELETED), back)
        assert outcomes == [Applied()] * 3
        stored = store.stored("T1")
        assert stored == as_stored(back)
        assert stored is not None
        assert stored.expires_at is None

    def test_outcomes_keep_their_positions_in_a_mixture(self, store: Store) -> None:
        before = [change(f"T{number}", 5) for number in range(4)]
        assert write(store.sink, *before) == [Applied()] * 4
        stale = change("T0", 4)
        duplicate = before[1]
        conflict = change("T2", 5, image=image("another"))
        deleted = change("T3", 6, DELETED)
        new, unknown, tombstone = (
            change("T4", 1),
            change("T5", 1, UPDATED),
            change("T6", 1, DELETED),
        )
        words = {
            "T0": Stale,
            "T1": Duplicate,
            "T2": Conflict,
            "T3": Applied,
            "T4": Applied,
            "T5": Applied,
            "T6": Applied,
        }
        sent = [new, stale, tombstone, conflict, unknown, duplicate, deleted]
        outcomes = write(store.sink, *sent)
        assert [type(outcome) for outcome in outcomes] == [words[one.image_id] for one in sent]
        kept = [before[0], before[1], before[2], deleted, new, unknown, tombstone]
        for one in kept:
            assert store.stored(one.image_id) == as_stored(one)

    def test_many_changes_go_in_several_requests_in_order(self, store: Store) -> None:
        changes = [change(f"T{number}", number + 1) for number in range(130)]
        requests = [list(request) for request in store.sink.requests(changes)]
        assert all(requests)
        assert list(itertools.chain.from_iterable(requests)) == changes
        assert write(store.sink, *changes) == [Applied()] * len(changes)
        for one in changes:
            assert store.stored(one.image_id) == as_stored(one)
        assert write(store.sink, *reversed(changes)) == [Duplicate()] * len(changes)

    def test_nothing_to_write_is_no_request(self, store: Store) -> None:
        assert list(store.sink.requests([])) == []

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"name": "St Catherine’s Chapel, Ærøskøbing, 東京, ไทย"}, id="accents"),
            pytest.param({"name": "e\u0301 is not \u00e9"}, id="not normalised"),
            pytest.param({"name": "one\ntwo\r\nthree\u2028four\ttab"}, id="line ends"),
            pytest.param({"name": "before\x00after\x01\x1f\x7f"}, id="control characters"),
            pytest.param({"name": "🎨👩🏽‍🎨🇬🇧 \U0010ffff"}, id="beyond the first plane"),
            pytest.param({"name": "\"double\" 'single' `back` \\slash\\ ?"}, id="quotes"),
            pytest.param({"name": '{"delete":{"_id":"T2"}}\n{"x":1}'}, id="looks like a request"),
            pytest.param({"name": " ", "description": ""}, id="empty"),
            pytest.param({"name": "true", "attributes": {"year": "007"}}, id="looks like a number"),
            pytest.param({"name": "x", "description": "a b" * 10_922}, id="long description"),
            pytest.param(
                {"name": "x", "description": "é" * (MAX_DESCRIPTION_BYTES // 2)},
                id="one word of 32 KiB",
            ),
            pytest.param(
                {"name": "x" * MAX_VALUE_BYTES, "url": "é" * (MAX_VALUE_BYTES // 2)},
                id="values of 8 KiB",
            ),
            pytest.param(
                {"name": "x", "attributes": {f"name-{n}_" + "n" * 50: "v" for n in range(64)}},
                id="64 attributes",
            ),
            pytest.param({"name": "x", "tags": [f"tag {n}" for n in range(64)]}, id="64 tags"),
            pytest.param({"name": "x", "tags": [], "attributes": {}}, id="empty collections"),
            pytest.param({"name": "x", "tags": ["a", "a", ""]}, id="tags repeat"),
            pytest.param(whole_image(), id="every field"),
        ],
    )
    def test_what_is_stored_is_the_very_image_that_was_sent(
        self, store: Store, fields: dict[str, Any]
    ) -> None:
        first, again = change("T1", 1, image=fields), change("T1", 2, UPDATED, image=fields)
        other = change("T2", 1)
        assert write(store.sink, first, other) == [Applied(), Applied()]
        for one in (first, again):
            write(store.sink, one)
            stored = store.stored("T1")
            assert stored == as_stored(one)
            assert stored is not None
            assert stored.image is not None
            assert stored.digest == digest(stored.image)
        assert store.stored("T2") == as_stored(other)

    @pytest.mark.parametrize(
        "image_id",
        [
            "0",
            "a" * 256,
            string.ascii_letters + string.digits + "._:-",
            "T1..",
            "T1:--",
        ],
    )
    def test_any_image_id_names_its_own_image(self, store: Store, image_id: str) -> None:
        neighbour = change("T", 9)
        one, gone = change(image_id, 1), change(image_id, 2, DELETED)
        assert write(store.sink, neighbour, one) == [Applied(), Applied()]
        assert store.stored(image_id) == as_stored(one)
        assert write(store.sink, gone) == [Applied()]
        assert store.stored(image_id) == as_stored(gone)
        assert store.stored("T") == as_stored(neighbour)

    def test_image_ids_that_differ_in_case_are_different_images(self, store: Store) -> None:
        small, capital = change("t1", 1), change("T1", 2)
        assert write(store.sink, small, capital) == [Applied(), Applied()]
        assert store.stored("t1") == as_stored(small)
        assert store.stored("T1") == as_stored(capital)

    @pytest.mark.parametrize("letter", ["a", "é", "東", "🎨", '"', "\x01"])
    def test_the_biggest_event_fits(self, store: Store, letter: str) -> None:
        biggest = [biggest_change(f"T{number}", letter) for number in range(3)]
        assert write(store.sink, *biggest) == [Applied()] * 3
        for one in biggest:
            assert store.stored(one.image_id) == as_stored(one)

    def test_the_lowest_and_the_highest_version_keep_every_digit(self, store: Store) -> None:
        lowest, nearly, highest = (
            change("T1", version) for version in (1, MAX_VERSION - 1, MAX_VERSION)
        )
        assert write_each(store.sink, lowest, nearly, highest) == [Applied()] * 3
        assert write_each(store.sink, lowest, nearly, highest) == [Stale(), Stale(), Duplicate()]
        assert store.stored("T1") == as_stored(highest)

    def test_replays_in_any_order_leave_the_same_store(self, store: Store) -> None:
        history = _history(images=12, changes=100, seed=20261121)
        winners = {
            one.image_id: as_stored(one) for one in sorted(history, key=lambda one: one.version)
        }
        orders = [history, history[::-1]]
        orders += [random.Random(seed).sample(history, len(history)) for seed in (1, 2)]
        for number, order in enumerate(orders):
            again = [_moved(one, f"order-{number}-") for one in order]
            outcomes = _replay(store.sink, again) + _replay(store.sink, again[::-1])
            assert {type(outcome) for outcome in outcomes} <= {Applied, Duplicate, Stale}
            for image_id, expected in winners.items():
                assert store.stored(f"order-{number}-{image_id}") == expected

    def test_its_own_schema_passes_the_check(self, store: Store) -> None:
        store.sink.check()


def biggest_change(image_id: str, letter: str) -> Change:
    """An event of 256 KiB to the byte, as JSON, made of this letter as far as it goes."""
    attributes = {f"a{number:02}": "" for number in range(64)}
    event = image_event(image_id, 1, image=image("x", attributes=attributes))
    left = MAX_EVENT_BYTES - len(msgspec.json.encode(event))
    escaped = len(msgspec.json.encode(letter)) - len('""')
    for name in attributes:
        count = min(MAX_VALUE_BYTES // len(letter.encode()), left // escaped)
        attributes[name] = letter * count
        left -= count * escaped
    event["image"]["name"] += "x" * left
    assert len(msgspec.json.encode(event)) == MAX_EVENT_BYTES
    return change(image_id, 1, image=event["image"])


def _history(*, images: int, changes: int, seed: int) -> list[Change]:
    """Changes of few images with rising versions, of all three types."""
    chance = random.Random(seed)
    return [
        change(
            f"T{chance.randrange(images)}",
            version,
            chance.choices([UPLOADED, UPDATED, DELETED], [3, 5, 2])[0],
        )
        for version in range(1, changes + 1)
    ]


def _moved(one: Change, prefix: str) -> Change:
    return msgspec.structs.replace(one, image_id=prefix + one.image_id)


def _replay(sink: Sink, changes: Sequence[Change]) -> list[Outcome]:
    """Everything in this order, in sends of different images as a sink demands."""
    outcomes: list[Outcome] = []
    waiting: dict[str, Change] = {}
    for one in changes:
        if one.image_id in waiting:
            outcomes += write(sink, *waiting.values())
            waiting.clear()
        waiting[one.image_id] = one
    return outcomes + write(sink, *waiting.values())


class KeptInMemory:
    """A quarantine."""

    longest_put = 0.0

    def __init__(self) -> None:
        self.records: list[QuarantinedRecord] = []

    def put(self, record: QuarantinedRecord) -> None:
        self.records.append(record)


def delivered_with_none_set_aside(sink: Sink, function: str, *events: dict[str, Any]) -> Delivery:
    """Deliver these; whatever comes of it, none of them is set aside."""
    quarantine = KeptInMemory()
    try:
        return deliver(
            kinesis_records(*events),
            to=sink,
            quarantine=quarantine,
            function=function,
            clock=CLOCK,
            remaining=plenty,
        )
    finally:
        assert quarantine.records == []
