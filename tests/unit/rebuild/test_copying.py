"""What the new index must hold of an image, and how long a rebuild waits for it to be written."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import pytest

from functions.write_to_es.connect import REQUEST_SECONDS
from lockstep.rebuild.copying import PATIENCE_SECONDS, Copier, content_for_new_index
from lockstep.repair.decide import NeedsOperator
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed, StoredImage
from shared.change import Change
from shared.horizon import HORIZON
from shared.outcome import Applied, Failed, Outcome
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
    with pytest.raises(RequestFailedError):
        sink.copier().copy_all(IMAGES)
    assert PATIENCE_SECONDS <= sink.now <= PATIENCE_SECONDS + 2 * REQUEST_SECONDS + PATIENT_SECONDS


def test_a_rebuild_waits_longer_for_a_store_that_takes_one_after_the_other() -> None:
    outcomes = iter([Applied() if at % 8 == 7 else Failed("429") for at in range(64)])
    slow = Answering(5.0, lambda: next(outcomes))
    copier = slow.copier()
    copier.copy_all(IMAGES)
    assert slow.now > PATIENCE_SECONDS
    assert copier.copied["table"] == len(IMAGES)
