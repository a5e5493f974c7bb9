"""A backlog after an outage, against the same calculated minute by minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.plan.catching_up import catch_up_s, most_events

MINUTES = 24 * 60
DAYS = st.lists(st.integers(0, 1_000), min_size=24, max_size=24).filter(any)


def minute_by_minute(hours: list[int], outage_minutes: int, drain: float) -> tuple[float, int]:
    """The largest backlog, and the longest time until one is gone, in whole minutes."""

    def load(minute: int) -> float:
        return hours[minute // 60 % 24] * 60

    largest, longest = 0.0, 0
    for end in range(0, MINUTES, 60):
        backlog = sum(load(end - 1 - back) for back in range(outage_minutes))
        largest = max(largest, backlog)
        minute = end
        while backlog > 1e-6:
            backlog += load(minute) - drain * 60
            minute += 1
        longest = max(longest, minute - end)
    return largest, longest


@given(DAYS, st.integers(0, 200), st.integers(5, 300))
def test_a_backlog_is_that_of_the_worst_hour(hours: list[int], minutes: int, more: int) -> None:
    # Of 1.05 to 4 times the mean: a store that takes only a little more takes many days.
    drain = sum(hours) / 24 * (1 + more / 100)
    largest, longest = minute_by_minute(hours, minutes, drain)
    assert most_events(hours, minutes / 60) == pytest.approx(largest)
    seconds = catch_up_s(hours, minutes / 60, drain)
    assert not isinstance(seconds, str)
    assert 60 * longest - 60 - 1e-3 <= seconds <= 60 * longest + 1e-3


def test_a_store_that_takes_no_more_than_arrives_never_catches_up() -> None:
    assert catch_up_s([2.0] * 24, 6, 2.0) == "never"
    assert catch_up_s([0.0, 4.0] * 12, 6, 2.0) == "never"


def test_many_days_are_not_looped_over() -> None:
    # 10 hours of 1,000 events a second, 0.001 of which go away in a second.
    assert catch_up_s([1_000.0] * 24, 10, 1_000.001) == pytest.approx(3.6e10, rel=1e-6)
