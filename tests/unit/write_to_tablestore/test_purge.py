"""The purge, with the official SDK and the endpoint of this machine."""

from collections.abc import Callable
from typing import Any

import pytest
from tablestore import Condition, Row
from urllib3.exceptions import ReadTimeoutError

from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.keys import key_as_text, key_in
from functions.write_to_tablestore.purge import (
    PAUSES,
    MalformedTombstone,
    PurgedTombstones,
    TombstonePurge,
)
from functions.write_to_tablestore.tombstones import Tombstones
from lockstep.local.tablestore.faults import SERVER_BUSY, Fault
from lockstep.local.tablestore.store import TableFile
from shared.horizon import HORIZON
from shared.pace import Pace
from shared.sink import MisconfiguredError, RequestFailedError
from tests.builders import ARRIVED_AT, clock
from tests.unit.write_to_tablestore.replica import LABEL, Replica, row_record

REMOVED_AT = ARRIVED_AT // 1000 + 1
EXPIRES_AT = REMOVED_AT + round(HORIZON.total_seconds())
VERSION = f"{LABEL}/{10**20 + 1:040d}"


def tombstones(replica: Replica) -> Tombstones:
    client = replica.sink._client  # noqa: SLF001 - the client that counts what it sends
    return Tombstones(client, "orders", replica.conversion.key_columns)


def purge(
    replica: Replica, *, now: float = EXPIRES_AT, applies: bool = True, **given: Any
) -> PurgedTombstones:
    its_clock = given.pop("clock", clock(now=lambda: now))
    position = given.pop("position", None)
    return TombstonePurge(tombstones(replica), its_clock, applies=applies, **given).run(position)


def put_by_hand(replica: Replica, key: str, **columns: Any) -> None:
    """Write a row as somebody does who is not the consumer."""
    row = Row([("id", key)], [*columns.items()])
    replica.place.client.put_row("orders", row, Condition("IGNORE"))


def tombstone(**others: Any) -> dict[str, Any]:
    """The columns of an expired tombstone; None removes one."""
    columns = {
        "lockstep_version": VERSION,
        "lockstep_at": REMOVED_AT * 1000,
        "lockstep_deleted": True,
        "lockstep_purge_at": EXPIRES_AT,
    } | others
    return {name: value for name, value in columns.items() if value is not None}


def test_a_tombstone_is_deleted_when_its_time_has_come_and_not_before(replica: Replica) -> None:
    replica.deliver(row_record(1, "gone"), row_record(2, "later"), row_record(3, "put", {}))
    put = replica.row("put")
    assert purge(replica, now=EXPIRES_AT - 1) == PurgedTombstones(finished=True)
    assert purge(replica) == PurgedTombstones(expired=1, purged=1, finished=True)
    assert replica.row("gone") is None
    assert replica.row("later") is not None
    assert replica.row("put") == put
    assert purge(replica) == PurgedTombstones(finished=True)


def test_rows_of_others_stay(replica: Replica) -> None:
    """They have no columns of the version, or the item has attributes of such names."""
    put_by_hand(replica, "foreign", lockstep_purge_at=1)
    put_by_hand(replica, "living", **tombstone(lockstep_deleted=False))
    escaped = {"lockstep_deleted": {"BOOL": True}, "lockstep_purge_at": {"N": "1"}}
    replica.deliver(row_record(1, "named", escaped))
    assert purge(replica) == PurgedTombstones(finished=True)
    assert all(replica.row(key) for key in ("foreign", "living", "named"))


@pytest.mark.parametrize(
    ("columns", "flaw"),
    [
        (tombstone(lockstep_purge_at=None), "lockstep_purge_at is missing, or no Integer"),
        (tombstone(lockstep_at=None), "lockstep_at is missing, or no Integer"),
        (tombstone(lockstep_at="1"), "lockstep_at is missing, or no Integer"),
        (tombstone(lockstep_version=None), "lockstep_version is missing, or no version"),
        (tombstone(lockstep_version=7), "lockstep_version is missing, or no version"),
        (tombstone(lockstep_version="7"), "lockstep_version is missing, or no version"),
        (tombstone(note="kept"), "a tombstone has no column 'note'"),
    ],
)
def test_a_malformed_tombstone_is_told_and_stays(
    replica: Replica, columns: dict[str, Any], flaw: str
) -> None:
    put_by_hand(replica, "malformed", **columns)
    replica.deliver(row_record(1, "gone"))
    told: list[MalformedTombstone] = []
    done = purge(replica, on_malformed=told.append)
    assert done == PurgedTombstones(expired=1, purged=1, malformed=1, finished=True)
    assert told == [MalformedTombstone((("id", "malformed"),), flaw)]
    assert replica.row("malformed") == columns


@pytest.mark.parametrize(
    "columns",
    [
        tombstone(lockstep_deleted="true"),
        tombstone(lockstep_deleted=None),
        tombstone(lockstep_purge_at="1"),
        tombstone(lockstep_purge_at=1.0),
    ],
)
def test_a_row_of_other_types_is_not_even_read(replica: Replica, columns: dict[str, Any]) -> None:
    put_by_hand(replica, "other", **columns)
    assert purge(replica) == PurgedTombstones(finished=True)
    assert replica.row("other") == columns


