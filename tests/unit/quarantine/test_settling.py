"""Choices and corrections: the winner gets a free version, and a trace is stored."""

import base64
import bz2
import datetime as dt
import gzip
import json
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.producing.producer import Stamp
from lockstep.quarantine.cases import NeedsChoice, Ready, TooOld
from lockstep.quarantine.settlement import (
    CannotSettleError,
    new_version,
    read_correction,
)
from lockstep.stores.contents import Content, MalformedContentError, content_of
from shared.event import MAX_EVENT_BYTES, Image, decode, encode
from tests.builders import ARRIVED_AT, image, image_event, largest
from tests.unit.quarantine.settling import (
    AHEAD,
    BAD,
    OLD,
    STAMP,
    chosen,
    conflict,
    mended,
    outrun,
    settle,
    without,
)
from tests.unit.quarantine.stand import AGE, DAY, NOTE, Crash, Stand, content


def test_choosing_this_puts_it_with_a_new_version_and_settles_both_consumers() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD)
    settle(stand, chosen(stand, "this"))
    (event,) = stand.stream
    assert (event.version, event.image.name if event.image else "") == (STAMP, "this")
    assert stand.under("quarantine/") == []
    (key, _) = stand.under("redriven/write")
    assert stand.trace(key)["how"] == "chose_this"
    assert stand.trace(key)["event"]["version"] == STAMP


def test_choosing_what_both_stores_hold_puts_nothing() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD)
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])
    assert len(stand.under("redriven/write")) == 2


def test_choosing_stored_where_the_stores_differ_makes_them_equal() -> None:
    stand = conflict()
    stand.table["T1"] = content("T1", OLD, image=image("in the table"))
    stand.index["T1"] = content("T1", OLD, image=image("in the index"))
    settle(stand, chosen(stand, "stored"))
    (event,) = stand.stream
    assert (event.version, event.image.name if event.image else "") == (STAMP, "in the table")


def test_what_is_stored_with_a_time_that_ends_in_a_small_z_can_be_chosen() -> None:
    stand = conflict()
    stand.table["T1"] = Content(OLD, "2026-11-21T08:00:00z", Image("in the table"))
    settle(stand, chosen(stand, "stored"))
    (event,) = stand.stream
    assert event.occurred_at == dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize("occurred_at", ["yesterday", "", "2026-11-21T08:00:00"])
def test_stored_content_without_a_valid_time_is_reported_and_can_be_replaced(
    occurred_at: str,
) -> None:
    stand = conflict()
    stand.table["T1"] = Content(OLD, occurred_at, Image("in the table"))
    with pytest.raises(MalformedContentError, match=r"T1: occurred_at .* `--choose this`"):
        chosen(stand, "stored")
    settle(stand, chosen(stand, "this"))
    assert [event.version for event in stand.stream] == [STAMP]


def test_choosing_this_does_not_overwrite_a_newer_version() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD + 4)
    with pytest.raises(CannotSettleError, match=f"version {OLD + 4} has been stored"):
        chosen(stand, "this")
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])


def test_choosing_this_again_after_a_crash_puts_nothing_twice() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD)
    stand.objects.crash_after = 1  # after the note
    with pytest.raises(Crash):
        settle(stand, chosen(stand, "this"))
    stand.objects.crash_after = None
    stand.table["T1"] = stand.index["T1"] = content("T1", STAMP, image=image("this"))
    settle(stand, chosen(stand, "this"))
    assert (len(stand.stream), stand.under("quarantine/")) == (1, [])


def test_chosen_content_that_is_too_large_for_the_stream_is_reported() -> None:
    stand = Stand()
    # A time with five digits more.
    large = largest("T1", version=OLD, occurred_at="2026-11-21T08:00:00.1Z")
    stand.set_aside(large, partition_key="T1", reason="conflict")
    stand.index["T1"] = content("T1", OLD)
    with pytest.raises(CannotSettleError, match="too_large"):
        chosen(stand, "this")
    stand.table["T1"] = content_of(decode(large))
    with pytest.raises(CannotSettleError, match="too_large"):
        chosen(stand, "stored")


