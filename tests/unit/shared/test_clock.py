"""The clock of a use case never goes back."""

from collections.abc import Iterator

from shared.clock import Clock
from tests.builders import clock


def reading(*times: float) -> Clock:
    read: Iterator[float] = iter(times)
    return clock(now=lambda: next(read), elapsed=lambda: 7.0, chance=lambda: 0.5)


def test_a_steady_clock_stands_still_while_the_clock_of_the_machine_is_behind() -> None:
    steady = reading(5.0, 3.0, 4.9, 5.5, -1.0).steady()
    assert [steady.now() for _ in range(5)] == [5.0, 5.0, 5.0, 5.5, 5.5]


def test_only_the_time_of_a_steady_clock_differs() -> None:
    its = reading(1.0)
    steady = its.steady()
    assert (steady.elapsed, steady.sleep, steady.chance) == (its.elapsed, its.sleep, its.chance)


def test_each_use_case_has_its_own() -> None:
    machine = reading(5.0, 3.0, 4.0)
    one, other = machine.steady(), machine.steady()
    assert [one.now(), other.now(), one.now()] == [5.0, 3.0, 5.0]
