"""The decision about one image, for every pair of what the two stores may hold."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from lockstep.audit.compare import difference
from lockstep.repair.decide import Agree, Ahead, Decision, NeedsOperator, RecreateDocument, decide
from lockstep.repair.repair import DifferingImage, action_of, in_words
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.stores.image_state import (
    Absent,
    ImageState,
    Malformed,
    state_of_document,
    state_of_item,
)
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
        (counted(1), counted_doc(1, checked_version=0), "write_index"),
        # The index is newer, or alone.
        (put(5), doc(6), "image"),
        (put(5), doc(6, None), "removal"),
        (put(5), doc(6, None, arrived=OLD), "removal"),
        (gone(5), doc(6), "image"),
        (gone(5), doc(6, None), "removal"),
        (gone(5), doc(6, None, arrived=OLD), "removal"),
        (None, doc(), "image"),
        (None, doc(content=None), "removal"),
        (gone(5, arrived=OLD), doc(6), "image"),
        (gone(5, arrived=OLD), doc(6, None), "removal"),
        (put(5), doc(6, moved=2), "image"),
        (put(5), doc(6, arrived=OLD), "image"),
        # One version, two contents: the table's.
        (put(content="a"), doc(content="b"), "overwrite_index"),
        (put(), doc(content=None), "overwrite_index"),
        (gone(), doc(), "overwrite_index"),
        (put(), doc(event_type="image.uploaded"), "overwrite_index"),
        (put(), doc(occurred_at="2020-01-01T00:00:00Z"), "overwrite_index"),
        (put(), doc(5, None, arrived=OLD), "overwrite_index"),
        # The index's `_version` moved by hand: the content is not newer.
        (put(), doc(moved=1), "forget"),
        (gone(), doc(content=None, moved=1), "forget"),
        (put(), doc(moved=1, name="by hand"), "forget"),
        (put(), doc(4, "z", moved=7), "forget"),
        (counted(5), counted_doc(5, checked_version=6), "forget"),
        (put(), doc(moved=MAX_VERSION), "forget"),
        (put(5), doc(5, None, arrived=OLD, moved=1), "forget"),
        # What the table has forgotten, or outlived.
        (None, doc(arrived=OLD), "outlived"),
        (gone(6, arrived=OLD), doc(5), "outlived"),
        (gone(6, arrived=OLD), doc(6), "outlived"),
        (gone(6, arrived=OLD), doc(5, None), "outlived"),
        (gone(6, arrived=OLD), doc(7, arrived=OLD), "outlived"),
        # Malformed in the index: the table knows better, unless the document claims to be newer.
        (put(), doc(name=None), "overwrite_index"),
        (put(), doc(digest=None), "overwrite_index"),
        (put(), doc(version=5, arrived_at="x"), "overwrite_index"),
        (put(), LYING_DOC, "overwrite_index"),
        (put(6), LYING_DOC, "write_index"),
        (put(), doc(moved=1, digest=None), "forget"),
        (put(), NEWER_LYING_DOC, "image"),
        (gone(), NEWER_LYING_DOC, "image"),
        (put(), doc(6, None, expires_at=None), "removal"),
        (put(), a_document(a_change(STAMP + 5), STAMP + 6, version=None), "image"),
        (put(), a_document(a_change(STAMP + 5, None), STAMP + 6, version=None), "removal"),
        (None, LYING_DOC, "image"),
        (None, doc(content=None, event_type="x"), "removal"),
        (None, doc(digest=None, arrived=OLD), "outlived"),
        (None, doc(arrived_at=None), "image"),
        (gone(arrived=OLD), LYING_DOC, "outlived"),
        (gone(4, arrived=OLD), LYING_DOC, "image"),
        # Malformed in the table: only the index may have a sound image.
        (LYING_ITEM, doc(6), "malformed"),
        (LYING_ITEM, doc(6, None), "malformed"),
        (VERSIONLESS, doc(5), "malformed"),
        (put() | {"version": {"N": "5.5"}}, doc(), "malformed"),
        (LYING_ITEM, doc(5), "malformed"),
        (counted(5) | {"deleted": {"N": "0"}}, counted_doc(5), "malformed"),
        (LYING_ITEM, doc(4), "malformed"),
        (put() | {"version": {"S": "x"}}, doc(), "malformed"),
        (put() | {"version": {"N": "1E+100"}}, doc(), "malformed"),
        (LYING_ITEM, None, "decide"),
        (LYING_ITEM, LYING_DOC, "decide"),
        (LYING_ITEM, NEWER_LYING_DOC, "decide"),
        (LYING_ITEM, doc(content=None, arrived=OLD), "decide"),
        (LYING_ITEM, doc(6, None, arrived=OLD), "decide"),
        # What nobody could have sent: an operator answers.
        (put(5), doc(6, moved=-3, content="z"), "image"),
        (put(5), doc(6, moved=-3), "image"),
        (None, doc(moved=-3), "image"),
        (put(5), a_document(a_change(MAX_VERSION)), "image"),
        (put(5), a_document(a_change(MAX_VERSION, None)), "removal"),
        (put(), a_document(a_change(MAX_VERSION), STAMP + 6), "image"),
        (counted(5), counted_doc(999, checked_version=6), "image"),
    ],
)
def test_each_pair_of_stored_images_has_its_decision(
    table: Item, index: StoredDocument | None, action: str | None
) -> None:
    """The action, or the kind of what the index is ahead with."""
    decision = decided(table, index)
    found = decision.kind if isinstance(decision, Ahead) else action_of(decision)
    assert found == action, in_words(decision)


def test_a_document_is_removed_only_as_it_was_read() -> None:
    assert decided(put(), doc(moved=7)) == RecreateDocument("T1", STAMP + 12)


NO_INTEGER = "without a version (invalid literal for int() with base 10: '5.5')"
FIVE, SIX = f"of version {STAMP + 5}", f"of version {STAMP + 6}"


@pytest.mark.parametrize(
    ("table", "index", "said"),
    [
        (None, doc(), f"the index has an image {FIVE}, the table nothing"),
        (put(), doc(6, None), f"the index has a tombstone {SIX}, the table an image {FIVE}"),
        (gone(), doc(6), f"the index has an image {SIX}, the table a tombstone {FIVE}"),
        (
            put() | {"version": {"N": "5.5"}},
            doc(),
            f"the index has an image {FIVE}, the table a malformed entry {NO_INTEGER}",
        ),
    ],
)
def test_what_the_index_is_ahead_with_is_said_in_words(
    table: Item, index: StoredDocument, said: str
) -> None:
    decision = decided(table, index)
    assert isinstance(decision, Ahead)
    assert decision.why == in_words(decision) == said


def test_of_a_malformed_document_it_is_said_which_answer_settles_it() -> None:
    said = in_words(decided(None, LYING_DOC))
    assert said.endswith("the table nothing: only `audit --repair --table-wins FILE` settles it")


@pytest.mark.parametrize(
    ("table", "index", "kind"),
    [
        (None, doc(), "explained"),
        (None, doc(arrived=OLD), "explained"),
        (None, doc(content=None), "explained"),
        (None, LYING_DOC, "explained"),
        (gone(arrived=OLD), doc(), "explained"),
        (put(5), doc(6), "image"),
        (LYING_ITEM, doc(), "malformed"),
    ],
)
def test_what_only_the_index_has_is_explained_by_a_record_that_the_tables_consumer_quarantined(
    table: Item, index: StoredDocument, kind: str
) -> None:
    stand = Stand()
    stand.hold(table, index)
    decision = decide(*stand.held(), now=NOW, explained=True)
    assert isinstance(decision, Ahead)
    assert decision.kind == kind


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


def test_a_repair_changes_nothing_in_the_table_and_nothing_that_the_index_is_ahead_with() -> None:
    """Every pair, on the real sinks."""
    for item, document in PAIRS:
        stand = Stand()
        stand.hold(item, document)
        decision = stand.decision()
        before = stand.dynamodb.items.copy(), stand.opensearch.documents.copy()
        newest = newest_claim(stand)
        done = stand.mend(T1)
        assert not done.not_repaired, (item, document, done)
        assert (done.ahead, bool(done.undecided)) == (
            isinstance(decision, Ahead),
            isinstance(decision, NeedsOperator),
        )
        assert (stand.dynamodb.items, stand.dynamodb.journal) == (before[0], [])
        if isinstance(decision, Agree | Ahead | NeedsOperator):
            assert (done.written, stand.opensearch.documents) == ({}, before[1])
        else:
            assert stand.decision() == Agree(), (item, document, done)
            assert newest_claim(stand) >= newest, (item, document)
        assert done.passes <= 2
        again = stand.mend(T1)
        assert (again.passes, again.written) == (0, {})


def newest_claim(stand: Stand) -> int:
    """The highest version that either store states; an expired tombstone counts, too."""
    found = (getattr(one, "version", None) for one in stand.held())
    return max((one for one in found if one is not None), default=0)


@pytest.mark.parametrize("index", [Absent(), Malformed("not ours", STAMP, STAMP)])
def test_an_operator_is_told_what_to_do_about_a_malformed_item(index: ImageState) -> None:
    item = state_of_item(LYING_ITEM)
    assert isinstance(item, Malformed)
    assert decide(item, index, now=NOW) == NeedsOperator(
        f"the item is malformed: {item.why}; the index cannot replace it: put the image again"
    )


def test_the_horizon_is_counted_from_the_arrival_in_the_index() -> None:
    horizon = HORIZON.total_seconds()
    for age, kind in ((horizon, "outlived"), (horizon - 1, "image")):
        index = state_of_document(
            {"_id": "T1", "_version": STAMP, "_source": source_arrived(NOW - age)}
        )
        decision = decide(Absent(), index, now=NOW)
        assert isinstance(decision, Ahead)
        assert decision.kind == kind


def source_arrived(at: float) -> Mapping[str, Any]:
    source = a_document(a_change(STAMP, arrived=at)).source
    assert source is not None
    return source