RACES: dict[str, Callable[[Replica], object]] = {
    "the item comes back": lambda one: one.deliver(row_record(2, "a", {"note": {"S": "new"}})),
    "the item is removed again": lambda one: one.deliver(row_record(2, "a")),
    "somebody writes the row without the columns of the version": lambda one: put_by_hand(
        one, "a", note="by hand"
    ),
    "somebody writes the row without lockstep_deleted": lambda one: put_by_hand(
        one, "a", **tombstone(lockstep_deleted=None)
    ),
    "somebody writes the row with the same version, living": lambda one: put_by_hand(
        one, "a", **tombstone(lockstep_deleted=False), note="by hand"
    ),
    "somebody writes the row without a version": lambda one: put_by_hand(
        one, "a", **tombstone(lockstep_version=None)
    ),
}


@pytest.mark.parametrize("happens", RACES.values(), ids=list(RACES))
def test_a_row_that_is_written_after_it_was_read_stays(
    replica: Replica, happens: Callable[[Replica], object]
) -> None:
    replica.deliver(row_record(1, "a"))
    written: list[Any] = []

    def before(sent: str) -> None:
        if sent == "BatchWriteRow":
            happens(Replica.beside(replica))
            written.append(replica.row("a"))

    replica.connection.instead = before
    assert purge(replica) == PurgedTombstones(expired=1, changed=1, finished=True)
    replica.connection.instead = lambda _: None
    assert [replica.row("a")] == written
    assert written != [None]


