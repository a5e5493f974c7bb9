"""The timeline: every difference is in exactly one bar, and there are never too many bars."""

import datetime as dt
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lockstep.reports.timeline import MOST_BARS, Timeline

NOW = 1_795_248_000_000


def counted(timeline: Timeline) -> Counter[str]:
    found: Counter[str] = Counter()
    for bar in timeline.bars():
        found.update(bar.counts)
    return found


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, NOW)), max_size=50))
def test_every_arrival_is_in_the_bar_of_its_time(found: list[tuple[str, int]]) -> None:
    timeline = Timeline()
    for kind, arrived_at in found:
        timeline.add(kind, arrived_at)
    bars = list(timeline.bars())
    assert len(bars) <= MOST_BARS
    assert counted(timeline) == Counter(kind for kind, _ in found)
    for bar in bars:
        begins = round(bar.begins.timestamp() * 1000)
        ends = begins + round(timeline.width.total_seconds() * 1000)
        assert bar.counts == Counter(kind for kind, at in found if begins <= at < ends)


def test_arrivals_of_one_minute_are_one_bar_of_a_minute() -> None:
    timeline = Timeline()
    for second in range(60):
        timeline.add("conflict", NOW + second * 1000)
    (bar,) = timeline.bars()
    assert (bar.counts, timeline.width) == ({"conflict": 60}, dt.timedelta(minutes=1))


def test_differences_over_ten_years_need_no_more_memory_than_sixty_bars() -> None:
    timeline, chance = Timeline(), random.Random(1)
    for _ in range(100_000):
        timeline.add("conflict", NOW - chance.randrange(10 * 365 * 86_400_000))
    assert len(timeline._counts) <= MOST_BARS  # noqa: SLF001 - the bound
    assert counted(timeline) == {"conflict": 100_000}


def test_an_unknown_arrival_is_counted_and_in_no_bar() -> None:
    timeline = Timeline()
    timeline.add("malformed", None)
    assert (timeline.unknown, list(timeline.bars())) == (1, [])