def test_what_can_be_redriven_is_not_settled_by_a_choice() -> None:
    stand = Stand()
    stand.set_aside()
    with pytest.raises(CannotSettleError, match="there is nothing to choose"):
        chosen(stand, "this")


def test_stored_cannot_be_chosen_if_nothing_is_stored() -> None:
    with pytest.raises(CannotSettleError, match="nothing is stored"):
        chosen(conflict(), "stored")


def test_a_corrected_event_keeps_its_version_if_it_is_free() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    settle(stand, mended(stand, without(image_event("T1"), "version")))
    assert [event.version for event in stand.stream] == [OLD]
    assert stand.under("quarantine/") == []
    key = stand.under("redriven/write_to_es")[0]
    assert stand.trace(key)["how"] == "mended"
    assert stand.trace(key)["event"]["image_id"] == "T1"


def test_a_corrected_event_whose_version_is_taken_gets_a_new_one() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", OLD, image=image("other"))
    settlement = mended(stand, without(image_event("T1"), "version"))
    assert "has other content" in settlement.note
    settle(stand, settlement)
    assert [event.version for event in stand.stream] == [STAMP]


def test_the_same_content_with_the_same_version_is_no_conflict() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", OLD)
    settle(stand, mended(stand, image_event("T1", OLD)))
    assert [event.version for event in stand.stream] == [OLD]


def test_a_corrected_event_does_not_undo_later_events() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", OLD + 4)
    settlement = mended(stand, image_event("T1", OLD))
    assert settlement.event is None
    assert "only a higher version would win" in settlement.note
    assert mended(stand, image_event("T1", OLD + 5)).event is not None


@pytest.mark.parametrize("in_table", [None, content("T1", OLD - 1), content("T1", OLD)])
@pytest.mark.parametrize("asked", [True, False])
def test_a_version_that_only_the_index_has_settles_no_correction(
    in_table: Content | None, *, asked: bool
) -> None:
    """It may be forged: the record would be filed, and its event would never reach the table."""
    stand = Stand()
    stand.set_aside(BAD)
    stand.index["T1"] = content("T1", AHEAD, image=image("forged"))
    if in_table is not None:
        stand.table["T1"] = in_table
    event = image_event("T1", OLD)
    with pytest.raises(CannotSettleError, match=f"ahead of the table, with version {AHEAD}"):
        mended(stand, event if asked else without(event, "version"))
    stand.index.clear()
    assert mended(stand, event).event is not None


@pytest.mark.parametrize("what", ["this", "stored"])
@pytest.mark.parametrize("reason", ["conflict", "outrun"])
def test_a_version_that_only_the_index_has_does_not_raise_that_of_the_table(
    what: Any, reason: Any
) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", OLD, image=image("this")), reason=reason)
    stand.table["T1"] = content("T1", OLD + 1)
    stand.index["T1"] = content("T1", AHEAD, image=image("forged"))
    with pytest.raises(CannotSettleError, match=f"ahead of the table, with version {AHEAD}"):
        chosen(stand, what)


def test_a_corrected_event_without_version_gets_one_above_the_stored_one() -> None:
    stand = Stand()
    stand.set_aside(b"\xff")
    event = without(image_event("T02680"), "version", "occurred_at")
    settlement = mended(stand, event, stamp=True)
    assert settlement.event is not None
    assert settlement.event.version == STAMP
    assert round(settlement.event.occurred_at.timestamp() * 1000) == ARRIVED_AT
    stand.table["T02680"] = content("T02680", STAMP + 5)
    again = mended(stand, event)
    assert again.event is not None
    assert again.event.version > STAMP + 5


def test_a_record_that_is_too_old_is_redriven_only_with_a_new_version() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", OLD))
    stand.now += AGE.total_seconds()
    settlement = mended(stand, image_event("T1", OLD))
    assert "too old" in settlement.note
    assert settlement.event is not None
    assert settlement.event.version == int(stand.now * 1_000_000)


@pytest.mark.parametrize("asked", [OLD, OLD - 1, None])
def test_a_record_that_is_too_old_gets_a_new_version_also_if_it_was_not_an_event(
    asked: int | None,
) -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.now += AGE.total_seconds()
    event = image_event("T1", asked) if asked else without(image_event("T1"), "version")
    settlement = mended(stand, event)
    assert settlement.event is not None
    assert settlement.event.version > (asked or OLD)


