"""The decision about one image, for every pair of what the two stores may hold."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from lockstep.audit.compare import difference
from lockstep.repair.decide import Agree, Decision, NeedsOperator, decide
from lockstep.repair.repair import DifferingImage, action_of, in_words
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.stores.image_state import Absent, state_of_document, state_of_item
from shared.event import MAX_VERSION
from shared.horizon import HORIZON
from tests.unit.audit.stand import (
    NOW,
    OLD,
    STAMP,
    YOUNG,
    Stand,
    a_change,
    a_document,
    an_item,
    lying,
)

T1 = [DifferingImage("T1", "conflict")]

type Item = Mapping[str, Any] | None


def put(version: int = 5, content: str = "a") -> dict[str, Any]:
    return an_item(a_change(STAMP + version, content))


def gone(version: int = 5, *, arrived: float = YOUNG) -> dict[str, Any]:
    return an_item(a_change(STAMP + version, None, arrived=arrived))


def doc(
    version: int = 5, content: str | None = "a", *, moved: int = 0, arrived: float = YOUNG, **f: Any
) -> StoredDocument:
    change = a_change(STAMP + version, content, arrived=arrived)
    return a_document(change, STAMP + version + moved, **f)


def counted(version: int, content: str = "a") -> dict[str, Any]:
    return an_item(a_change(version, content))


def counted_doc(
    version: int, content: str = "a", *, checked_version: int | None = None
) -> StoredDocument:
    return a_document(a_change(version, content), checked_version)


LYING_ITEM = an_item(lying(a_change(STAMP + 5)))
LYING_DOC = a_document(lying(a_change(STAMP + 5)))
NEWER_LYING_DOC = a_document(lying(a_change(STAMP + 6)))
VERSIONLESS = {name: value for name, value in put().items() if name != "version"}


@pytest.mark.parametrize(
    ("table", "index", "action"),
    [
        # Both agree.
        (None, None, None),
        (put(), doc(), None),
        (put(), doc(arrived=OLD), None),
        (gone(), doc(content=None), None),
        (gone(arrived=OLD), None, None),
        (None, doc(content=None, arrived=OLD), None),
        (gone(arrived=OLD), doc(content=None, arrived=OLD, version=7), None),
        (gone(arrived=OLD), doc(content=None), None),
        (gone(), doc(content=None, arrived=OLD), None),
        # The table is newer, or alone.
        (put(), None, "write_index"),
        (gone(), None, "write_index"),
        (put(6), doc(5), "write_index"),
        (gone(6), doc(5), "write_index"),
        (put(6), doc(5, None, arrived=OLD), "write_index"),
        (put(6), doc(5, moved=-3), "write_index"),
        (put(), doc(moved=-3), "write_index"),
        # The index is newer, or alone.
        (put(5), doc(6), "write_table"),
        (put(5), doc(6, None), "write_table"),
        (put(5), doc(6, None, arrived=OLD), "write_table"),
        (gone(5), doc(6), "write_table"),
        (None, doc(), "write_table"),
        (None, doc(content=None), "write_table"),
        (gone(5, arrived=OLD), doc(6), "write_table"),
        (put(5), doc(6, moved=2), "write_table"),
        # One version, two contents: the table's.
        (put(content="a"), doc(content="b"), "overwrite_index"),
        (put(), doc(content=None), "overwrite_index"),
        (gone(), doc(), "overwrite_index"),
        (put(), doc(event_type="image.uploaded"), "overwrite_index"),
        (put(), doc(occurred_at="2020-01-01T00:00:00Z"), "overwrite_index"),
        (put(), doc(5, None, arrived=OLD), "overwrite_index"),
        # The index's `_version` moved by hand.
        (put(), doc(moved=1), "republish"),
        (gone(), doc(content=None, moved=1), "republish"),
        (put(), doc(moved=1, name="by hand"), "republish"),
        (put(), doc(4, "z", moved=7), "republish"),
        (counted(5), counted_doc(5, checked_version=6), "forget"),
        (put(), doc(moved=MAX_VERSION), "forget"),
        (put(), a_document(a_change(MAX_VERSION), STAMP + 6), "republish"),
        (counted(5), counted_doc(999, checked_version=6), "forget"),
        (put(5), doc(5, None, arrived=OLD, moved=1), "forget"),
        # What the table has forgotten, or outlived.
        (None, doc(arrived=OLD), "leave_index"),
        (gone(6, arrived=OLD), doc(5), "leave_index"),
        (gone(6, arrived=OLD), doc(7, arrived=OLD), "leave_index"),
        # Malformed in the index: the table knows better, unless it is older.
        (put(), doc(name=None), "overwrite_index"),
        (put(), doc(digest=None), "overwrite_index"),
        (put(), doc(version=5, arrived_at="x"), "overwrite_index"),
        (put(), LYING_DOC, "overwrite_index"),
        (put(6), LYING_DOC, "write_index"),
        (put(), a_document(a_change(STAMP + 5), STAMP + 6, version=None), "republish"),
        (counted(5), a_document(a_change(5), 6, version=None), "forget"),
        (put(), NEWER_LYING_DOC, "tell"),
        (None, LYING_DOC, "tell"),
        (gone(arrived=OLD), LYING_DOC, "tell"),
        # Malformed in the table: the index may know better.
        (LYING_ITEM, doc(6), "write_table"),
        (VERSIONLESS, doc(5), "write_table"),
        (put() | {"version": {"N": "5.5"}}, doc(), "write_table"),
        (LYING_ITEM, doc(5), "republish"),
        (counted(5) | {"deleted": {"N": "0"}}, counted_doc(5), "tell"),
        (LYING_ITEM, doc(4), "tell"),
        (LYING_ITEM, None, "tell"),
        (LYING_ITEM, LYING_DOC, "tell"),
        (LYING_ITEM, doc(content=None, arrived=OLD), "tell"),
        (put() | {"version": {"S": "x"}}, doc(), "tell"),
        (put() | {"version": {"N": "1E+100"}}, doc(), "tell"),
        # What nobody could have sent must not freeze the image.
        (put(5), doc(6, moved=-3, content="z"), "tell"),
        (None, doc(moved=-3), "tell"),
        (put(5), a_document(a_change(MAX_VERSION)), "tell"),
    ],
)
def test_each_pair_of_stored_images_has_its_decision(
    table: Item, index: StoredDocument | None, action: str | None
) -> None:
    decision = decided(table, index)
    assert action_of(decision) == action, in_words(decision)


def decided(table: Item, index: StoredDocument | None) -> Decision:
    stand = Stand()
    stand.hold(table, index)
    return stand.decision()


def holdings(base: int) -> tuple[list[Item], list[StoredDocument | None]]:
    """All that a store may hold: versions, contents, ages and malformations."""
    items: list[Item] = [None]
    documents: list[StoredDocument | None] = [None]
    for version in (base + 5, base + 6):
        for content, arrived in (("a", YOUNG), ("b", OLD), (None, YOUNG), (None, OLD)):
            change = a_change(version, content, arrived=arrived)
            items.append(an_item(change))
            documents += [a_document(change, version + moved) for moved in (-3, 0, 1, 4)]
        whole = a_change(version)
        items += [
            an_item(lying(whole)),
            {name: value for name, value in an_item(whole).items() if name != "version"},
            an_item(whole) | {"version": {"S": "x"}},
        ]
        documents += [
            a_document(lying(whole)),
            a_document(whole, version + 1, version=None),
            a_document(whole, image_id="T2"),
        ]
    return items, documents


PAIRS = [pair for base in (0, STAMP) for pair in itertools.product(*holdings(base))]


def test_the_decision_is_to_do_nothing_exactly_if_an_audit_of_values_finds_no_difference() -> None:
    stand = Stand()
    for item, document in PAIRS:
        stand.hold(item, document)
        table, index = (store.lookup(["T1"]).get("T1") for store in stand.whole_stores)
        kind = difference(table, index, now=NOW)
        assert (stand.decision() == Agree()) == (kind is None), (item, document, kind)


def test_a_repair_makes_any_two_stores_equal_or_reports_and_lowers_no_version() -> None:
    """Every pair, on the real sinks."""
    for item, document in PAIRS:
        stand = Stand()
        stand.hold(item, document)
        before = versions(stand)
        told = isinstance(stand.decision(), NeedsOperator)
        done = stand.mend(T1)
        assert not done.unfinished, (item, document, done)
        assert bool(done.told) == told, (item, document, done)
        if told:
            assert (done.written, versions(stand)) == ({}, before)
        else:
            assert stand.decision() == Agree(), (item, document, done)
        assert done.passes <= 3
        for store, version in versions(stand).items():
            assert version >= before.get(store, 0), (item, document, done)
        again = stand.mend(T1)
        assert (again.passes, again.written) == (0, {})


def versions(stand: Stand) -> dict[str, int]:
    """The version in each store, of entries that are intact and not deleted by the other store."""
    found = {}
    item, document = stand.dynamodb.items.get("T1"), stand.opensearch.documents.get("T1")
    if item is not None:
        held = state_of_item(item)
        if held.version is not None:
            found["table"] = held.version
    if document is not None and document.source is not None:
        hit = {"_id": "T1", "_version": document.version, "_source": document.source}
        index = state_of_document(hit)
        if index.version is not None and index.checked_version == index.version:
            found["index"] = index.version
    return found


def test_the_horizon_is_counted_from_the_arrival_in_the_index() -> None:
    for age, action in ((HORIZON.total_seconds(), "leave_index"), (0, "write_table")):
        index = state_of_document(
            {"_id": "T1", "_version": STAMP, "_source": source_arrived(NOW - age)}
        )
        assert action_of(decide(Absent(), index, now=NOW)) == action


def source_arrived(at: float) -> Mapping[str, Any]:
    source = a_document(a_change(STAMP, arrived=at)).source
    assert source is not None
    return source
