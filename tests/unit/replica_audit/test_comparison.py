"""When a row differs from its item, and when that is proved."""

from typing import Any

import pytest

from functions.write_to_tablestore import guard
from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry
from lockstep.tablestore.comparison import ROWS, RowEntry
from lockstep.tablestore.readers import digest
from lockstep.tablestore.stored_row import flaw_in_guard, same_columns

LABEL = "2026-11-30T01:23:45.678"
V1, V2 = (guard.version(LABEL, f"{at}") for at in (1, 2))
ITEM = RowEntry("k", digest="new")
TOMBSTONE = RowEntry("k", deleted=True, row_version=V1)


def row(version: str = V1, is_digest: str | None = "old", **fields: Any) -> RowEntry:
    return RowEntry("k", digest=is_digest, row_version=version, **fields)


@pytest.mark.parametrize(
    ("record", "replica", "kind"),
    [
        (None, None, None),
        (ITEM, row(is_digest="new"), None),
        (None, TOMBSTONE, None),
        (ITEM, TOMBSTONE, "missing_in_replica"),
        (ITEM, None, "missing_in_replica"),
        (None, row(), "missing_in_source"),
        (ITEM, row(), "other_values"),
        (ITEM, row(malformed="no version"), "malformed_version"),
        (None, row(malformed="no version"), "malformed_version"),
        (None, RowEntry("k", deleted=True, malformed="no time"), "malformed_version"),
        (RowEntry("k", malformed="38 digits"), row(), "unconvertible"),
        (RowEntry("k", malformed="38 digits"), None, "unconvertible"),
    ],
)
def test_each_difference_has_a_name(
    record: Entry | None, replica: Entry | None, kind: str | None
) -> None:
    assert ROWS.difference(record, replica, now=0) == kind
    # What differs is looked up again in the same way.
    suspect = Suspect("k", in_record=True, in_replica=True)
    verdict = ROWS.verdict(suspect, record, replica, until=0, now=1)
    if kind in {None, "unconvertible"}:
        assert verdict == kind
    else:
        assert isinstance(verdict, Suspect)


def looked_up(
    suspect: Suspect, record: Entry | None, replica: Entry | None, *, until: float, now: float
) -> Any:
    return ROWS.verdict(suspect, record, replica, until=until * 1000, now=now)


FIRST = looked_up(Suspect("k", in_record=True, in_replica=True), ITEM, row(), until=99, now=10)


def test_the_same_row_is_proved_another_when_all_from_before_the_first_lookup_is_processed() -> (
    None
):
    assert Suspect("k", in_record=True, in_replica=True, seen=f"10000 {V1}") == FIRST
    # The consumer is not so far yet: the moment of the first lookup stays.
    assert looked_up(FIRST, ITEM, row(), until=9.999, now=20) == FIRST
    assert looked_up(FIRST, ITEM, row(), until=10, now=21) == "other_values"


def test_a_row_that_the_stream_has_written_since_is_equal() -> None:
    assert looked_up(FIRST, ITEM, row(V2), until=0, now=20) is None
    removed = RowEntry("k", deleted=True, row_version=V2)
    assert looked_up(FIRST, ITEM, removed, until=0, now=20) is None


def test_a_row_with_a_lower_version_or_none_was_written_by_hand_and_begins_again() -> None:
    lower = row(guard.lowest_version(LABEL))
    again = looked_up(FIRST, ITEM, lower, until=99, now=20)
    assert again.seen == f"20000 {lower.row_version}"
    again = looked_up(FIRST, ITEM, None, until=99, now=20)
    assert again.seen == "20000 "
    assert looked_up(again, ITEM, None, until=20, now=21) == "missing_in_replica"


def test_a_malformed_version_that_is_higher_proves_nothing() -> None:
    odd = row("zzz", malformed="no version")
    again = looked_up(FIRST, ITEM, odd, until=99, now=20)
    assert again.seen == "20000 zzz"
    assert looked_up(again, ITEM, odd, until=20, now=21) == "malformed_version"


LIVING = {"lockstep_version": V1, "lockstep_at": 1, "lockstep_deleted": False, "a": 1}
DEAD = {
    "lockstep_version": V1,
    "lockstep_at": 1,
    "lockstep_deleted": True,
    "lockstep_purge_at": 1,
}


@pytest.mark.parametrize("sound", [LIVING, DEAD])
def test_what_the_consumer_writes_has_no_flaw(sound: dict[str, Any]) -> None:
    assert flaw_in_guard(sound, LABEL) is None
    earlier = sound | {"lockstep_version": guard.version("2025-01-01T00:00:00.000", "7")}
    assert flaw_in_guard(earlier, LABEL) is None


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (LIVING | {"lockstep_version": 5}, "lockstep_version is no version"),
        (LIVING | {"lockstep_version": f"{LABEL}/1"}, "lockstep_version is no version"),
        (LIVING | {"lockstep_version": guard.version("2027-01-01T00:00:00.000", "1")}, "later"),
        (LIVING | {"lockstep_at": True}, "lockstep_at"),
        (LIVING | {"lockstep_at": 1.0}, "lockstep_at"),
        (LIVING | {"lockstep_deleted": 0}, "lockstep_deleted"),
        (LIVING | {"lockstep_purge_at": 1}, "no tombstone"),
        (DEAD | {"lockstep_purge_at": "1"}, "lockstep_purge_at"),
        (DEAD | {"a": 1}, "columns of an item"),
        *[
            ({name: cell for name, cell in DEAD.items() if name != gone}, gone)
            for gone in DEAD
            if gone != "lockstep_deleted"
        ],
        ({name: cell for name, cell in LIVING.items() if name != "lockstep_deleted"}, "Boolean"),
    ],
)
def test_each_flaw_in_the_columns_of_the_version_is_told(
    changed: dict[str, Any], part: str
) -> None:
    assert part in (flaw_in_guard(changed, LABEL) or "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "a"}, {"a": b"a"}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": ""}, {}),
        ({"a": "b", "c": "d"}, {"a": "d", "c": "b"}),
    ],
)
def test_columns_differ_by_name_type_and_value(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same_columns(one, other)
    assert not same_columns(other, one)
    assert digest(one) != digest(other)


def test_the_order_of_columns_does_not_matter() -> None:
    one: dict[str, Any] = {"a": 1, "b": b"\0"}
    other: dict[str, Any] = {"b": b"\0", "a": 1}
    assert same_columns(one, other)
    assert digest(one) == digest(other)
