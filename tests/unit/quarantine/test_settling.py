"""Choices and corrections: the winner gets a free version, and a trace is stored."""

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quarantine.cases import Ready, TooOld
from lockstep.quarantine.settlement import (
    CannotSettleError,
    Settlement,
    choose,
    correct,
    new_version,
    read_correction,
)
from lockstep.stores.contents import Content, MalformedContentError, content_of
from shared.event import Image, decode
from tests.builders import ARRIVED_AT, image, image_event, largest
from tests.unit.quarantine.stand import AGE, DAY, NOW, Crash, Stand, content

STAMP = int(NOW * 1_000_000)


def conflict(version: int = 5) -> Stand:
    stand = Stand()
    stand.set_aside(image_event("T1", version, image=image("this")), reason="conflict")
    return stand


def chosen(stand: Stand, what: Any) -> Settlement:
    case = stand.only()
    return choose(what, case, stand.payload_of(case), stand.stores, now=stand.now)


def mended(stand: Stand, event: dict[str, Any]) -> Settlement:
    case = stand.only()
    raw = msgspec.Raw(msgspec.json.encode(event))
    data = stand.payload_of(case)
    return correct(case, data, raw, stand.stores, now=stand.now)


def settle(stand: Stand, settlement: Settlement) -> None:
    stand.redrive.settle([settlement], {})


def without(event: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in fields}


def test_choosing_this_puts_it_with_a_new_version_and_settles_both_consumers() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", 5)
    settle(stand, chosen(stand, "this"))
    (event,) = stand.stream
    assert (event.version, event.image.name if event.image else "") == (6, "this")
    assert stand.under("quarantine/") == []
    (key, _) = stand.under("redriven/write")
    assert stand.trace(key)["how"] == "chose_this"
    assert stand.trace(key)["event"]["version"] == 6


def test_choosing_what_both_stores_hold_puts_nothing() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", 5)
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])
    assert len(stand.under("redriven/write")) == 2


def test_choosing_stored_where_the_stores_differ_makes_them_equal() -> None:
    stand = conflict()
    stand.table["T1"] = content("T1", 5, image=image("in the table"))
    stand.index["T1"] = content("T1", 5, image=image("in the index"))
    settle(stand, chosen(stand, "stored"))
    (event,) = stand.stream
    assert (event.version, event.image.name if event.image else "") == (6, "in the table")


def test_what_is_stored_with_a_time_that_ends_in_a_small_z_can_be_chosen() -> None:
    stand = conflict()
    stand.table["T1"] = Content(5, "2026-11-21T08:00:00z", Image("in the table"))
    settle(stand, chosen(stand, "stored"))
    (event,) = stand.stream
    assert event.occurred_at == dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize("occurred_at", ["yesterday", "", "2026-11-21T08:00:00"])
def test_stored_content_without_a_valid_time_is_reported_and_can_be_replaced(
    occurred_at: str,
) -> None:
    stand = conflict()
    stand.table["T1"] = Content(5, occurred_at, Image("in the table"))
    with pytest.raises(MalformedContentError, match=r"T1: occurred_at .* `--choose this`"):
        chosen(stand, "stored")
    settle(stand, chosen(stand, "this"))
    assert [event.version for event in stand.stream] == [6]


def test_choosing_this_does_not_overwrite_a_newer_version() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", 9)
    with pytest.raises(CannotSettleError, match="version 9 has been stored"):
        chosen(stand, "this")
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])


def test_choosing_this_again_after_a_crash_puts_nothing_twice() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", 5)
    stand.objects.crash_after = 0
    with pytest.raises(Crash):
        settle(stand, chosen(stand, "this"))
    stand.objects.crash_after = None
    stand.table["T1"] = stand.index["T1"] = content("T1", 6, image=image("this"))
    settle(stand, chosen(stand, "this"))
    assert (len(stand.stream), stand.under("quarantine/")) == (1, [])


def test_chosen_content_that_is_too_large_for_the_stream_is_reported() -> None:
    stand = Stand()
    # A version with a digit more, and a time with five.
    large = largest("T1", version=9, occurred_at="2026-11-21T08:00:00.1Z")
    stand.set_aside(large, partition_key="T1", reason="conflict")
    stand.index["T1"] = content("T1", 9)
    with pytest.raises(CannotSettleError, match="too_large"):
        chosen(stand, "this")
    stand.table["T1"] = content_of(decode(large))
    with pytest.raises(CannotSettleError, match="too_large"):
        chosen(stand, "stored")


def test_only_a_conflict_can_be_settled_by_a_choice() -> None:
    stand = Stand()
    stand.set_aside()
    with pytest.raises(CannotSettleError, match="is not a conflict"):
        chosen(stand, "this")


def test_stored_cannot_be_chosen_if_nothing_is_stored() -> None:
    with pytest.raises(CannotSettleError, match="nothing is stored"):
        chosen(conflict(), "stored")


BAD = image_event("T1", 5, unknown="field")


def test_a_corrected_event_keeps_its_version_if_it_is_free() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    settle(stand, mended(stand, without(image_event("T1"), "version")))
    assert [event.version for event in stand.stream] == [5]
    assert stand.under("quarantine/") == []
    key = stand.under("redriven/write_to_es")[0]
    assert stand.trace(key)["how"] == "mended"
    assert stand.trace(key)["event"]["image_id"] == "T1"


def test_a_corrected_event_whose_version_is_taken_gets_a_new_one() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", 5, image=image("other"))
    settlement = mended(stand, without(image_event("T1"), "version"))
    assert "has other content" in settlement.note
    settle(stand, settlement)
    assert [event.version for event in stand.stream] == [6]


