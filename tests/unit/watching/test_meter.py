"""Counters that only grow, as rates."""

from lockstep.watching.meter import RATE_SECONDS, SHARE_SECONDS, Meter
from lockstep.watching.seen import POINTS


def metered(*counts: int, every: float = 1.0) -> Meter:
    meter = Meter()
    for at, count in enumerate(counts):
        meter.add(at * every, {"a": count})
    return meter


def test_one_reading_has_no_rate() -> None:
    meter = metered(7)
    assert (meter.rate("a"), meter.history("a"), meter.period) == (None, (), 0)
    assert meter.grown() == {"a": 0}


def test_a_rate_is_that_of_the_last_seconds_and_a_history_that_of_each_step() -> None:
    meter = metered(0, 100, *([100] * round(RATE_SECONDS - 1)), 110)
    assert meter.history("a")[:2] == (100.0, 0.0)
    assert meter.history("a")[-1] == 10.0
    assert meter.rate("a") == 1.0


def test_readings_that_are_far_apart_have_a_rate_too() -> None:
    assert metered(0, 600, every=60.0).rate("a") == 10.0
    assert metered(0, 600, every=60.0).period == 60.0


def test_a_counter_that_began_again_is_another_one() -> None:
    meter = metered(100, 200, 3)
    assert (meter.rate("a"), meter.history("a")) == (None, ())
    gone = metered(100, 200)
    gone.add(2.0, {"b": 1})
    assert gone.history("b") == ()


def test_a_counter_that_is_new_has_no_rate_yet_and_has_grown_by_all_of_it() -> None:
    meter = metered(100)
    meter.add(1.0, {"a": 101, "b": 5})
    assert (meter.rate("a"), meter.rate("b")) == (1.0, None)
    assert meter.grown() == {"a": 1, "b": 5}


def test_only_the_last_minute_counts_for_the_shares() -> None:
    meter = metered(0, *range(1000, 1000 + round(SHARE_SECONDS) + 1))
    assert meter.grown() == {"a": round(SHARE_SECONDS)}


def test_two_readings_at_one_time_have_no_rate() -> None:
    assert metered(1, 2, every=0.0).rate("a") is None


def test_a_history_is_no_longer_than_a_terminal_is_wide() -> None:
    assert len(metered(*range(POINTS * 2)).history("a")) == POINTS
