"""What the new index must hold of an image, given what the table and the old index hold."""

import msgspec
import pytest

from lockstep.rebuild.copying import Copy, Skip, content_for_new_index
from lockstep.repair.decide import NeedsOperator
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed
from shared.horizon import HORIZON
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
    table: ImageState, old: ImageState, expected: Intact | None
) -> None:
    found = content_for_new_index(table, old, now=NOW)
    if expected is None:
        assert isinstance(found, NeedsOperator)
    else:
        assert found == Copy(expected.change)


@pytest.mark.parametrize(
    ("table", "old"),
    [
        (Absent(), Absent()),
    ],
)
def test_an_image_that_the_table_no_longer_has_is_skipped(
    table: ImageState, old: ImageState
) -> None:
    assert content_for_new_index(table, old, now=NOW) == Skip()


def test_an_image_that_is_malformed_in_both_stores_needs_an_operator() -> None:
    found = content_for_new_index(BAD, BAD, now=NOW)
    assert isinstance(found, NeedsOperator)
    assert "malformed" in found.why
