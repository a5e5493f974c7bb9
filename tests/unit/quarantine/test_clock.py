"""The clock of an operator's machine: it may be set back, and it may be wrong."""

import pytest

from lockstep.quarantine.cases import Ready
from lockstep.quarantine.redrive import MOST_BEHIND, ClockBehindError
from lockstep.quarantine.settlement import Settlement
from shared.record import MAX_AHEAD_US
from tests.builders import ARRIVED_AT, decoded, image_event
from tests.unit.quarantine.stand import NOW, Stand

BEHIND = MOST_BEHIND.total_seconds()
# Acceptable from NOW on.
AHEAD = int(NOW * 1_000_000) + MAX_AHEAD_US


def set_back_at_the_next_write(stand: Stand, seconds: float) -> None:
    """The clock is set back when the first arrival is noted: after a case is judged."""
    write = stand.objects.write

    def set_back(key: str, body: bytes) -> None:
        stand.now -= seconds
        write(key, body)

    stand.objects.write = set_back  # type: ignore[method-assign]  # of this stand only


def test_a_clock_that_is_set_back_in_the_middle_of_a_redrive_changes_nothing() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", AHEAD))
    found = stand.find()
    assert [type(case.verdict) for case in found.cases] == [Ready]
    set_back_at_the_next_write(stand, 3_600)
    assert stand.apply(found).redriven == 1
    assert [event.version for event in stand.stream] == [AHEAD]
    assert stand.under("quarantine/") == []


def test_a_clock_that_is_behind_by_less_than_aws_allows_is_taken() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    stand.now = ARRIVED_AT / 1000 - BEHIND
    assert stand.apply().redriven == 1


def test_a_machine_whose_clock_is_behind_redrives_nothing_and_says_so() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    before = dict(stand.objects.kept)
    stand.now = ARRIVED_AT / 1000 - BEHIND - 1
    with pytest.raises(ClockBehindError, match="correct the clock"):
        stand.apply()
    assert (stand.stream, stand.objects.kept) == ([], before)


def test_a_machine_whose_clock_is_behind_settles_nothing() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    settlement = Settlement(stand.only(), "mended", decoded(image_event("T1", 8)), "as version 8")
    stand.now = ARRIVED_AT / 1000 - BEHIND - 1
    with pytest.raises(ClockBehindError):
        stand.redrive.settle([settlement], {})
    assert stand.stream == []


def test_an_arrival_that_the_consumer_of_the_index_wrote_says_nothing_about_the_clock() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=("write_to_es",))
    stand.now = ARRIVED_AT / 1000 - BEHIND - 1
    assert stand.apply().redriven == 1
