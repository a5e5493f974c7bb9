"""Gaps: what the stream removed before a mapping read it."""

import pytest

from lockstep.stream import sequence
from lockstep.stream.gaps import GapFinder, RunTimes, gap_after, loss_of

_CREATED = 1_795_248_000
_PREFIX = sequence.prefix(_CREATED, 0)
_TIMES = RunTimes(lambda: 11.0, lambda: 22.0)


def number(position: int) -> str:
    return str(sequence.at(_PREFIX, position, _CREATED + position))


def finder(after: str, starting_number: str = number(0)) -> GapFinder:
    return GapFinder("shard", starting_number=starting_number, after=after, times=_TIMES)


def test_what_follows_the_last_settled_record_is_no_gap() -> None:
    reading = finder(number(3))
    assert reading.read(number(4), 0.0, number(6)) is None
    assert reading.read(number(7), 0.0, number(7)) is None


@pytest.mark.parametrize(
    ("after", "since"), [("", _CREATED), (number(3), _CREATED + 3)], ids=["begin", "middle"]
)
def test_a_gap_has_its_ends_its_times_and_its_records(after: str, since: float) -> None:
    reading = finder(after)
    gap = reading.read(number(9), _CREATED + 9.5, number(9))
    assert gap is not None
    assert (gap.after, gap.before) == (after, number(9))
    assert (gap.since, gap.until) == (since, _CREATED + 9.5)
    assert gap.records == (5 if after else 8)
    assert reading.read(number(10), 0.0, number(10)) is None


def test_after_a_lost_position_the_records_of_the_gap_are_unknown() -> None:
    reading = finder(number(3))
    lost = reading.position_lost(now=_CREATED + 50.0)
    assert (lost.before, lost.until, lost.records) == ("", _CREATED + 50.0, None)
    gap = reading.read(number(9), _CREATED + 60.0, number(9))
    assert gap is not None
    assert (gap.after, gap.before, gap.records) == (number(3), number(9), None)
    assert gap.until == _CREATED + 60.0


def test_numbers_that_tell_no_time_leave_the_times_of_the_mapping() -> None:
    assert finder("", "0").unread(until=99.0).since == 11.0
    assert not finder("", "0").tells_time
    assert finder("").tells_time
    assert gap_after("7", "shard", _TIMES, until=99.0).since == 22.0
    assert gap_after("7", "shard", _TIMES, until=5.0).since == 5.0


def test_a_loss_is_in_whole_seconds_and_never_ends_before_it_begins() -> None:
    gap = finder(number(3)).unread(until=_CREATED + 9.9)
    loss = loss_of(gap, consumer="write_to_es", stream="images")
    assert (loss.consumer, loss.stream, loss.shard_id) == ("write_to_es", "images", "shard")
    assert (loss.since.timestamp(), loss.until.timestamp()) == (_CREATED + 3, _CREATED + 9)
    assert (loss.after, loss.records) == (number(3), None)
