"""The troubled line: it does what each fault's name says, and nothing when there is no trouble."""

import random
from functools import partial

import pytest

from lockstep.simulation.clock import START, VirtualTime
from lockstep.simulation.fakes.line import AnswerError, CutOffError, NoAnswerError
from lockstep.simulation.faults import Fault, Tally
from lockstep.simulation.troubled_line import (
    CrashedError,
    TimedOutError,
    TroubledLine,
    UnderWay,
    Weather,
)

# What the caller sees, whether the request was applied at once, and whether it lands later.
EXPECTED: dict[Fault, tuple[type[BaseException], bool, bool]] = {
    "connection reset": (NoAnswerError, False, False),
    "answer lost": (NoAnswerError, True, False),
    "answer cut off": (CutOffError, True, False),
    "zombie request": (NoAnswerError, False, True),
    "throttled request": (AnswerError, False, False),
    "server error": (AnswerError, False, False),
    "server error, but applied": (AnswerError, True, False),
    "credentials expired": (AnswerError, False, False),
    "request refused as a whole": (AnswerError, False, False),
    "crash before a request": (CrashedError, False, False),
    "crash after a request": (CrashedError, True, False),
}


class Always(random.Random):
    """Chance that always draws this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(0)
        self._fault = fault

    def choice(self, seq: object) -> Fault:  # type: ignore[override]  # only faults are drawn here
        assert isinstance(seq, tuple)
        assert self._fault in seq
        return self._fault


@pytest.mark.parametrize("fault", EXPECTED)
def test_each_fault_does_what_its_name_says(fault: Fault) -> None:
    weather = Weather(VirtualTime(), Tally(), Always(fault))
    line = TroubledLine("table", weather)
    line.spoilt(2, ["ThrottlingError"])  # a request of two parts, none of them spoilt
    weather.trouble, weather.under_way = 1.0, UnderWay(START + 60.0)
    applied: list[str] = []
    error, at_once, later = EXPECTED[fault]
    with pytest.raises(error):
        line.carry(lambda: applied.append("now"))
    assert bool(applied) == at_once
    weather.time.settle()
    assert bool(applied) == (at_once or later)
    assert weather.tally == {fault: 1}


def test_a_frozen_invocations_request_may_land_or_not() -> None:
    weather = Weather(VirtualTime(), Tally(), Always("Lambda timeout"))
    weather.trouble, weather.under_way = 1.0, UnderWay(START + 60.0)
    landed: list[int] = []
    for number in range(100):
        with pytest.raises(TimedOutError):
            TroubledLine("index", weather).carry(partial(landed.append, number))
    assert landed == []
    weather.time.settle()
    assert 0 < len(landed) < 100


def test_without_trouble_everything_arrives_and_takes_a_little_time() -> None:
    weather = Weather(VirtualTime(), Tally(), random.Random(0))
    line = TroubledLine("stream", weather)
    assert [line.carry(partial(str, number)) for number in range(5)] == list("01234")
    assert line.spoilt(5, ["x"]) == {}
    assert START < weather.time.now < START + 1
    assert not weather.tally


def test_a_store_that_is_down_answers_nothing_until_it_is_up() -> None:
    weather = Weather(VirtualTime(), Tally(), random.Random(0))
    line = TroubledLine("quarantine", weather)
    line.down_until = START + 60.0
    refused = 0
    while weather.time.now < line.down_until:
        with pytest.raises(NoAnswerError):
            line.carry(lambda: "up")
        refused += 1
    assert line.carry(lambda: "up") == "up"
    assert refused == weather.tally["quarantine down"] > 0


def test_what_is_due_on_the_way_happens_at_its_time() -> None:
    time = VirtualTime()
    seen: list[float] = []
    for seconds in (5.0, 1.0, 3.0):
        time.later(seconds, lambda: seen.append(time.now - START))
    time.advance(4.0)
    assert seen == [1.0, 3.0]
    assert time.now == START + 4.0
    time.settle()
    assert seen == [1.0, 3.0, 5.0]