def test_a_record_of_unknown_age_gets_a_new_version() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", OLD))
    stand.objects.kept[NOTE] = b""
    settlement = mended(stand, image_event("T1", OLD))
    assert "too old" in settlement.note
    assert settlement.event is not None
    assert settlement.event.version == STAMP


@pytest.mark.parametrize("record", [BAD, b"\xff"])
def test_the_age_of_a_corrected_record_counts_from_its_first_arrival(record: Any) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key="T1")
    stand.now = ARRIVED_AT / 1000 + 89 * DAY
    settle(stand, mended(stand, image_event("T1", OLD)))
    stand.set_aside(image_event("T1", OLD), position=2, arrived_at=round(stand.now * 1000))
    assert isinstance(stand.only().verdict, Ready)
    stand.now += 2 * DAY
    assert isinstance(stand.only().verdict, TooOld)


@pytest.mark.parametrize("asked", [OLD, STAMP + 89 * 86_400_000_000])
def test_the_age_of_an_event_with_a_new_version_counts_from_its_correction(asked: int) -> None:
    stand = Stand()
    stand.set_aside(BAD)
    stand.table["T1"] = content("T1", OLD, image=image("other"))
    stand.now = ARRIVED_AT / 1000 + 89 * DAY
    settle(stand, mended(stand, image_event("T1", asked)))
    (event,) = stand.stream
    assert event.version > OLD
    stand.set_aside(
        encode(event), partition_key="T1", position=2, arrived_at=round(stand.now * 1000)
    )
    stand.now += 89 * DAY
    assert isinstance(stand.only().verdict, Ready)


@pytest.mark.parametrize(
    "version",
    [True, 1.5, -1, 0, 2**80, 1e300, None, "", "-1", "0", "1.5", "x1", "1 2", "٣", "9" * 5000],
)
def test_an_invalid_old_version_is_not_kept(version: Any) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", version))
    event = without(image_event("T1"), "version")
    with pytest.raises(CannotSettleError, match=r"write the `version` .* or use `--stamp`"):
        mended(stand, event)
    settlement = mended(stand, event, stamp=True)
    assert settlement.event is not None
    assert settlement.event.version == STAMP


@pytest.mark.parametrize("version", ["1", 1.0, " 1", "001", "1.0", "1\n"])
@pytest.mark.parametrize("stamp", [True, False])
def test_a_version_that_can_be_read_is_kept(version: Any, *, stamp: bool) -> None:
    """The source goes on with 2: a stamp would make that stale for ever."""
    stand = Stand()
    stand.set_aside(image_event("T1", version))
    settle(stand, mended(stand, without(image_event("T1"), "version"), stamp=stamp))
    assert [event.version for event in stand.stream] == [1]


SEVEN = b'{"image_id":"T1","version":7,"image":{"name":"x?>~"}}'
PACKED: tuple[Callable[[bytes], bytes], ...] = (
    base64.b64encode,
    base64.urlsafe_b64encode,
    base64.encodebytes,
    partial(gzip.compress, mtime=0),
    zlib.compress,
    bz2.compress,
    lzma.compress,
)


