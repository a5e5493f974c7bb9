"""The audit, on two stores in memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from lockstep.audit.audit import SECOND_LOOK_AFTER, Audit, Time, audit
from lockstep.audit.compare import difference
from lockstep.audit.entry import Entry, from_document, from_item
from lockstep.audit.stores import StoreUnreadableError

NOW = 1_795_248_000.0


def entry(image_id: str = "a", version: int = 1, digest: str = "d", guard: int = 0) -> Entry:
    return Entry(image_id, version, deleted=False, digest=digest, guard=guard or version)


def tombstone(image_id: str = "a", version: int = 1, expires_at: int = int(NOW) + 1) -> Entry:
    return Entry(image_id, version, deleted=True, expires_at=expires_at, guard=version)


class Memory:
    """One store's entries; `later` is what a second look finds, `breaks` what reading raises."""

    def __init__(
        self,
        *entries: Entry,
        later: Sequence[Entry] | None = None,
        breaks: Exception | None = None,
    ) -> None:
        self.entries = entries
        self.later = entries if later is None else later
        self.breaks = breaks

    def all(self) -> Iterable[Entry]:
        yield from self.entries
        if self.breaks:
            raise self.breaks

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        return {one.image_id: one for one in self.later if one.image_id in image_ids}


def audited(table: Memory, index: Memory, *, explained: Sequence[str] = ()) -> Audit:
    time = Time(now=lambda: NOW, elapsed=lambda: 0.0, sleep=lambda _seconds: None)
    return audit(table, index, quarantined_images=lambda: explained, time=time)


@pytest.mark.parametrize(
    ("table", "index", "kind"),
    [
        (None, None, None),
        (entry(), entry(), None),
        (tombstone(), tombstone(), None),
        (entry(), None, "missing_in_index"),
        (None, entry(), "missing_in_table"),
        (tombstone(), None, "missing_in_index"),
        (entry(version=2), entry(version=1), "index_behind"),
        (entry(version=1), entry(version=2), "table_behind"),
        (tombstone(version=2), entry(version=1), "index_behind"),
        (entry(digest="d"), entry(digest="e"), "conflict"),
        (entry(), tombstone(), "deleted_in_one"),
        (entry(), entry(guard=2), "index_version_moved"),
        (entry(), Entry("a", malformed="no version"), "malformed"),
        (Entry("a", malformed="no version"), None, "malformed"),
        (tombstone(expires_at=int(NOW)), None, None),
        (None, tombstone(expires_at=int(NOW)), None),
        (tombstone(expires_at=int(NOW)), entry(), "missing_in_table"),
    ],
)
def test_each_difference_has_its_name(
    table: Entry | None, index: Entry | None, kind: str | None
) -> None:
    assert difference(table, index, now=NOW) == kind


def test_equal_stores_are_equal_whatever_their_order() -> None:
    found = audited(Memory(entry("a"), entry("b")), Memory(entry("b"), entry("a")))
    assert (found.result, found.table, found.index, found.differences) == ("equal", 2, 2, {})
    assert found.exit_code == 0


def test_differences_are_counted_by_kind_and_by_what_quarantine_explains() -> None:
    table = Memory(entry("a"), entry("b"), entry("c"))
    index = Memory(entry("c", 2))
    found = audited(table, index, explained=["a", "z"])
    assert found.differences == {
        "explained_by_quarantine": 1,
        "missing_in_index": 2,
        "table_behind": 1,
    }
    assert found.exit_code == 1


def test_a_write_under_way_is_no_difference() -> None:
    index = Memory(later=[entry("a")])
    found = audited(Memory(entry("a")), index)
    assert (found.result, found.table, found.index) == ("equal", 1, 1)


def test_what_differs_anew_at_the_second_look_is_told_as_it_is_then() -> None:
    index = Memory(entry("a", 1), later=[tombstone("a", 2)])
    found = audited(Memory(entry("a", 2)), index)
    assert found.differences == {"deleted_in_one": 1}


def test_the_second_look_waits_once_and_only_when_something_differs() -> None:
    slept: list[float] = []
    time = Time(now=lambda: NOW, elapsed=lambda: 0.0, sleep=slept.append)
    many = [entry(f"i{n}") for n in range(250)]
    audit(Memory(*many), Memory(*many), quarantined_images=list, time=time)
    assert slept == []
    found = audit(Memory(*many), Memory(), quarantined_images=list, time=time)
    assert slept == [SECOND_LOOK_AFTER]
    assert found.differences == {"missing_in_index": 250}


def test_a_store_that_cannot_be_read_to_its_end_leaves_the_answer_open() -> None:
    broken = Memory(entry("a"), breaks=StoreUnreadableError("index images: timeout"))
    found = audited(Memory(entry("a")), broken)
    assert (found.result, found.reason, found.exit_code) == ("unknown", "index images: timeout", 2)


ITEM = {
    "image_id": {"S": "a"},
    "version": {"N": "5"},
    "deleted": {"BOOL": False},
    "digest": {"S": "d"},
}


def test_an_item_and_a_document_of_the_same_image_make_the_same_entry() -> None:
    source = {"image_id": "a", "version": 5, "deleted": False, "digest": "d"}
    document = {"_id": "a", "_version": 5, "_source": source}
    assert from_item(ITEM) == from_document(document) == entry("a", 5)


@pytest.mark.parametrize(
    "change",
    [
        {"version": {"S": "5"}},
        {"version": {"N": "5.5"}},
        {"deleted": {"BOOL": True}},
        {"digest": {"NULL": True}},
        {"deleted": {"N": "0"}},
        {"expires_at": {"S": "soon"}},
        {"version": {"BOOL": True}},
        {"version": {"L": [{"N": "1"}]}},
        {"version": {"M": {}}},
        {"version": {"B": b"1"}},
        {"version": {"SS": ["1"]}},
        {"version": {"N": "123456789012345678901234567890"}},
        {"version": {"N": "1E+100"}},
    ],
)
def test_an_item_that_our_sink_never_wrote_is_malformed(change: dict[str, Any]) -> None:
    assert from_item({**ITEM, **change}).malformed


def test_a_foreign_item_without_our_fields_is_malformed() -> None:
    assert from_item({"image_id": {"S": "a"}}).malformed
