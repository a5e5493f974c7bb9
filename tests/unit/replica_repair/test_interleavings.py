"""All orders of the steps of a repair, of two changes of its item, and of their deliveries.

The source is in memory; tests/contract/tablestore/test_repair.py has a real one. The replica is the
endpoint of this machine, through the official SDK.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from functions.write_to_tablestore import guard
from lockstep.tablestore.repair import Mending, RowRepair
from shared.outcome import Applied, Duplicate
from tests.builders import clock
from tests.unit.replica_repair.interleaved import (
    HARMS,
    ORDERS,
    STOPPING,
    Harm,
    Interleaved,
    delivered_in_order,
    other_content,
    rows_of,
)
from tests.unit.write_to_tablestore.replica import BY_ID, LABEL, Replica, row_record

REMOVES = ["", "A", "B"]


class OneItem:
    """A source with one item at most. Its stream numbers the changes of all items."""

    positions = count(1)

    def __init__(self, key: str) -> None:
        self.key = key
        self.item: dict[str, Any] | None = None

    def change(self, note: str | None) -> dict[str, Any]:
        content = None if note is None else {"note": {"S": note}}
        self.item = None if content is None else {"id": {"S": self.key}, **content}
        return row_record(next(self.positions), self.key, content)

    def lookup(self, keys: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        assert keys == [{"id": {"S": self.key}}]
        return [] if self.item is None else [self.item]

    def is_shown_by(self, row: dict[str, Any] | None) -> bool:
        if self.item is None:
            return row is not None and row["lockstep_deleted"]
        return row is not None and row.get("note") == self.item["note"]["S"]


def begun(
    replica: Replica, key: str, harm: Harm, order: str, removes: str
) -> tuple[OneItem, Interleaved, RowRepair]:
    source = OneItem(key)
    replica.deliver(source.change("before"))
    found = replica.row(key)
    assert found is not None
    harm(replica, [("id", key)], found)
    between = Interleaved(source, replica, rows_of(replica), order, removes)
    repair = RowRepair(
        between,
        between,
        conversion=BY_ID,
        key_types={"id": "S"},
        label=guard.normalized_label(LABEL),
        clock=clock(),
    )
    return source, between, repair


def cases(removes: str) -> Iterator[tuple[Harm, str]]:
    """Each order; the harms take turns, so that each order has three of them in the end."""
    harms = [*HARMS, *STOPPING]
    for at, order in enumerate(ORDERS):
        harm = harms[(at + REMOVES.index(removes)) % len(harms)]
        if harm not in STOPPING or delivered_in_order(order):
            yield harm, order


@pytest.mark.parametrize("removes", REMOVES)
def test_a_repair_ends_right_in_every_order(replica: Replica, removes: str) -> None:
    assert len(ORDERS) == 210
    wrong = []
    for harm, order in cases(removes):
        source, between, repair = begun(replica, order, harm, order, removes)
        [outcome] = repair.send([{"id": {"S": source.key}}])
        assert isinstance(outcome, Applied | Duplicate)
        between.end()
        if not source.is_shown_by(replica.row(source.key)):
            wrong.append((harm, order))
    assert not wrong


def test_reading_the_source_first_ends_wrong_in_some_orders(replica: Replica) -> None:
    """So the order of both reads matters, and these tests notice it."""
    wrong = set()
    for order in ORDERS:
        source, between, repair = begun(replica, order, other_content, order, "")
        key = BY_ID.key_of({"id": {"S": order}})
        [item] = between.lookup([{"id": {"S": order}}])
        [row] = between.read([key])
        assert isinstance(row, Mapping)
        decision = repair.decide(key, row, item)
        if isinstance(decision, Mending):
            between.write([decision.write])
        between.end()
        if not source.is_shown_by(replica.row(order)):
            wrong.add(order)
    # The item is read, B changes it, its record is delivered, and only then the row is read.
    assert "AARBBRR" in wrong
    # The same with A, but then B is delivered.
    assert "RAARRBB" not in wrong
    assert len(wrong) == 22
    assert (
        len([one for one in wrong if delivered_in_order(one) and one.index("A") < one.index("B")])
        == 5
    )
