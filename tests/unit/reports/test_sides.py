"""One image side by side: which fields differ, and how text from a store is shown."""

from typing import Any

import msgspec
import pytest

from lockstep.reports.sides import LONGEST, FieldPair, field_pairs, readable
from shared.change import Change, Put
from shared.event import digest
from tests.unit.audit.stand import NOW, STAMP, a_change, a_document, an_item

CHANGE = a_change(STAMP, "The sea")


def a_hit(change: Change, checked_version: int | None = None, **fields: Any) -> dict[str, Any]:
    stored = a_document(change, checked_version, **fields)
    return {"_id": "T1", "_version": stored.version, "_source": stored.source}


def pairs_of(item: Any, document: Any) -> list[FieldPair]:
    return field_pairs(item, document, now=NOW)


def by_name(pairs: list[FieldPair]) -> dict[str, FieldPair]:
    return {pair.name: pair for pair in pairs}


def renamed(name: str) -> Put:
    assert isinstance(CHANGE, Put)
    other = msgspec.structs.replace(CHANGE.image, name=name)
    return msgspec.structs.replace(CHANGE, image=other, digest=digest(other))


def test_equal_entries_have_no_field_that_differs() -> None:
    pairs = pairs_of(an_item(CHANGE), a_hit(CHANGE))
    assert {pair.mark for pair in pairs} == {"same", "not compared"}
    assert by_name(pairs)["name"] == FieldPair("name", "The sea", "The sea", "same")


def test_exactly_the_field_that_was_changed_is_marked() -> None:
    pairs = pairs_of(an_item(CHANGE), a_hit(renamed("The hill")))
    assert [pair.name for pair in pairs if pair.mark == "differs"] == ["digest", "name"]
    assert by_name(pairs)["name"] == FieldPair("name", "The sea", "The hill", "differs")


def test_another_arrival_is_no_difference_because_an_audit_does_not_compare_it() -> None:
    other = msgspec.structs.replace(renamed("The sea"), arrived_at=CHANGE.arrived_at + 1)
    pairs = by_name(pairs_of(an_item(CHANGE), a_hit(other)))
    assert pairs["arrived_at"].mark == "not compared"
    assert pairs["arrived_at"].record != pairs["arrived_at"].replica


def test_a_moved_version_of_opensearch_is_a_field_of_its_own() -> None:
    pairs = by_name(pairs_of(an_item(CHANGE), a_hit(CHANGE, STAMP + 7)))
    moved = FieldPair("checked_version", None, f"{STAMP + 7}", "differs")
    assert pairs["checked_version"] == moved


@pytest.mark.parametrize("absent", ["record", "replica"])
def test_where_one_store_has_nothing_only_the_state_differs(absent: str) -> None:
    item = None if absent == "record" else an_item(CHANGE)
    document = None if absent == "replica" else a_hit(CHANGE)
    pairs = pairs_of(item, document)
    assert [pair.name for pair in pairs if pair.mark == "differs"] == ["state"]
    assert getattr(by_name(pairs)["state"], absent) == "absent"
    assert {getattr(pair, absent) for pair in pairs if pair.name != "state"} == {None}


def test_a_malformed_entry_says_what_is_wrong_and_shows_what_can_be_read() -> None:
    item = {**an_item(CHANGE), "version": {"S": "two"}}
    pairs = by_name(pairs_of(item, a_hit(CHANGE)))
    assert pairs["state"] == FieldPair("state", "malformed", "image", "differs")
    assert "$.version" in (pairs["malformed"].record or "")
    assert pairs["version"] == FieldPair("version", None, f"{STAMP}", "differs")
    assert pairs["name"] == FieldPair("name", "The sea", "The sea", "same")


def test_long_values_are_cut_around_the_first_character_that_differs() -> None:
    same = "x" * 5_000
    pairs = by_name(
        pairs_of(an_item(renamed(f"{same}one{same}")), a_hit(renamed(f"{same}two{same}")))
    )
    name = pairs["name"]
    assert name.record is not None
    assert name.replica is not None
    assert "one" in name.record
    assert "two" in name.replica
    assert len(name.record) < LONGEST + 40
    assert name.record.endswith("(10,003 characters)")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("北斎", "北斎"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\u200b", "(blank: U+200B)"),
        ("", "(blank)"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_of_a_store_controls_nothing_and_is_never_blank(text: str, seen: str) -> None:
    assert readable(text) == seen
