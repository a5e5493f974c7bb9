"""The faulty network: each fault does what its name says, and without faults all works."""

import random
from contextlib import suppress
from functools import partial
from typing import override

import pytest

from lockstep.simulation.clock import START, VirtualTime
from lockstep.simulation.fakes.network import (
    AnswerError,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
)
from lockstep.simulation.faults import Fault, Tally
from lockstep.simulation.faulty_network import (
    LONGEST_EXPIRY_SECONDS,
    Conditions,
    CrashedError,
    FaultyConnection,
    RunningInvocation,
    StoreName,
    TimedOutError,
)

# The exception, whether the request is applied at once, and whether it is applied later.
EXPECTED: dict[str, tuple[type[BaseException], bool, bool]] = {
    "connection reset": (NoAnswerError, False, False),
    "answer lost": (NoAnswerError, True, False),
    "answer cut": (CutOffError, True, False),
    "zombie request": (NoAnswerInTimeError, False, True),
    "throttled request": (AnswerError, False, False),
    "server error": (AnswerError, False, False),
    "server error, but applied": (AnswerError, True, False),
    "credentials expired": (AnswerError, False, False),
    "request refused": (AnswerError, False, False),
    "crash before a request": (CrashedError, False, False),
    "crash after a request": (CrashedError, True, False),
}


# The counted name, where it differs from the drawn one.
COUNTED: dict[str, Fault] = {
    "answer cut": "answer of the table cut at a byte",
    "credentials expired": "credentials for the table expired",
    "request refused": "request of the table refused as a whole",
}


class Always(random.Random):
    """Random numbers that always choose this fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(0)
        self._fault = fault

    @override
    def choice(self, seq: object) -> str:  # type: ignore[override]  # only faults are chosen here
        assert isinstance(seq, tuple)
        assert self._fault in seq
        return self._fault


@pytest.mark.parametrize("fault", EXPECTED)
def test_each_fault_does_what_its_name_says(fault: str) -> None:
    conditions = Conditions(VirtualTime(), Tally(), Always(fault))
    connection = FaultyConnection("table", conditions)
    connection.part_failures(2, ["ThrottlingError"])  # a request of two parts, of which none fails
    conditions.fault_rate, conditions.running = 1.0, RunningInvocation(START + 60.0)
    applied: list[str] = []
    error, at_once, later = EXPECTED[fault]
    with pytest.raises(error):
        connection.send(lambda: applied.append("now"))
    assert bool(applied) == at_once
    conditions.time.settle()
    assert bool(applied) == (at_once or later)
    assert conditions.tally == {COUNTED.get(fault, fault): 1}


def test_the_request_of_a_timed_out_invocation_may_be_applied_later() -> None:
    conditions = Conditions(VirtualTime(), Tally(), Always("Lambda timeout"))
    conditions.fault_rate, conditions.running = 1.0, RunningInvocation(START + 60.0)
    landed: list[int] = []
    for number in range(100):
        with pytest.raises(TimedOutError):
            FaultyConnection("index", conditions).send(partial(landed.append, number))
    assert landed == []
    conditions.time.settle()
    assert 0 < len(landed) < 100


def test_without_faults_every_request_arrives_and_takes_a_little_time() -> None:
    conditions = Conditions(VirtualTime(), Tally(), random.Random(0))
    connection = FaultyConnection("stream", conditions)
    assert [connection.send(partial(str, number)) for number in range(5)] == list("01234")
    assert connection.part_failures(5, ["x"]) == {}
    assert START < conditions.time.now < START + 1
    assert not conditions.tally


def test_a_store_that_is_down_does_not_answer_until_it_is_up() -> None:
    conditions = Conditions(VirtualTime(), Tally(), random.Random(0))
    connection = FaultyConnection("quarantine", conditions)
    connection.down_until = START + 60.0
    refused = 0
    while conditions.time.now < connection.down_until:
        with pytest.raises(NoAnswerError):
            connection.send(lambda: "up")
        refused += 1
    assert connection.send(lambda: "up") == "up"
    assert refused == conditions.tally["quarantine down"] > 0


@pytest.mark.parametrize(
    ("store", "status", "code"),
    [
        ("table", 400, "ExpiredTokenException"),
        ("index", 403, "The security token included in the request is expired"),
        ("quarantine", 400, "ExpiredToken"),
        ("stream", 400, "ExpiredTokenException"),
    ],
)
def test_expired_credentials_get_the_error_of_the_store_until_they_are_renewed(
    store: StoreName, status: int, code: str
) -> None:
    conditions = Conditions(VirtualTime(), Tally(), Always("credentials expired"))
    connection = FaultyConnection(store, conditions)
    conditions.fault_rate = 1.0
    with pytest.raises(AnswerError) as first:
        connection.send(lambda: "good")
    conditions.fault_rate = 0.0
    refused = 1
    while conditions.time.now < START + LONGEST_EXPIRY_SECONDS:
        with suppress(AnswerError):
            assert connection.send(lambda: "good") == "good"
            break
        refused += 1
    assert (first.value.status, first.value.code) == (status, code)
    assert refused > 1
    assert conditions.tally == {f"credentials for the {store} expired": refused}


def test_what_happens_meanwhile_costs_an_invocation_no_time() -> None:
    conditions = Conditions(VirtualTime(), Tally(), random.Random(0))
    outer = conditions.running = RunningInvocation(START + 10.0)
    seen: list[RunningInvocation | None] = []

    def action() -> None:
        seen.append(conditions.running)
        conditions.hit("connection reset")
        conditions.time.advance(7.0)

    conditions.interleave(action)
    assert (seen, conditions.running) == ([None], outer)
    assert (outer.deadline, outer.hits) == (START + 17.0, 0)


def test_an_action_runs_at_the_time_when_it_is_due() -> None:
    time = VirtualTime()
    seen: list[float] = []
    for seconds in (5.0, 1.0, 3.0):
        time.later(seconds, lambda: seen.append(time.now - START))
    time.advance(4.0)
    assert seen == [1.0, 3.0]
    assert time.now == START + 4.0
    time.settle()
    assert seen == [1.0, 3.0, 5.0]
