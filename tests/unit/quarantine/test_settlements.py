"""Each settlement, whole, and each refusal, word for word: an operator acts on them."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from lockstep.quarantine.settlement import (
    CannotSettleError,
    Correction,
    Settlement,
    choose,
    correct,
    new_version,
    read_correction,
)
from shared.event import MAX_VERSION
from shared.stamps import stamp_at
from tests.builders import ARRIVED_AT, decoded, image, image_event
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
from tests.unit.quarantine.stand import AGE, NOW, Stand, content

# What a choice puts, with a version that is free.
THIS = content("T1", OLD, image=image("this")).event("T1", STAMP)


def refusal(decide: Callable[[], Settlement]) -> str:
    with pytest.raises(CannotSettleError) as refused:
        decide()
    return str(refused.value)


# Choices.


def test_what_both_stores_have_already_needs_no_event() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD, image=image("this"))
    note = "both stores have this content already"
    assert chosen(stand, "this") == Settlement(stand.only(), "chose_this", None, note)


def test_this_content_gets_a_new_version() -> None:
    stand = conflict()
    note = f"this content, as version {STAMP}"
    assert chosen(stand, "this") == Settlement(stand.only(), "chose_this", THIS, note)


def test_this_content_that_is_no_event_is_refused() -> None:
    stand = conflict()
    case = stand.only()
    said = refusal(lambda: choose("this", case, b"{", stand.stores, now=NOW))
    assert said.startswith(f"{case.id}: not_json: ")


def test_this_content_is_refused_under_a_newer_version() -> None:
    stand = conflict()
    stand.table["T1"] = content("T1", OLD + 4)
    assert refusal(lambda: chosen(stand, "this")) == (
        f"{stand.only().id}: version {OLD + 4} has been stored, above version {OLD} of this "
        "record: use `--choose stored`, or `--mend` with this content and a version of your own"
    )


def test_an_outrun_event_wins_over_what_arrived_in_the_same_millisecond() -> None:
    stand = outrun()
    held = msgspec.structs.replace(content("T1", AHEAD), arrived_at=ARRIVED_AT)
    stand.table["T1"] = stand.index["T1"] = held
    settlement = chosen(stand, "this")
    assert settlement.event is not None
    assert settlement.event.version > AHEAD


def test_a_count_takes_no_number_of_its_source() -> None:
    stand = conflict(7)
    stand.table["T1"] = content("T1", 7)
    assert refusal(lambda: chosen(stand, "this")) == (
        f"{stand.only().id}: image T1 needs a version above 7, and its source, which counts "
        "versions, may use each of them next: use `--choose stored`, let the source send the "
        "image again, or use `--mend` with a version of your own"
    )
    assert refusal(lambda: chosen(stand, "stored")) == (
        f"{stand.only().id}: the stores differ, and the source, which counts versions, may use "
        "each number above 7 next: run `lockstep audit --repair`, then choose again"
    )


def test_what_is_stored_stays() -> None:
    stand = conflict()
    stand.table["T1"] = stand.index["T1"] = content("T1", OLD)
    note = f"version {OLD} stays as it is stored"
    assert chosen(stand, "stored") == Settlement(stand.only(), "chose_stored", None, note)


def test_where_the_stores_differ_both_get_the_content_of_the_table() -> None:
    stand = conflict()
    stand.table["T1"] = content("T1", OLD, image=image("this"))
    note = f"the stores differ: the table's content, as version {STAMP}"
    assert chosen(stand, "stored") == Settlement(stand.only(), "chose_stored", THIS, note)


def test_what_is_too_old_and_not_stored_needs_no_event() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", OLD))
    stand.now += AGE.total_seconds()
    note = "nothing is stored, and nothing is put"
    assert chosen(stand, "stored") == Settlement(stand.only(), "chose_stored", None, note)


def test_what_only_the_index_has_is_not_chosen() -> None:
    stand = conflict()
    stand.index["T1"] = content("T1", OLD)
    assert refusal(lambda: chosen(stand, "stored")) == (
        f"{stand.only().id}: only the index has the image: use `--choose this`, or run "
        "`lockstep audit`"
    )


def test_an_index_that_is_ahead_is_settled_first() -> None:
    stand = conflict()
    stand.index["T1"] = content("T1", AHEAD)
    assert refusal(lambda: chosen(stand, "this")) == (
        f"{stand.only().id}: the index is ahead of the table, with version {AHEAD}: settle that "
        "first (`lockstep audit`, docs/guides/restore.md)"
    )


@pytest.mark.parametrize(
    ("key", "held", "gives", "note"),
    [
        ("?", None, None, "its image is unknown: nothing is written, and the object is filed"),
        (
            "T1",
            None,
            "T1",
            "the table has nothing: the index stays as it is, and the object is filed",
        ),
        (
            "T1",
            content("T1", OLD),
            "T1",
            f"the index gets the table's version {OLD}, unless it has a higher one",
        ),
    ],
)
def test_what_only_the_index_has_quarantined_is_settled_by_the_table(
    key: str, held: Any, gives: str | None, note: str
) -> None:
    stand = Stand()
    stand.set_aside(b"{", functions=["write_to_es"], partition_key=key)
    if held is not None:
        stand.table["T1"] = held
    expected = Settlement(stand.only(), "chose_stored", None, note, gives_index=gives)
    assert chosen(stand, "stored") == expected


# Corrections.


def test_a_line_of_corrections_is_an_id_and_an_event() -> None:
    assert read_correction(b'{"id":"ab","event":{"x":1}}') == Correction("ab", Raw(b'{"x":1}'))
    with pytest.raises(
        CannotSettleError, match=r': write one {"id": "...", "event": {...}} a line$'
    ):
        read_correction(b"{}")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b"[]", "the event is not a JSON object: write {...}"),
        (b"{", "the JSON ends too early"),
        (b"\xff", "byte 0 is not UTF-8"),
    ],
)
def test_an_event_that_is_no_object_is_refused(event: bytes, says: str) -> None:
    stand = conflict()
    case = stand.only()
    said = refusal(lambda: correct(case, b"", Raw(event), stand.stores, now=NOW))
    assert said.startswith(says)


def bad(version: object = OLD, **place: Any) -> Stand:
    stand = Stand()
    stand.set_aside(BAD | {"version": version}, **place)
    return stand


def expected(stand: Stand, version: int, note: str, first_arrival: int | None = None) -> Settlement:
    return Settlement(stand.only(), "mended", decoded(correction(version)), note, first_arrival)


def correction(version: int) -> dict[str, Any]:
    return image_event("T1", version, image=image("corrected"))


UNVERSIONED = without(correction(OLD), "version")


def test_a_correction_keeps_the_version_and_the_first_arrival() -> None:
    stand = bad()
    same = expected(stand, OLD, f"as version {OLD}", ARRIVED_AT)
    assert mended(stand, UNVERSIONED) == mended(stand, correction(OLD)) == same


def test_a_correction_with_a_higher_version_is_a_new_event() -> None:
    stand = bad()
    assert mended(stand, correction(OLD + 1)) == expected(stand, OLD + 1, f"as version {OLD + 1}")


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("x", "its version is unknown"),
        (MAX_VERSION, f"version {MAX_VERSION} is too far ahead"),
    ],
)
def test_an_unusable_version_is_replaced(version: object, note: str) -> None:
    stand = bad(version)
    assert mended(stand, UNVERSIONED, stamp=True) == expected(
        stand, STAMP, f"as version {STAMP}: {note}"
    )


def test_the_lowest_version_is_kept() -> None:
    stand = bad(1)
    assert mended(stand, UNVERSIONED) == expected(stand, 1, "as version 1", ARRIVED_AT)


def test_a_version_that_has_other_content_is_replaced() -> None:
    stand = bad()
    stand.table["T1"] = content("T1", OLD, image=image("other"))
    note = f"as version {STAMP}: version {OLD} has other content"
    assert mended(stand, UNVERSIONED) == expected(stand, STAMP, note)


@pytest.mark.parametrize(
    ("stand", "event"),
    [(bad("x"), correction(OLD)), (bad(), UNVERSIONED), (bad(), correction(OLD))],
)
def test_a_correction_below_what_is_stored_puts_nothing(stand: Stand, event: Any) -> None:
    stand.table["T1"] = content("T1", OLD + 4)
    note = f"nothing to do: version {OLD + 4} is stored; only a higher version would win"
    assert mended(stand, event) == Settlement(stand.only(), "mended", None, note)


def test_a_record_is_too_old_after_the_last_moment() -> None:
    stand = bad()
    stand.now = ARRIVED_AT / 1000 + AGE.total_seconds()
    assert mended(stand, UNVERSIONED).note == f"as version {OLD}"
    stand.now += 1
    assert mended(stand, UNVERSIONED).note.endswith(f": version {OLD} is too old")


@pytest.mark.parametrize("event", [UNVERSIONED, correction(7)])
def test_a_count_that_is_too_old_needs_a_version_of_the_operator(event: Any) -> None:
    stand = bad(7)
    stand.now += AGE.total_seconds()
    assert refusal(lambda: mended(stand, event)) == (
        f"{stand.only().id}: version 7 is too old, and the source, which counts versions, may use "
        "each number above 7 next: write another `version` into the event"
    )


def test_any_version_of_the_index_is_ahead_of_an_unknown_one() -> None:
    stand = bad("x")
    stand.index["T1"] = content("T1", 2)
    assert "the index is ahead of the table, with version 2" in refusal(
        lambda: mended(stand, UNVERSIONED)
    )


def test_a_correction_is_of_the_image_that_the_record_or_its_key_names() -> None:
    stand = bad(partition_key="T9")
    assert mended(stand, correction(OLD)).note == f"as version {OLD}"
    assert mended(stand, image_event("T9", OLD)).note == f"as version {OLD}"
    assert refusal(lambda: mended(stand, image_event("T2", OLD))) == (
        f"{stand.only().id}: image_id is 'T2', but the record is about 'T1' or 'T9'"
    )


def test_a_record_that_is_no_object_names_no_image() -> None:
    stand = Stand()
    stand.set_aside(b"[]", partition_key="T9")
    assert refusal(lambda: mended(stand, image_event("T2", OLD))) == (
        f"{stand.only().id}: image_id is 'T2', but the record is about 'T9'"
    )


# Records whose image ID is not valid: the operator says which image each one is of.
WITHOUT_VALID_ID: list[tuple[Any, str]] = [
    (image_event("a/b", 5), "a/b"),
    (image_event("a/b", 5), "random-key"),
    (image_event("x" * 257, 5), "x" * 250),
    (image_event("T1", 5) | {"image_id": 12345}, "random-key"),
    (image_event("T1", 5) | {"image_id": None}, "not valid"),
    (without(image_event("T1", 5), "image_id"), "not valid"),
    (b"\x00\xff", "not valid"),
]


@pytest.mark.parametrize(("record", "key"), WITHOUT_VALID_ID)
def test_a_record_without_a_valid_image_id_is_corrected_under_the_id_of_the_operator(
    record: Any, key: str
) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key=key, reason="schema")
    settlement = mended(stand, image_event("T2", 5))
    assert settlement.note == "as image T2, version 5"
    settle(stand, settlement)
    assert [(one.image_id, one.version) for one in stand.stream] == [("T2", 5)]
    assert (stand.find().cases, stand.under("quarantine/")) == ([], [])


@pytest.mark.parametrize(("record", "key"), WITHOUT_VALID_ID)
def test_a_record_under_another_id_is_not_settled_by_a_higher_version_of_that_image(
    record: Any, key: str
) -> None:
    stand = Stand()
    stand.set_aside(record, partition_key=key, reason="schema")
    stand.table["T2"] = content("T2", 7)
    assert refusal(lambda: mended(stand, image_event("T2", 5))) == (
        f"{stand.only().id}: version 7 of image T2 is stored: write a higher `version` into the "
        "event to replace it"
    )
    assert mended(stand, image_event("T2", 8)).note == "as image T2, which has version 7, version 8"


@pytest.mark.parametrize(
    ("above", "version"),
    [
        (None, STAMP),
        (STAMP - 1, STAMP),
        (STAMP, STAMP + 1_001),
        (STAMP + 1, STAMP + 1_002),
        (MAX_VERSION, MAX_VERSION),
        (7, None),
    ],
)
def test_a_new_version_leaves_a_thousand_stamps_to_a_producer_that_is_ahead(
    above: int | None, version: int | None
) -> None:
    assert stamp_at(NOW) == STAMP
    assert new_version(above, NOW) == version
