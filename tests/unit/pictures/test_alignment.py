"""Bringing the image of a key in line with the bucket, in every order of what happens to it."""

from collections.abc import Generator, Iterable
from typing import Any

import pytest
from msgspec.json import decode
from msgspec.structs import replace

from lockstep.pictures.alignment import (
    Alignment,
    CountedVersionError,
    LookAtObject,
    ObjectIdentity,
    PictureRow,
    PutEvent,
    ReadImageVersion,
    ReadObject,
    ReadRow,
    Wanted,
    WriteRow,
    align,
)
from shared.event import Event, Image
from tests.unit.pictures.bucket_histories import Align, BucketHistory

NOW = 1_800_000_000.0
STAMP = 1_800_000_000_000_000
THERE = ObjectIdentity('"e1"', 1_799_999_000, 5)
OTHER = ObjectIdentity('"e2"', 1_799_999_500, 6)
IMAGE = Image(name="a")
SHOWN = PictureRow(counter=3, version=7, object=THERE, shown=True)

HISTORIES = 10_000


def _differences(routine: Align, histories: Iterable[int]) -> list[str]:
    return [
        f"seed {seed}: {found}"
        for seed in histories
        if (found := BucketHistory(seed, routine).difference_at_the_end())
    ]


def test_both_stores_end_as_the_bucket_in_every_history() -> None:
    assert _differences(align, range(HISTORIES)) == []


def _without_counting(image_id: str, now: float, given: str | None) -> Generator[Wanted, Any, Any]:
    """Writes no row if there is nothing to put."""
    routine = align(image_id, now, given)
    wanted = next(routine)
    row = None
    while True:
        if (
            isinstance(wanted, WriteRow)
            and row
            and replace(wanted.row, counter=0) == replace(row, counter=0)
        ):
            answer: object = True
        else:
            answer = yield wanted
        if isinstance(wanted, ReadRow):
            row = answer if isinstance(answer, PictureRow) else None
        try:
            wanted = routine.send(answer)
        except StopIteration as end:
            return end.value


def _object_first(image_id: str, now: float, given: str | None) -> Generator[Wanted, Any, Any]:
    """Reads the object before the row."""
    routine = align(image_id, now, given)
    wanted = next(routine)
    early = None
    while True:
        if isinstance(wanted, ReadRow):
            early = yield LookAtObject()
        answer = early if isinstance(wanted, LookAtObject) else (yield wanted)
        try:
            wanted = routine.send(answer)
        except StopIteration as end:
            return end.value


def _without_condition(image_id: str, now: float, given: str | None) -> Generator[Wanted, Any, Any]:
    """Takes each row for written."""
    routine = align(image_id, now, given)
    wanted = next(routine)
    while True:
        answer = yield wanted
        try:
            wanted = routine.send(True if isinstance(wanted, WriteRow) else answer)
        except StopIteration as end:
            return end.value


def _put_is_forgotten(image_id: str, now: float, given: str | None) -> Generator[Wanted, Any, Any]:
    """Notes an event as put before it is."""
    routine = align(image_id, now, given)
    wanted = next(routine)
    while True:
        if isinstance(wanted, WriteRow):
            answer = yield WriteRow(replace(wanted.row, event=None), wanted.after)
        else:
            answer = yield wanted
        try:
            wanted = routine.send(answer)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(
    "bug", [_without_counting, _object_first, _without_condition, _put_is_forgotten]
)
def test_the_histories_find_a_routine_that_is_wrong(bug: Align) -> None:
    assert any(_differences(bug, [seed]) for seed in range(HISTORIES))


def _run(
    routine: Generator[Wanted, Any, Alignment], answers: Iterable[object]
) -> tuple[list[Wanted], Alignment | None]:
    """What the routine wants one after the other, and how it ends with these answers."""
    wanted = [next(routine)]
    try:
        for answer in answers:
            wanted.append(routine.send(answer))  # noqa: PERF401 - its end is of interest
    except StopIteration as end:
        return wanted, end.value
    return wanted, None


def _event(wanted: Wanted) -> Event:
    assert isinstance(wanted, PutEvent)
    return decode(wanted.data, type=Event)