def test_the_same_content_with_the_same_version_is_no_conflict() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", 5)
    settle(stand, mended(stand, image_event("T1", 5)))
    assert [event.version for event in stand.stream] == [5]


def test_a_corrected_event_does_not_undo_later_events() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", 9)
    settlement = mended(stand, image_event("T1", 5))
    assert settlement.event is None
    assert "only a higher version would win" in settlement.note
    assert mended(stand, image_event("T1", 10)).event is not None


def test_a_corrected_event_without_version_gets_one_above_the_stored_one() -> None:
    stand = Stand()
    stand.set_aside(b"\xff")
    event = without(image_event("T02680"), "version", "occurred_at")
    settlement = mended(stand, event)
    assert settlement.event is not None
    assert settlement.event.version == STAMP
    assert round(settlement.event.occurred_at.timestamp() * 1000) == ARRIVED_AT
    stand.table["T02680"] = content("T02680", 9)
    again = mended(stand, event)
    assert again.event is not None
    assert again.event.version == 10


def test_a_record_that_is_too_old_is_redriven_only_with_a_new_version() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 5))
    stand.now += AGE.total_seconds()
    settlement = mended(stand, image_event("T1", 5))
    assert "too old" in settlement.note
    assert settlement.event is not None
    assert settlement.event.version == 6


@pytest.mark.parametrize("asked", [5, 3, None])
def test_a_record_that_is_too_old_gets_a_new_version_also_if_it_was_not_an_event(
    asked: int | None,
) -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.now += AGE.total_seconds()
    event = image_event("T1", asked) if asked else without(image_event("T1"), "version")
    settlement = mended(stand, event)
    assert settlement.event is not None
    assert settlement.event.version > (asked or 5)


def test_a_record_of_unknown_age_gets_a_new_version() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 5))
    stand.objects.kept["redriven/first-arrival/T1/5.json"] = b""
    settlement = mended(stand, image_event("T1", 5))
    assert "too old" in settlement.note
    assert settlement.event is not None
    assert settlement.event.version == 6


@pytest.mark.parametrize("record", [BAD, b"\xff"])
def test_the_age_of_a_corrected_record_counts_from_its_first_arrival(record: Any) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key="T1")
    stand.now = ARRIVED_AT / 1000 + 89 * DAY
    settle(stand, mended(stand, image_event("T1", 5)))
    stand.set_aside(image_event("T1", 5), position=2, arrived_at=round(stand.now * 1000))
    assert isinstance(stand.only().verdict, Ready)
    stand.now += 2 * DAY
    assert isinstance(stand.only().verdict, TooOld)


@pytest.mark.parametrize("asked", [5, 6])
def test_the_age_of_an_event_with_a_new_version_counts_from_its_correction(asked: int) -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", 5, image=image("other"))
    stand.now = ARRIVED_AT / 1000 + 89 * DAY
    settle(stand, mended(stand, image_event("T1", asked)))
    assert [event.version for event in stand.stream] == [6]
    stand.set_aside(image_event("T1", 6), position=2, arrived_at=round(stand.now * 1000))
    stand.now += 89 * DAY
    assert isinstance(stand.only().verdict, Ready)


@pytest.mark.parametrize("version", [True, 1.5, -1, 2**80, "7", None])
def test_an_invalid_old_version_is_not_kept(version: Any) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", version))
    settlement = mended(stand, without(image_event("T1"), "version"))
    assert settlement.event is not None
    assert settlement.event.version == STAMP


def test_a_version_too_far_ahead_is_replaced_by_a_current_one() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 2**53 - 1))
    settlement = mended(stand, without(image_event("T1"), "version"))
    assert settlement.event is not None
    assert settlement.event.version == STAMP
    with pytest.raises(CannotSettleError, match="version_ahead"):
        mended(stand, image_event("T1", 2**53 - 1))


def test_a_corrected_event_of_another_image_is_refused() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    with pytest.raises(CannotSettleError, match="image_id is 'T2'"):
        mended(stand, image_event("T2", 5))


@pytest.mark.parametrize("image_id", [["T1"], {"a": 1}, None, 5])
def test_an_invalid_image_id_of_the_record_does_not_match(image_id: Any) -> None:
    stand = Stand()
    stand.set_aside({"image_id": image_id}, partition_key="T1")
    with pytest.raises(CannotSettleError):
        mended(stand, image_event("T2", 5))
    with pytest.raises(CannotSettleError):
        mended(stand, {"image_id": image_id})
    assert mended(stand, image_event("T1", 5)).event is not None


def test_a_correction_that_is_still_not_an_event_is_refused_with_the_reason() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    with pytest.raises(CannotSettleError, match="unknown field"):
        mended(stand, BAD)


@pytest.mark.parametrize("line", [b"", b"\xff", b"{}", b'{"id": 1, "event": {}}', b"[" * 5000])
def test_a_line_that_is_not_a_correction_is_reported(line: bytes) -> None:
    with pytest.raises(CannotSettleError):
        read_correction(line)


@given(
    above=st.one_of(st.none(), st.integers(1, 2**52)),
    now=st.floats(1.6e9, 2e9),
)
def test_a_new_version_is_above_the_known_one_and_the_next_one_if_versions_are_counted(
    above: int | None, now: float
) -> None:
    version = new_version(above, now)
    assert version > (above or 0)
    if above is not None and above < 10**15:
        assert version == above + 1
