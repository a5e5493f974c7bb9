"""What a report keeps of the differences while an audit finds them."""

import tracemalloc

from lockstep.audit.recheck import Difference
from lockstep.reports.gathering import EXAMPLES, Gathering
from lockstep.stores.entry import Entry
from tests.unit.audit.stand import NOW


def a_difference(number: int, kind: str = "conflict", **fields: int) -> Difference:
    entry = Entry(f"i{number}", 5, arrived_at=fields.get("arrived_at", int(NOW * 1000) - number))
    return Difference(
        f"i{number}", kind, None, explained_by_quarantine=False, record=entry, replica=None
    )


def test_more_differences_take_no_more_memory() -> None:
    gathered = Gathering(NOW)
    for number in range(10_000):
        gathered.add(a_difference(number))
    tracemalloc.start()
    for number in range(10_000, 100_000):
        gathered.add(a_difference(number))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    assert [one.image_id for one in gathered.examples] == [f"i{n}" for n in range(EXAMPLES)]


def test_the_examples_of_the_most_frequent_kind_come_first() -> None:
    gathered = Gathering(NOW)
    for number, kind in enumerate(["conflict", *["table_behind"] * 7]):
        gathered.add(a_difference(number, kind))
    kinds = [one.kind for one in gathered.examples]
    assert kinds == [*["table_behind"] * EXAMPLES, "conflict"]


def test_the_newest_arrival_counts_and_one_in_the_future_does_not() -> None:
    gathered = Gathering(NOW)
    known, later = int(NOW * 1000) - 90_000, int(NOW * 1000) + 10**9
    table, index = Entry("T1", 1, arrived_at=known), Entry("T1", 2, arrived_at=later)
    gathered.add(
        Difference(
            "T1", "table_behind", "image", explained_by_quarantine=True, record=table, replica=index
        )
    )
    gathered.add(a_difference(2, arrived_at=later))
    gathered.add(a_difference(3, arrived_at=0))
    (bar,) = gathered.over_time.bars
    assert bar.begins.timestamp() * 1000 <= known
    assert (bar.counts, gathered.over_time.unknown) == ({"table_behind": 1}, 2)
    assert (gathered.explained, gathered.quarantined) == ({"table_behind": 1}, {"T1"})