def test_a_new_object_is_uploaded_and_then_noted() -> None:
    wanted, outcome = _run(align("a", NOW), [None, THERE, 0, IMAGE, True, None, True])
    assert wanted[:4] == [ReadRow(), LookAtObject(), ReadImageVersion(), ReadObject(THERE)]
    written, put, noted = wanted[4:]
    assert isinstance(written, WriteRow)
    assert isinstance(noted, WriteRow)
    event = _event(put)
    assert (event.type, event.image_id, event.version, event.image) == (
        "image.uploaded",
        "a",
        STAMP,
        IMAGE,
    )
    assert event.occurred_at.timestamp() == THERE.modified
    assert (written.after, written.row.counter, written.row.event) == (0, 1, put.data)  # type: ignore[union-attr]
    assert noted == WriteRow(replace(written.row, counter=2, event=None), 1)
    assert outcome == "put"


@pytest.mark.parametrize(
    ("row", "stored", "version"),
    [(0, 0, STAMP), (STAMP + 5, 0, STAMP + 6), (0, STAMP + 9, STAMP + 10), (3, 0, STAMP)],
)
def test_a_version_is_above_the_clock_the_row_and_the_image(
    row: int, stored: int, version: int
) -> None:
    was = replace(SHOWN, version=row)
    wanted, _ = _run(align("a", NOW), [was, OTHER, stored, IMAGE, True])
    event = _event(wanted[-1])
    assert (event.type, event.version) == ("image.updated", version)


def test_an_object_that_is_gone_is_deleted_now() -> None:
    wanted, outcome = _run(align("a", NOW), [SHOWN, None, 7 * 10**15, True, None, True])
    event = _event(wanted[4])
    assert (event.type, event.version) == ("image.deleted", 7 * 10**15 + 1)
    assert event.occurred_at.timestamp() == NOW
    assert outcome == "deleted"


@pytest.mark.parametrize(
    ("row", "there", "outcome"),
    [
        (SHOWN, THERE, "unchanged"),
        (None, None, "unchanged"),
        (PictureRow(counter=3, object=THERE), THERE, "no picture"),
    ],
)
def test_without_an_event_the_row_is_counted_nevertheless(
    row: PictureRow | None, there: ObjectIdentity | None, outcome: Alignment
) -> None:
    wanted, found = _run(align("a", NOW), [row, there, True])
    was = row or PictureRow(counter=0)
    assert wanted[2:] == [WriteRow(replace(was, counter=was.counter + 1), was.counter)]
    assert found == outcome


def test_an_event_that_may_not_be_on_the_stream_is_put_again_as_it_was() -> None:
    row = replace(SHOWN, event=b"{}")
    wanted, outcome = _run(align("a", NOW), [row, THERE, None, True])
    assert wanted[2:] == [PutEvent(b"{}"), WriteRow(replace(SHOWN, counter=4), 3)]
    assert outcome == "put"


@pytest.mark.parametrize(
    "answers",
    [
        [SHOWN, THERE, False],  # another routine has counted
        [SHOWN, OTHER, 0, "changed"],
        [SHOWN, OTHER, 0, IMAGE, False],
        [replace(SHOWN, event=b"{}"), THERE, None, False],
    ],
)
def test_what_has_changed_meanwhile_is_looked_at_again(answers: list[object]) -> None:
    wanted, outcome = _run(align("a", NOW), answers)
    assert (wanted[-1], outcome) == (ReadRow(), None)


def test_a_picture_that_is_overwritten_by_something_else_is_deleted() -> None:
    wanted, outcome = _run(align("a", NOW), [SHOWN, OTHER, 0, "no picture", True, None, True])
    assert _event(wanted[5]).type == "image.deleted"
    assert outcome == "deleted"


def test_what_never_was_a_picture_has_a_row_and_no_event() -> None:
    wanted, outcome = _run(align("a", NOW), [None, OTHER, 0, "no picture", True])
    assert wanted[-1] == WriteRow(PictureRow(counter=1, object=OTHER), 0)
    assert outcome == "no picture"


def test_tags_of_an_upload_that_the_last_event_has_not_are_put() -> None:
    wanted, outcome = _run(align("a", NOW, "t"), [SHOWN, THERE, 0, IMAGE, True, None, True])
    assert _event(wanted[5]).type == "image.updated"
    assert outcome == "put"
    noted = wanted[6]
    assert isinstance(noted, WriteRow)
    assert noted.row.given == "t"


def test_tags_of_an_upload_stay_when_a_notification_comes() -> None:
    tagged = replace(SHOWN, given="t")
    for given in (None, "t"):
        _, outcome = _run(align("a", NOW, given), [tagged, THERE, True])
        assert outcome == "unchanged"


def test_an_image_whose_source_counts_its_versions_is_refused() -> None:
    with pytest.raises(CountedVersionError, match="image a has version 41, a count of its source"):
        _run(align("a", NOW), [None, THERE, 41])