@pytest.mark.parametrize(
    "record",
    [
        '{"image_id":"T1","version":7,"image":{"name":"Café"}}'.encode("latin-1"),
        '{"image_id":"T1","version":"7","image":{"name":"Café"}}'.encode("utf-8-sig"),
        '{"image_id":"T1","version":7,"image":{"name":"Café"}}'.encode("utf-16"),
        b'{"image_id":"T1","version":7,"image":{"name":"\\ud800"}}',
        b'{"image_id":"T1","version":7,"image":{"width":NaN}}',
        *(pack(SEVEN) for pack in PACKED),
        base64.b64encode(gzip.compress(base64.b64encode(SEVEN), mtime=0)),
        b'"' + base64.b64encode(SEVEN).rstrip(b"=") + b'"\n',
        json.dumps(SEVEN.decode()).encode(),
        json.dumps(json.dumps(SEVEN.decode())).encode("utf-16"),
        json.dumps(SEVEN.decode().replace("x", "\ud800")).encode(),
        base64.b64encode(gzip.compress(json.dumps(SEVEN.decode()).encode(), mtime=0)),
        SEVEN[:-1],
        SEVEN[:-15],
        json.dumps(SEVEN[:-9].decode()).encode(),
        json.dumps(SEVEN.decode()).encode()[:-8],
        base64.b64encode(SEVEN)[:-8],
        gzip.compress(SEVEN, mtime=0)[:-9],
        gzip.compress(SEVEN[:-16] + b" " * 9 * MAX_EVENT_BYTES + SEVEN[-16:], mtime=0),
        b'{"image_id":"T1","version":7,"image":{"name":"x",}}',
        b'{"image_id":"T1","version":7,"image" {"name":"x"}}',
        b'{ "image_id" : "T1" , "version" : 7 , name: "x" }',
    ],
)
def test_the_version_of_a_record_is_read_whatever_its_encoding(record: bytes) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key="other")
    settle(stand, mended(stand, without(image_event("T1"), "version")))
    assert [event.version for event in stand.stream] == [7]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xff",
        b"\xff\xfe{",
        b"[7]",
        base64.b64encode(b"[7]"),
        base64.b64encode(b"hello"),
        gzip.compress(b'{"image":"' + b" " * 100 * MAX_EVENT_BYTES + b'","version":7}', mtime=0),
        b'{"version":7',
        json.dumps('{"version":7').encode(),
        b'"\\',
        b'{"version":7 "image":{}}',
        b'{"version" 7,"image":{}}',
        b'{7:7,"version":"x","image',
        b'{"version":7}{"version":8}',
        b'{"version":' + b"9" * 5000 + b"}",
        b'{"version":7,"image":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
def test_the_version_of_a_record_that_is_not_one_object_is_unknown(record: bytes) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key="T1")
    with pytest.raises(CannotSettleError, match="use `--stamp`"):
        mended(stand, without(image_event("T1"), "version"))


def test_a_readable_version_below_what_is_stored_puts_nothing() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", "1"))
    stand.table["T1"] = stand.index["T1"] = content("T1", 3)
    settlement = mended(stand, without(image_event("T1"), "version"), stamp=True)
    assert settlement.event is None
    assert "version 3 is stored" in settlement.note


def test_without_any_known_version_the_two_options_are_named() -> None:
    stand = Stand()
    stand.set_aside(b"\xff", partition_key="T1")
    with pytest.raises(CannotSettleError) as caught:
        mended(stand, without(image_event("T1"), "version"))
    assert str(caught.value) == (
        f"{stand.only().id}: its version cannot be read, and nothing is stored of its image: write "
        "the `version` of the source into the event, or use `--stamp` if the source does not count "
        "versions"
    )
    assert mended(stand, image_event("T1", 1)).event is not None


def test_a_stored_stamp_shows_that_the_source_does_not_count() -> None:
    stand = Stand()
    stand.set_aside(b"\xff", partition_key="T1")
    stand.table["T1"] = content("T1", OLD)
    settlement = mended(stand, without(image_event("T1"), "version"))
    assert settlement.event is not None
    assert settlement.event.version == STAMP


def test_a_stamp_is_refused_where_the_stored_version_is_a_count() -> None:
    stand = Stand()
    stand.set_aside(b"\xff", partition_key="T1")
    stand.table["T1"] = content("T1", 3)
    with pytest.raises(CannotSettleError, match="counts versions"):
        mended(stand, without(image_event("T1"), "version"), stamp=True)


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


@pytest.mark.parametrize(
    ("image_id", "key"), [(["T1"], "T1"), ({"a": 1}, "T1"), (None, "T1"), (True, "T1"), (5, "5")]
)
def test_an_invalid_image_id_of_the_record_does_not_match(image_id: Any, key: str) -> None:
    stand = Stand()
    stand.set_aside({"image_id": image_id}, partition_key=key)
    with pytest.raises(CannotSettleError, match="but the record is about"):
        mended(stand, image_event("T2", 5))
    with pytest.raises(CannotSettleError):
        mended(stand, {"image_id": image_id})
    assert mended(stand, image_event(key, OLD)).event is not None


