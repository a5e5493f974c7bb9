"""The load of a real table, which changes meanwhile: what is there in the end is the source.

DynamoDB Local is the source. Its stream's records go to the consumer, and the rows are those that
an official SDK reads.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from functions.write_to_tablestore import guard
from lockstep.machine.files import write_json
from lockstep.stores.segments import SegmentPage, TableSegments
from lockstep.tablestore.load import Load, LoadParts, StreamReader
from lockstep.tablestore.progress import read_progress
from tests.builders import clock
from tests.contract.tablestore.source import BY_BOTH, Source, expected, rows
from tests.unit.write_to_tablestore.replica import Replica

SEGMENTS = 3

type Order = Callable[[Sequence[Any]], Sequence[Any]]

# In which order the records of the stream are delivered, and how often.
ORDERS: Mapping[str, Order] = {
    "as they came": lambda records: records,
    "backwards": lambda records: [*reversed(records)],
    "odd ones first, all twice": lambda records: [*records[1::2], *records, *records[::2]],
}


class Meanwhile:
    """The source in segments. Before and after each page is read, something happens."""

    def __init__(self, source: TableSegments, happens: Callable[[int], None]) -> None:
        self._source = source
        self._happens = happens
        self.read: list[tuple[int, str | None]] = []

    def page(self, segment: int, position: str | None) -> SegmentPage:
        self._happens(2 * len(self.read))
        page = self._source.page(segment, position)
        self.read.append((segment, position))
        self._happens(2 * len(self.read) - 1)
        return page


def new_load(source: Source, replica: Replica, segments: Any, **given: Any) -> Load:
    label = guard.label_in(source.arn)
    return Load(
        LoadParts(
            source=segments,
            keys=["part", "sort"],
            stream=source.arn.partition(":table/")[2],
            target="local/orders",
            conversion=BY_BOTH,
            label=label,
            sink=replica.sink,
            reader=lambda: StreamReader("Enabled", "OK"),
            clock=clock(now=lambda: 1.5),
            **given,
        ),
        applies=True,
    )


def changes(source: Source, replica: Replica, order: Order) -> Callable[[int], None]:
    """At each moment of a load, some items change, and some records are delivered."""

    def happens(moment: int) -> None:
        if moment % 4 == 0:
            source.put(100 + moment % 50, "inserted")
        source.put(moment % 20, f"changed at {moment}")
        source.remove((7 * moment + 3) % 20)
        if moment % 4 == 3:
            source.put((7 * moment + 3) % 20, "again")
            source.remove(100 + moment % 50 - 3)
        for record in order(source.records()[-2 - moment % 3 :]):
            replica.deliver(record)

    return happens


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_a_load_while_the_table_changes_ends_equal(
    source: Source, replica: Replica, order: Order
) -> None:
    for at in range(20):
        source.put(at, "before")
    segments = Meanwhile(
        TableSegments(source.client, source.name, SEGMENTS, 2), changes(source, replica, order)
    )
    load = new_load(source, replica, segments, rows_at_once=1)
    done = load.run(load.beginning(SEGMENTS))
    assert len(segments.read) > 2 * SEGMENTS
    assert done.counts.written
    assert done.counts.newer, "no row was written by the stream before the load got to it"
    for record in order(source.records()):
        replica.deliver(record)
    assert rows(replica) == expected(source)


def test_killed_after_any_write_and_resumed_it_ends_equal(
    source: Source, replica: Replica, tmp_path: Path
) -> None:
    """Killed after the first write, after one more, and so on; nothing done is read again."""
    file = tmp_path / "load.json"
    for at in range(10):
        source.put(at, "before")
    happens = changes(source, Replica.beside(replica), ORDERS["backwards"])
    segments = Meanwhile(TableSegments(source.client, source.name, 2, 2), happens)
    load = new_load(
        source, replica, segments, rows_at_once=1, on_step=lambda one: write_json(file, one)
    )
    left = 0  # writes of the load, until it is killed

    def kill(sent: str) -> None:
        nonlocal left
        if sent == "BatchWriteRow":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

    replica.connection.instead = kill
    kills, is_done = 0, False
    done: set[tuple[int, str | None]] = set()
    while not is_done:
        seen, left = len(segments.read), 1 + kills % 4
        try:
            is_done = load.run(read_progress(file) or load.beginning(2)).is_done
        except KeyboardInterrupt:
            kills += 1
        read = segments.read[seen:]
        assert not done.intersection(read)
        # Only the page that was being written is not done.
        done.update(read if is_done else read[:-1])
    assert kills > 3
    consumer = Replica.beside(replica)
    for record in source.records():
        consumer.deliver(record)
    assert rows(consumer) == expected(source)