def test_a_tombstone_that_is_gone_meanwhile_is_no_failure(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"))
    other = Replica.beside(replica)

    def before(sent: str) -> None:
        if sent == "BatchWriteRow":
            purge(other)

    replica.connection.instead = before
    assert purge(replica) == PurgedTombstones(expired=1, changed=1, finished=True)
    assert replica.row("a") is None


def test_a_dry_run_counts_and_deletes_nothing(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"))
    _ = replica.sent
    assert purge(replica, applies=False) == PurgedTombstones(expired=1, finished=True)
    assert replica.sent == ["GetRange"]
    assert replica.row("a") is not None


def test_a_large_table_is_read_by_page_and_sent_in_requests_of_200_rows(replica: Replica) -> None:
    keys = [f"k{at:04d}" for at in range(450)]
    replica.deliver(*(row_record(1, key) for key in keys[:225]))
    replica.deliver(*(row_record(1, key) for key in keys[225:]))
    _ = replica.sent
    assert purge(replica).purged == 450
    assert replica.sent == ["GetRange", *["BatchWriteRow"] * 3]
    assert purge(replica) == PurgedTombstones(finished=True)


def test_a_page_of_a_limited_purge_has_100_rows_and_its_units_and_rows_are_bounded(
    replica: Replica,
) -> None:
    keys = [f"k{at:04d}" for at in range(250)]
    replica.deliver(*(row_record(1, key) for key in keys))
    elapsed = 0.0
    deleted: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal elapsed
        elapsed += seconds

    def note(sent: str) -> None:
        if sent == "BatchWriteRow":
            deleted.append(elapsed)

    its_clock = clock(now=lambda: EXPIRES_AT, elapsed=lambda: elapsed, sleep=sleep)
    replica.connection.instead = note
    _ = replica.sent
    writes = Pace(50, its_clock)
    done = purge(
        replica, clock=its_clock, reads=Pace(1e6, its_clock), writes=writes, rows_at_once=50
    )
    assert done.purged == 250
    assert replica.sent.count("GetRange") == 3
    assert [round(one) for one in deleted] == [0, 1, 2, 3, 4]
    assert writes.used == 250


def test_it_stops_when_the_time_is_over_and_goes_on_from_there() -> None:
    """The key has an Integer and a Binary: the position is text."""
    with TableFile.open(None) as store:
        replica = Replica(
            store,
            key=(("n", "INTEGER"), ("b", "BINARY")),
            conversion=Conversion(primary_key=("n", "b")),
        )
        for n in range(-2, 3):
            keys = {"n": {"N": str(n)}, "b": {"B": "/wD/"}}
            record = row_record(1)
            record["dynamodb"] |= {"Keys": keys}
            replica.deliver(record)
        left = 3

        def has_time() -> bool:
            nonlocal left
            left -= 1
            return left >= 0

        # A page looks at two rows.
        limited = tombstones(replica)
        small: Any = type("Small", (), {"page": lambda _, at, now, __: limited.page(at, now, 2)})()
        small.delete = limited.delete
        its_clock = clock(now=lambda: EXPIRES_AT)
        first = TombstonePurge(small, its_clock, applies=True, has_time=has_time).run()
        assert (first.purged, first.finished) == (2, False)
        assert first.position is not None
        assert key_in(first.position) == (("n", 0), ("b", b"\xff\0\xff"))
        rest = TombstonePurge(small, its_clock, applies=True).run(first.position)
        assert rest == PurgedTombstones(expired=3, purged=3, finished=True)


def test_without_time_nothing_is_read(replica: Replica) -> None:
    replica.deliver(row_record(1))
    _ = replica.sent
    assert purge(
        replica, has_time=lambda: False, position='[{"id":{"S":"a"}}]'
    ) == PurgedTombstones(position='[{"id":{"S":"a"}}]')
    assert replica.sent == []


def test_a_key_as_text_is_read_back() -> None:
    key = (("s", 'a"\n€'), ("i", -(2**63)), ("b", b"\0\xff"))
    assert key_in(key_as_text(key)) == key


def test_a_row_that_fails_for_now_is_tried_again(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"), row_record(1, "b"))
    pauses: list[float] = []
    with replica.failing("DeleteRow", Fault(SERVER_BUSY), "a"):
        its_clock = clock(now=lambda: EXPIRES_AT, sleep=pauses.append)
        done = purge(replica, clock=its_clock)
    assert done == PurgedTombstones(expired=2, purged=1, failed=1, finished=True)
    assert pauses == [*PAUSES]
    assert (replica.row("a") is None, replica.row("b") is None) == (False, True)

    def heal(_: float) -> None:
        replica.place.faults.fault = None

    with replica.failing("DeleteRow", Fault(SERVER_BUSY), "a"):
        done = purge(replica, clock=clock(now=lambda: EXPIRES_AT, sleep=heal))
    assert done == PurgedTombstones(expired=1, purged=1, finished=True)


def test_a_lost_answer_counts_as_changed_and_the_tombstone_is_gone(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"))

    def heal(_: float) -> None:
        replica.place.faults.fault = None

    with replica.failing("BatchWriteRow", Fault(SERVER_BUSY, applied=True)):
        done = purge(replica, clock=clock(now=lambda: EXPIRES_AT, sleep=heal))
    assert done == PurgedTombstones(expired=1, changed=1, finished=True)
    assert replica.row("a") is None


def test_a_table_that_cannot_be_read_for_too_long_ends_the_purge(replica: Replica) -> None:
    pauses: list[float] = []
    with (
        replica.failing("GetRange", Fault(SERVER_BUSY)),
        pytest.raises(RequestFailedError, match="OTSServerBusy"),
    ):
        purge(replica, clock=clock(now=lambda: EXPIRES_AT, sleep=pauses.append))
    assert pauses == [*PAUSES]


def test_after_a_timeout_a_page_is_smaller(replica: Replica) -> None:
    replica.deliver(*(row_record(1, f"k{at}") for at in range(8)))
    sizes: list[int | None] = []
    real = tombstones(replica)

    class Slow:
        """Reads two rows in time, and no more."""

        def page(self, position: str | None, now: int, most: int | None) -> Any:
            sizes.append(most)

            def slow(sent: str) -> None:
                if sent == "GetRange" and (most or 9) > 2:
                    raise ReadTimeoutError(None, "/GetRange", "slow")  # type: ignore[arg-type]

            replica.connection.instead = slow
            return real.page(position, now, most)

        def delete(self, some: Any) -> Any:
            return real.delete(some)

    its_clock = clock(now=lambda: EXPIRES_AT)
    reads = Pace(1e6, its_clock)
    one = TombstonePurge(Slow(), its_clock, applies=True, reads=reads)
    one._most = 8  # noqa: SLF001 - otherwise, more rows would be needed
    assert one.run() == PurgedTombstones(expired=8, purged=8, finished=True)
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_another_key_stops_the_purge_in_one_line(replica: Replica) -> None:
    wrong = Tombstones(replica.sink._client, "orders", ["other"])  # noqa: SLF001
    with pytest.raises(MisconfiguredError, match="OTSInvalidPK") as refused:
        TombstonePurge(wrong, clock(), applies=True).run()
    assert "\n" not in str(refused.value)


def test_if_the_service_does_not_filter_the_same_rows_stay(replica: Replica) -> None:
    """Its documentation and its SDKs do not agree about rows without the column of a filter."""
    put_by_hand(replica, "foreign", note="by hand")
    put_by_hand(replica, "living", **tombstone(lockstep_deleted=False))
    put_by_hand(replica, "later", **tombstone(lockstep_purge_at=EXPIRES_AT + 1))
    put_by_hand(replica, "gone", **tombstone())
    sdk = replica.sink._client  # noqa: SLF001

    class Unfiltered:
        batch_write_row = sdk.batch_write_row

        def get_range(self, *given: Any, **named: Any) -> Any:
            return sdk.get_range(*given, **named | {"column_filter": None})

    unfiltered: Any = Unfiltered()
    told: list[MalformedTombstone] = []
    its_clock = clock(now=lambda: EXPIRES_AT)
    found = Tombstones(unfiltered, "orders", ["id"])
    purge = TombstonePurge(found, its_clock, applies=True, on_malformed=told.append)
    assert purge.run() == PurgedTombstones(expired=1, purged=1, finished=True)
    assert told == []
    assert replica.row("gone") is None
    assert all(replica.row(key) for key in ("foreign", "living", "later"))