@pytest.mark.parametrize("key", ["1982/12", "T9"])
def test_a_record_whose_image_id_is_not_valid_gets_the_id_that_the_operator_names(key: str) -> None:
    stand = Stand()
    stand.set_aside(image_event("1982/12", 7), partition_key=key)
    with pytest.raises(CannotSettleError, match="id_characters"):
        mended(stand, image_event("1982/12", 7))
    settle(stand, mended(stand, without(image_event("1982:2F12"), "version")))
    assert [(event.image_id, event.version) for event in stand.stream] == [("1982:2F12", 7)]


def test_a_correction_that_is_still_not_an_event_is_refused_with_the_reason() -> None:
    stand = Stand()
    stand.set_aside(BAD)
    with pytest.raises(CannotSettleError, match="unknown field"):
        mended(stand, BAD)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"", "empty: send one JSON object per record"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b'{"id": "ab", "event": {"x": 1,}}', "a comma has nothing after it (byte 30, near"),
        (b'{"id": "ab", "event": {}', "the JSON ends too early"),
        (b"[" * 5000, "not a correction: write one"),
        (b"{}", 'not a correction: write one {"id": "...", "event": {...}} a line'),
        (b'{"id": 1, "event": {}}', "not a correction: write one"),
        (b'{"id": "ab", "image_id": "T1"}', "not a correction: write one"),
    ],
)
def test_a_line_that_is_not_a_correction_is_reported_in_our_words(line: bytes, says: str) -> None:
    with pytest.raises(CannotSettleError) as caught:
        read_correction(line)
    assert str(caught.value).startswith(says)


def test_an_outrun_event_is_redriven_only_by_choice() -> None:
    stand = outrun()
    assert isinstance(stand.only().verdict, NeedsChoice)
    assert stand.apply().kept == {"choose": 1}


def test_choosing_an_outrun_event_puts_it_above_what_outran_it() -> None:
    stand = outrun(event_type="image.deleted")
    before = msgspec.structs.replace(content("T1", AHEAD), arrived_at=ARRIVED_AT - 1)
    stand.table["T1"] = stand.index["T1"] = before
    settle(stand, chosen(stand, "this"))
    (event,) = stand.stream
    assert (event.type, event.version > AHEAD) == ("image.deleted", True)
    assert stand.under("quarantine/") == []


def test_a_producer_whose_clock_went_back_keeps_the_stamps_that_it_uses_next() -> None:
    stand = outrun()
    before = msgspec.structs.replace(content("T1", AHEAD), arrived_at=ARRIVED_AT - 1)
    stand.table["T1"] = stand.index["T1"] = before
    producer = Stamp(lambda: (AHEAD + 0.5) / 1_000_000)
    assert producer() == AHEAD
    producer.unix = lambda: stand.now
    settle(stand, chosen(stand, "this"))
    assert stand.stream[0].version not in [producer() for _ in range(1000)]


def test_choosing_what_outran_an_event_puts_nothing() -> None:
    stand = outrun()
    stand.table["T1"] = stand.index["T1"] = content("T1", AHEAD)
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])


def test_an_outrun_event_does_not_overwrite_what_arrived_after_it() -> None:
    stand = outrun()
    after = msgspec.structs.replace(content("T1", AHEAD), arrived_at=ARRIVED_AT + 1)
    stand.table["T1"] = stand.index["T1"] = after
    with pytest.raises(CannotSettleError, match=f"version {AHEAD} has been stored"):
        chosen(stand, "this")


def test_a_count_that_a_stamp_outran_is_chosen_as_a_stamp() -> None:
    """No count is higher, so this takes no number of the source."""
    stand = outrun(2)
    before = msgspec.structs.replace(content("T1", OLD), arrived_at=ARRIVED_AT - 1)
    stand.table["T1"] = stand.index["T1"] = before
    settle(stand, chosen(stand, "this"))
    assert [event.version for event in stand.stream] == [STAMP]


