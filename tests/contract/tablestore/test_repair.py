"""The repair of single keys, with a real source and its stream."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from functions.write_to_tablestore import guard
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Fault
from lockstep.local.tablestore.store import TableFile
from lockstep.stores.items import TableItems
from lockstep.stores.writing import settled
from lockstep.tablestore.repair import GuardedRows, ItemLookup, RowRepair
from shared.outcome import Applied, Duplicate, Failed, Outcome, Refused
from shared.sink import MisconfiguredError, write_all
from tests.builders import clock
from tests.contract.tablestore.source import BY_BOTH, Source, expected, key_of, rows, whole
from tests.unit.replica_repair.interleaved import (
    HARMS,
    ORDERS,
    STOPPING,
    Harm,
    Interleaved,
    delivered_in_order,
    gone,
    other_content,
    rows_of,
    written,
)
from tests.unit.write_to_tablestore.replica import Replica

# A time after which each tombstone of a consumer in these tests has expired.
NOW = 2_000_000_000.0


def repair_of(
    source: Source,
    replica: Replica,
    items: ItemLookup | None = None,
    of_replica: GuardedRows | None = None,
) -> RowRepair:
    return RowRepair(
        items or TableItems(source.client, source.name),
        of_replica or rows_of(replica),
        conversion=BY_BOTH,
        key_types={"part": "N", "sort": "B"},
        label=guard.label_in(source.arn),
        clock=clock(now=lambda: NOW),
    )


def repaired(source: Source, replica: Replica, *at: int) -> Sequence[Outcome]:
    return write_all([key_of(one) for one in at], repair_of(source, replica))


def primary(at: int) -> list[tuple[str, Any]]:
    return [("part", at % 7 - 3), ("sort", bytearray([at, 0, 255]))]


def row(replica: Replica, at: int) -> dict[str, Any]:
    found = replica.row(primary(at))
    assert found is not None
    return found


def in_step(source: Source, replica: Replica, *at: int) -> None:
    for one in at:
        source.put(one, "before")
    replica.deliver(*source.new_records())


def equal(source: Source, replica: Replica) -> bool:
    return rows(replica) == expected(source)


class OneItem:
    """One item of the source, which changes."""

    def __init__(self, source: Source, at: int) -> None:
        self._source = source
        self._at = at

    def change(self, note: str | None) -> dict[str, Any]:
        if note is None:
            self._source.remove(self._at)
        else:
            self._source.put(self._at, note)
        [record] = self._source.new_records()
        return record

    def lookup(self, keys: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        return TableItems(self._source.client, self._source.name).lookup(keys)


def test_a_repair_ends_right_whatever_happens_between_its_steps(
    source: Source, replica: Replica
) -> None:
    """Each seventh order; tests/unit/replica_repair has all, with a source in memory."""
    harms = [*HARMS, *STOPPING]
    for at, order in enumerate(ORDERS[::7]):
        harm = harms[at % len(harms)]
        if harm in STOPPING and not delivered_in_order(order):
            continue
        in_step(source, replica, at)
        harm(replica, primary(at), row(replica, at))
        item = OneItem(source, at)
        between = Interleaved(item, replica, rows_of(replica), order, ["", "A", "B"][at % 3])
        [outcome] = write_all([key_of(at)], repair_of(source, replica, between, between))
        assert isinstance(outcome, Applied | Duplicate)
        between.end()
    assert equal(source, replica)


@pytest.mark.parametrize("harm", HARMS)
def test_the_version_stays_so_that_later_records_win(
    source: Source, replica: Replica, harm: Harm
) -> None:
    in_step(source, replica, 1)
    before = row(replica, 1)
    harm(replica, primary(1), before)
    source.put(1, "later")
    assert repaired(source, replica, 1) == [Applied()]
    after = row(replica, 1)
    assert after["note"] == "later"
    kept = harm in {other_content, HARMS[-1]}
    lowest = guard.lowest_version(guard.label_in(source.arn))
    assert after["lockstep_version"] == (before["lockstep_version"] if kept else lowest)
    [late] = source.new_records()
    assert replica.write(late) == [Applied()]
    assert equal(source, replica)


def test_what_is_equal_is_not_written(source: Source, replica: Replica) -> None:
    in_step(source, replica, 1, 2)
    source.remove(2)
    replica.deliver(*source.new_records())
    _ = replica.sent
    # A row, a tombstone, and a key that nobody has.
    assert repaired(source, replica, 1, 2, 3) == [Duplicate()] * 3
    assert replica.sent == ["BatchGetRow"]


def test_a_row_that_the_source_lacks_becomes_a_tombstone(source: Source, replica: Replica) -> None:
    in_step(source, replica, 1)
    version = row(replica, 1)["lockstep_version"]
    source.remove(1)
    assert repaired(source, replica, 1) == [Applied()]
    found = row(replica, 1)
    assert found.pop("lockstep_purge_at") > NOW
    assert found.pop("lockstep_at")
    assert found == {"lockstep_version": version, "lockstep_deleted": True}
    assert equal(source, replica)


def test_with_plain_deletions_it_is_deleted_if_its_version_is_the_same(source: Source) -> None:
    with TableFile.open(None) as store:
        replica = Replica(
            store,
            key=(("part", "INTEGER"), ("sort", "BINARY")),
            conversion=BY_BOTH,
            deletions="row",
        )
        in_step(source, replica, 1)
        source.remove(1)
        assert repaired(source, replica, 1) == [Applied()]
        assert replica.row(primary(1)) is None
        assert repaired(source, replica, 1) == [Duplicate()]


def test_of_a_hundred_keys_each_gets_what_its_item_is(source: Source, replica: Replica) -> None:
    in_step(source, replica, *range(150))
    for at in range(0, 150, 2):
        harm = HARMS[at // 2 % len(HARMS)]
        harm(replica, primary(at), row(replica, at))
    for at in range(0, 150, 5):
        source.remove(at)
    outcomes = repaired(source, replica, *range(150))
    assert [at for at, outcome in enumerate(outcomes) if outcome == Duplicate()] == [
        at
        for at in range(150)
        # Harm that made it absent, as the source has it now; or no harm and no removal.
        if (at % 2 and at % 5)
        or (at % 10 == 0 and HARMS[at // 2 % len(HARMS)] in {gone, HARMS[-1]})
    ]
    assert equal(source, replica)


def test_an_item_that_table_store_cannot_hold_is_refused_and_its_row_stays(
    source: Source, replica: Replica
) -> None:
    in_step(source, replica, 1)
    before = row(replica, 1)
    source.client.put_item(
        TableName=source.name,
        Item={**whole(1, "x"), "huge": {"N": "12345678901234567890123"}},
    )
    [outcome] = repaired(source, replica, 1)
    assert isinstance(outcome, Refused)
    assert "huge" in outcome.detail
    assert row(replica, 1) == before


@pytest.mark.parametrize(
    "key",
    [
        {"part": {"S": "a"}, "sort": {"B": b"a"}},
        {"part": {"N": "1"}},
        {"part": {"N": "1"}, "sort": {"B": b"a"}, "more": {"S": "a"}},
        {"part": {"N": "1.5"}, "sort": {"B": b"a"}},
        {"part": {"N": "1"}, "sort": {"B": b""}},
        {"part": {"N": "1"}, "sort": {"B": "no base64"}},
        {"part": {"N": "one"}, "sort": {"B": b"a"}},
    ],
)
def test_a_key_that_is_none_of_the_source_is_refused_alone(
    source: Source, replica: Replica, key: Mapping[str, Any]
) -> None:
    in_step(source, replica, 1, 2)
    other_content(replica, primary(2), row(replica, 2))
    outcomes = write_all([key_of(1), key, key_of(2)], repair_of(source, replica))
    assert outcomes[0] == Duplicate()
    assert isinstance(outcomes[1], Refused)
    assert outcomes[2] == Applied()


def test_the_same_key_twice_does_no_harm(source: Source, replica: Replica) -> None:
    """A redrive may have two records of one item."""
    in_step(source, replica, 1)
    other_content(replica, primary(1), row(replica, 1))
    assert repaired(source, replica, 1, 1) == [Applied(), Duplicate()]
    assert equal(source, replica)


def test_a_throttled_row_fails_alone_and_is_written_later(source: Source, replica: Replica) -> None:
    in_step(source, replica, 1, 2)
    for at in (1, 2):
        other_content(replica, primary(at), row(replica, at))
    busy = Fault(TableStoreError("OTSServerBusy", "busy"))
    with replica.failing("BatchWriteRow", busy):
        outcomes = repair_of(source, replica).send([key_of(1), key_of(2)])
    assert all(isinstance(one, Failed) for one in outcomes)
    with replica.failing("BatchWriteRow", busy):
        replica.stop_failing_after("BatchWriteRow")
        repair = repair_of(source, replica)
        done = [*settled([key_of(1), key_of(2)], repair, clock(sleep=lambda _: None))]
    assert done == [(key_of(1), Applied()), (key_of(2), Applied())]
    assert equal(source, replica)


def test_a_row_that_changes_all_the_time_is_left_for_later(
    source: Source, replica: Replica
) -> None:
    class Restless:
        """Before each write, the stream delivers another change."""

        longest_request = 0.01
        check = rows_of(replica).check
        read = rows_of(replica).read

        def write(self, writes: Any, within: float | None = None) -> Sequence[Outcome]:
            source.put(1, f"{len(source.records())}")
            replica.deliver(*source.new_records())
            other_content(replica, primary(1), row(replica, 1))
            return rows_of(replica).write(writes, within)

    in_step(source, replica, 1)
    other_content(replica, primary(1), row(replica, 1))
    [outcome] = repair_of(source, replica, of_replica=Restless()).send([key_of(1)])
    assert outcome == Failed("the row changes all the time")


def test_without_permission_the_repair_stops(source: Source, replica: Replica) -> None:
    in_step(source, replica, 1)
    written(replica, primary(1), note="harmed")
    denied = Fault(TableStoreError("OTSNoPermissionAccess", "no"))
    with (
        replica.failing("BatchWriteRow", denied),
        pytest.raises(MisconfiguredError, match="OTSNoPermissionAccess"),
    ):
        repaired(source, replica, 1)
