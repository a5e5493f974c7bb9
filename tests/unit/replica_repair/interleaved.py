"""A repair of one key, its item changes meanwhile, and a hand that harms its row before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any, Protocol

from tablestore import Condition, Row

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.values import Cell
from lockstep.tablestore.repair import GuardedRows, GuardedWrite, RowKey
from lockstep.tablestore.rows import ReplicaRows
from lockstep.tablestore.stored_row import Cells
from shared.outcome import Failed, Outcome
from tests.unit.write_to_tablestore.replica import Replica

# R: a step of the repair. The first A and the first B change the item, the second ones deliver the
# records of these changes.
ORDERS = sorted({"".join(one) for one in permutations("RRRAABB")})


class Origin(Protocol):
    """A source with one item that changes."""

    def change(self, note: str | None) -> dict[str, Any]:
        """Put the item, or remove it; returns the record of the stream."""
        ...

    def lookup(self, keys: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """See `ItemLookup`."""
        ...


class Interleaved:
    """Source and replica, for a repair. Before each of its steps, what `order` says happens."""

    longest_request = 0.01

    def __init__(
        self, source: Origin, replica: Replica, rows: GuardedRows, order: str, removes: str
    ) -> None:
        self._source = source
        self._replica = replica
        self._rows = rows
        self._left = [*order]
        self._removes = removes
        self._records: dict[str, dict[str, Any]] = {}

    def check(self) -> None:
        self._rows.check()

    def read(
        self, keys: Sequence[RowKey], within: float | None = None
    ) -> Sequence[Cells | Failed | None]:
        self._before_a_step()
        return self._rows.read(keys, within)

    def lookup(self, keys: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        self._before_a_step()
        return [*self._source.lookup(keys)]

    def write(
        self, writes: Sequence[GuardedWrite], within: float | None = None
    ) -> Sequence[Outcome]:
        self._before_a_step()
        return self._rows.write(writes, within)

    def end(self) -> None:
        """Let happen what is left."""
        for one in self._left:
            self._happens(one)

    def _before_a_step(self) -> None:
        while "R" in self._left and (one := self._left.pop(0)) != "R":
            self._happens(one)

    def _happens(self, one: str) -> None:
        if one == "R":  # the repair needed fewer steps
            return
        if one in self._records:
            self._replica.deliver(self._records[one])
        else:
            note = None if one in self._removes else f"changed by {one}"
            self._records[one] = self._source.change(note)


def delivered_in_order(order: str) -> bool:
    """Whether the records are delivered in the order of their changes, as Lambda does."""
    first, second = sorted("AB", key=order.index)
    return order.rindex(first) < order.rindex(second)


def rows_of(replica: Replica) -> ReplicaRows:
    return ReplicaRows(
        replica.sink,
        replica.client,
        "orders",
        replica.conversion.key_columns,
        longest_request=0.01,
        deletions=replica.deletions,
    )


def written(replica: Replica, key: Any, **columns: Cell) -> None:
    """Write a row by hand: exactly these columns."""
    replica.place.client.put_row("orders", Row(key, [*columns.items()]), Condition("IGNORE"))


def other_content(replica: Replica, key: Any, found: dict[str, Any]) -> None:
    written(replica, key, **{**found, "note": "harmed"})


def gone(replica: Replica, key: Any, _: dict[str, Any]) -> None:
    replica.place.client.delete_row("orders", Row(key), Condition("IGNORE"))


def without_version(replica: Replica, key: Any, _: dict[str, Any]) -> None:
    written(replica, key, note="harmed")


def a_tombstone(replica: Replica, key: Any, found: dict[str, Any]) -> None:
    written(
        replica,
        key,
        lockstep_version=found["lockstep_version"],
        lockstep_at=found["lockstep_at"],
        lockstep_deleted=True,
        lockstep_purge_at=1,
    )


def with_a_later_version(replica: Replica, key: Any, found: dict[str, Any]) -> None:
    later = guard.version("2999-01-01T00:00:00.000", "1")
    written(replica, key, **{**found, "note": "harmed", "lockstep_version": later})


def with_a_number_as_its_version(replica: Replica, key: Any, found: dict[str, Any]) -> None:
    written(replica, key, **{**found, "note": "harmed", "lockstep_version": 7})


type Harm = Callable[[Replica, Any, dict[str, Any]], None]

HARMS: Sequence[Harm] = [other_content, gone, without_version, a_tombstone]
# After these, each record is stale or refused until the row is repaired. So a record that is
# delivered out of order afterwards is not stopped by a later one before.
STOPPING: Sequence[Harm] = [with_a_later_version, with_a_number_as_its_version]