@pytest.mark.parametrize(("reason", "version"), [("conflict", 7), ("outrun", 1)])
def test_a_choice_takes_no_number_of_a_source_that_counts(reason: Any, version: int) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", version, image=image("this")), reason=reason)
    stand.table["T1"] = stand.index["T1"] = content("T1", 7)
    with pytest.raises(CannotSettleError, match="above 7, and its source, which counts versions"):
        chosen(stand, "this")
    settle(stand, mended(stand, image_event("T1", 1000)))
    assert [event.version for event in stand.stream] == [1000]


def test_stores_that_differ_get_no_number_of_a_source_that_counts() -> None:
    stand = conflict(7)
    stand.table["T1"] = content("T1", 7, image=image("in the table"))
    stand.index["T1"] = content("T1", 7, image=image("in the index"))
    with pytest.raises(CannotSettleError, match="lockstep audit --repair"):
        chosen(stand, "stored")


@pytest.mark.parametrize("record", [image_event("T1", 5, unknown="field"), b"\xff"])
def test_a_correction_takes_no_number_of_a_source_that_counts(record: Any) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key="T1")
    stand.table["T1"] = content("T1", 5, image=image("other"))
    with pytest.raises(CannotSettleError, match="write another `version` into the event"):
        mended(stand, without(image_event("T1"), "version"))
    assert mended(stand, image_event("T1", 6)).event is not None


LATE: dict[str, Any] = {"version": OLD - 20 * 86_400_000_000, "occurred_at": "2026-11-01T08:00:00Z"}


@pytest.mark.parametrize(("days", "verdict"), [(69, Ready), (71, TooOld)])
def test_a_redriven_record_is_late_90_days_after_its_stamp(days: int, verdict: type) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", **LATE))
    stand.now = ARRIVED_AT / 1000 + days * DAY
    assert isinstance(stand.only().verdict, verdict)
    report = stand.apply()
    assert (report.redriven, len(stand.stream)) == ((1, 1) if verdict is Ready else (0, 0))


@pytest.mark.parametrize("occurred_at", ["2026-11-21T08:00:00Z", "2026-11-03T08:00:01Z"])
def test_an_old_stamp_alone_makes_no_record_late(occurred_at: str) -> None:
    """As an import stamps, whose events occur when they are imported."""
    stand = Stand()
    stand.set_aside(image_event("T1", **LATE | {"occurred_at": occurred_at}))
    stand.now = ARRIVED_AT / 1000 + 75 * DAY
    assert isinstance(stand.only().verdict, Ready)


def late() -> Stand:
    stand = Stand()
    stand.set_aside(image_event("T1", **LATE))
    stand.now = ARRIVED_AT / 1000 + 71 * DAY
    return stand


def test_a_late_record_can_be_corrected_under_a_new_version() -> None:
    stand = late()
    settle(stand, mended(stand, image_event("T1", **LATE)))
    assert [event.version for event in stand.stream] == [int(stand.now * 1_000_000)]


def test_a_late_record_can_be_chosen() -> None:
    stand = late()
    settle(stand, chosen(stand, "this"))
    assert [event.version for event in stand.stream] == [int(stand.now * 1_000_000)]
    assert stand.under("quarantine/") == []


def test_choosing_what_is_stored_files_a_late_record_also_if_nothing_is() -> None:
    stand = late()
    settle(stand, chosen(stand, "stored"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])


def test_choosing_a_late_record_does_not_overwrite_a_newer_version() -> None:
    stand = late()
    before = msgspec.structs.replace(content("T1", OLD), arrived_at=ARRIVED_AT - 1)
    stand.table["T1"] = stand.index["T1"] = before
    with pytest.raises(CannotSettleError, match=f"version {OLD} has been stored"):
        chosen(stand, "this")


@given(
    above=st.one_of(st.none(), st.integers(1, 2**52)),
    now=st.floats(1.6e9, 2e9),
)
def test_a_new_version_is_a_stamp_above_the_known_one_unless_versions_are_counted(
    above: int | None, now: float
) -> None:
    version = new_version(above, now)
    if version is None:
        assert above is not None
        assert above < 10**15
    else:
        assert version > (above or 0)
        assert version >= 10**15
