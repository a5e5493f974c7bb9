"""What the new index must hold of an image, and how long a rebuild waits for it to be written."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import pytest

from functions.write_to_es.connect import REQUEST_SECONDS
from lockstep.rebuild.copying import (
    COMPARED_AT_ONCE,
    EXAMPLES,
    Copier,
    content_for_new_index,
)
from lockstep.repair.decide import NeedsOperator
from lockstep.stores.entry import Entry, entry_of
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed, StoredImage
from lockstep.stores.readers import LOOKUP
from lockstep.stores.writing import PATIENCE_SECONDS
from shared.change import Change
from shared.horizon import HORIZON
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import PATIENCE_SECONDS as PATIENT_SECONDS
from shared.sink import RequestFailedError, RequestTimedOutError
from tests.builders import clock
from tests.unit.audit.stand import NOW, OLD, YOUNG, a_change

ENDED = NOW - HORIZON.total_seconds() - 1


def sound(version: int, content: str | None = "a", *, arrived: float = YOUNG) -> Intact:
    change = a_change(version, content, arrived=arrived)
    return Intact(change, change.version)


def moved(held: Intact, checked_version: int) -> Intact:
    return msgspec.structs.replace(held, checked_version=checked_version)


BAD = Malformed("somebody else's", 5, 5)


@pytest.mark.parametrize(
    ("table", "old", "expected"),
    [
        (Absent(), sound(3), sound(3)),
        (sound(2), sound(3), sound(3)),
        (sound(3), sound(2), sound(3)),
        (sound(3, "table"), sound(3, "old"), sound(3, "table")),
        (sound(3), sound(3), sound(3)),
        (sound(2), sound(3, None), sound(3, None)),
        (sound(2), sound(3, None, arrived=ENDED), sound(3, None, arrived=ENDED)),
        (sound(3), moved(sound(2), 9), sound(3)),
        (sound(3), BAD, None),
        (BAD, sound(6), sound(6)),
        (BAD, sound(4), sound(4)),
        (Absent(), sound(3, arrived=OLD), sound(3, arrived=OLD)),
        (sound(3, None, arrived=ENDED), sound(2), sound(2)),
    ],
)
def test_the_newer_version_is_copied_and_the_tables_at_equal_versions(
    table: ImageState, old: StoredImage, expected: Intact | None
) -> None:
    found = content_for_new_index(table, old, now=NOW)
    if expected is None:
        assert isinstance(found, NeedsOperator)
    else:
        assert found == expected.change


def test_an_image_that_is_malformed_in_both_stores_needs_an_operator() -> None:
    found = content_for_new_index(BAD, BAD, now=NOW)
    assert isinstance(found, NeedsOperator)
    assert "malformed" in found.why


class Nothing:
    """A store that is empty."""

    def lookup(self, _image_ids: Sequence[str]) -> Mapping[str, Entry]:
        return {}

    def lookup_whole(self, _image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        return {}


class Answering:
    """A sink: each change takes so many seconds, and has this outcome."""

    longest_send = 0.0

    def __init__(self, seconds: float, outcome: Callable[[], Outcome]) -> None:
        self.now = 0.0
        self._seconds = seconds
        self._outcome = outcome

    def requests(self, changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
        yield changes

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        longest = REQUEST_SECONDS if within is None else within
        seconds = self._seconds * len(changes)
        self.now += min(seconds, longest)
        if seconds > longest:
            raise RequestTimedOutError("hangs")
        return [self._outcome() for _ in changes]

    def check(self) -> None:
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def copier(self) -> Copier:
        return Copier(
            Nothing(), Nothing(), self, clock=clock(elapsed=lambda: self.now, sleep=self.pause)
        )


IMAGES = [(f"T{number}", sound(number)) for number in range(1, 9)]


@pytest.mark.parametrize("seconds", [0.0, 1.0, math.inf])
def test_a_rebuild_gives_up_on_a_store_that_takes_nothing_for_two_minutes(seconds: float) -> None:
    sink = Answering(seconds, lambda: Failed("429"))
    with pytest.raises(RequestFailedError) as error:
        sink.copier().copy_all(IMAGES)
    assert str(error.value) in {"429", "hangs"}
    assert PATIENCE_SECONDS <= sink.now <= PATIENCE_SECONDS + 2 * REQUEST_SECONDS + PATIENT_SECONDS


def test_a_rebuild_waits_longer_for_a_store_that_takes_one_after_the_other() -> None:
    outcomes = iter([Applied() if at % 8 == 7 else Failed("429") for at in range(64)])
    slow = Answering(5.0, lambda: next(outcomes))
    copier = slow.copier()
    copier.copy_all(IMAGES)
    assert slow.now > PATIENCE_SECONDS
    assert copier.copied["table"] == len(IMAGES)


class Kept:
    """Stores and a sink: what the new index gets, and what was asked."""

    longest_send = 0.0

    def __init__(
        self,
        table: Mapping[str, StoredImage] = {},
        old: Mapping[str, StoredImage] = {},
        new: Mapping[str, Entry] = {},
    ) -> None:
        self.table, self.old, self.new = table, old, new
        self.written: list[Change] = []
        self.looked_up: list[int] = []
        self.reached: list[int] = []
        self.outcome: Outcome = Applied()
        self.answer: Callable[[], Outcome] = lambda: self.outcome

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        self.looked_up.append(len(image_ids))
        return {one: self.new[one] for one in image_ids if one in self.new}

    def requests(self, changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
        yield changes

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        assert within is None
        self.written += changes
        return [self.answer() for _ in changes]

    def check(self) -> None:
        raise NotImplementedError

    def copier(self) -> Copier:
        return Copier(Whole(self.table), self, self, clock=clock(now=lambda: NOW))

    def entries(self, of: Mapping[str, StoredImage]) -> list[Entry]:
        return [entry_of(image_id, stored) for image_id, stored in of.items()]

    def copied(self) -> list[tuple[str, int]]:
        return [(one.image_id, one.version) for one in self.written]


class Whole:
    def __init__(self, held: Mapping[str, StoredImage]) -> None:
        self._held = held

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        return {one: self._held[one] for one in image_ids if one in self._held}


def of(image_id: str, version: int, content: str | None = "a", *, arrived: float = YOUNG) -> Intact:
    change = a_change(version, content, image_id=image_id, arrived=arrived)
    return Intact(change, version)


def entry(image_id: str, version: int, *, malformed: str | None = None) -> Entry:
    return Entry(image_id, version, malformed=malformed)


HELD: Mapping[str, StoredImage] = {
    "absent": of("absent", 5),
    "lower": of("lower", 5),
    "same": of("same", 5),
    "higher": of("higher", 5),
    "malformed-there": of("malformed-there", 5),
    "malformed": Malformed("somebody else's", 5, 5),
    "absent-and-malformed": Malformed("somebody else's", 5, 5),
    "ended": of("ended", 5, None, arrived=ENDED),
    "ended-above": of("ended-above", 5, None, arrived=ENDED),
}
IN_NEW = {
    "lower": entry("lower", 4),
    "same": entry("same", 5),
    "higher": entry("higher", 6),
    "malformed-there": entry("malformed-there", 5, malformed="not ours"),
    "malformed": entry("malformed", 4),
    "ended-above": entry("ended-above", 4),
}
NEWER = ["absent", "lower", "malformed-there", "ended-above"]


def test_a_scan_of_the_table_copies_all_but_expired_tombstones() -> None:
    stores = Kept()
    copier = stores.copier()
    copier.copy_all([("a", of("a", 5)), ("b", of("b", 6, None, arrived=ENDED)), ("c", BAD)])
    assert stores.copied() == [("a", 5)]
    assert copier.failed == {"c": "the item is malformed: somebody else's"}
    assert copier.copied == {"table": 1}


def test_what_is_newer_in_the_table_is_copied() -> None:
    stores = Kept(table=HELD, new=IN_NEW)
    copier = stores.copier()
    copier.copy_newer_in_table(stores.entries(HELD), stores.reached.append)
    assert [image_id for image_id, _ in stores.copied()] == NEWER
    assert copier.failed == {"absent-and-malformed": "the item is malformed: somebody else's"}
    assert (copier.copied, stores.reached) == ({"table": len(NEWER)}, [len(HELD)])


def test_what_is_newer_in_the_old_index_is_copied_unless_the_table_has_more() -> None:
    table = {"absent": of("absent", 6), "lower": of("lower", 3)}
    stores = Kept(table=table, old=HELD, new=IN_NEW)
    copier = stores.copier()
    copier.copy_newer_in_old(Whole(HELD), stores.entries(HELD), stores.reached.append)
    assert dict(stores.copied()) == dict.fromkeys(NEWER, 5) | {"absent": 6}
    assert copier.failed == {
        "absent-and-malformed": "the index has a malformed entry of version 5 (somebody else's), "
        "the table nothing"
    }
    assert (copier.copied, stores.reached) == ({"index": len(NEWER)}, [len(HELD)])


def test_what_was_just_written_to_the_old_index_is_copied_without_the_table() -> None:
    stores = Kept(table={"absent": of("absent", 6)}, old=HELD, new=IN_NEW)
    copier = stores.copier()
    copier.copy_just_written(Whole(HELD), stores.entries(HELD), stores.reached.append)
    assert stores.copied() == [(image_id, 5) for image_id in NEWER]
    assert (copier.copied, stores.reached) == ({"index": len(NEWER)}, [len(HELD)])


def test_many_entries_are_compared_and_read_in_parts() -> None:
    held = {f"T{at}": of(f"T{at}", 5) for at in range(COMPARED_AT_ONCE + LOOKUP + 1)}
    stores = Kept(table=held)
    stores.copier().copy_newer_in_table(stores.entries(held), stores.reached.append)
    assert len(stores.written) == len(held)
    assert stores.looked_up == [COMPARED_AT_ONCE, LOOKUP + 1]
    assert stores.reached == [COMPARED_AT_ONCE, len(held)]


@pytest.mark.parametrize(("outcome", "copied"), [(Duplicate(), {"table": 1}), (Stale(), {})])
def test_what_a_request_without_an_answer_has_written_counts_as_copied(
    outcome: Outcome, copied: Mapping[str, int]
) -> None:
    stores = Kept()
    copier = stores.copier()
    copier.failed["a"] = "before"
    stores.outcome = outcome
    copier.copy_all([("a", of("a", 5))])
    assert (copier.copied, copier.failed) == (copied, {})


@pytest.mark.parametrize("outcome", [Conflict("taken"), Refused("too long")])
def test_what_the_new_index_does_not_take_is_told(outcome: Outcome) -> None:
    stores = Kept()
    copier = stores.copier()
    stores.outcome = outcome
    copier.copy_all([("a", of("a", 5))])
    assert copier.copied == {}
    assert list(copier.failed) == ["a"]


def test_only_so_many_reasons_are_kept() -> None:
    copier = Kept().copier()
    copier.copy_all((f"T{at}", BAD) for at in range(EXAMPLES + 1))
    assert len(copier.failed) == EXAMPLES


def test_where_the_index_refuses_the_tables_version_that_of_the_old_index_stays() -> None:
    stores = Kept(table={"a": of("a", 6)}, old={"a": of("a", 5)})
    copier = stores.copier()
    answers: Iterator[Outcome] = iter([Refused("too long"), Applied()])
    stores.answer = lambda: next(answers)
    copier.copy_newer_in_old(Whole(stores.old), stores.entries(stores.old))
    assert stores.copied() == [("a", 6), ("a", 5)]
    assert (copier.copied, copier.failed) == ({"index": 1}, {"a": "too long"})


@pytest.mark.parametrize("outcome", [Applied(), Duplicate(), Stale()])
@pytest.mark.parametrize("failed", [{}, {"a": "before"}])
def test_what_the_new_index_has_did_not_fail(outcome: Outcome, failed: dict[str, str]) -> None:
    stores = Kept()
    stores.outcome = outcome
    copier = stores.copier()
    copier.failed.update(failed)
    copier.copy_all([("a", of("a", 5))])
    assert copier.failed == {}
