"""The sink of Table Store, by the official SDK on the endpoint of this machine."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablestore import (
    PK_AUTO_INCR,
    ComparatorType,
    Condition,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
    TableOptions,
)
from tablestore.protobuf import table_store_pb2 as pb
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProtocolError, ReadTimeoutError

from functions.write_to_tablestore.connect import MISCONFIGURED, REFUSED
from functions.write_to_tablestore.conversion import MAX_REQUEST_BYTES, Conversion
from lockstep.local.tablestore import faults
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Fault
from lockstep.local.tablestore.store import TableFile
from shared.horizon import HORIZON
from shared.outcome import Applied, Duplicate, Failed, Refused, Stale
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
)
from tests.builders import ARRIVED_AT
from tests.unit.write_to_tablestore.replica import LABEL, Replica, row_record

ONE, TWO = {"n": {"N": "1"}}, {"n": {"N": "2"}}
TRANSIENT = [
    one
    for one in vars(faults).values()
    if isinstance(one, TableStoreError) and one.code not in MISCONFIGURED
]


def guard(position: int) -> str:
    return f"{LABEL}/{10**20 + position:040d}"


def test_a_new_item_becomes_a_whole_row(replica: Replica) -> None:
    assert replica.write(
        row_record(7, item={"n": {"N": "1"}, "m": {"M": {"a": {"N": "0.1"}}}})
    ) == [Applied()]
    assert replica.row() == {
        "n": 1,
        "m": '{"a":0.1}',
        "lockstep_version": guard(7),
        "lockstep_at": (ARRIVED_AT // 1000 + 7) * 1000,
        "lockstep_deleted": False,
    }


def test_each_type_is_stored_as_its_own(replica: Replica) -> None:
    item = {
        "s": {"S": "ä"},
        "i": {"N": "-9223372036854775808"},
        "d": {"N": "0.1"},
        "b": {"B": "iQ=="},
        "e": {"B": ""},
        "t": {"BOOL": True},
    }
    replica.write(row_record(1, item=item))
    row = replica.row()
    assert row is not None
    assert {name: (type(row[name]), row[name]) for name in item} == {
        "s": (str, "ä"),
        "i": (int, -(2**63)),
        "d": (float, 0.1),
        "b": (bytearray, b"\x89"),
        "e": (bytearray, b""),
        "t": (bool, True),
    }


def test_a_binary_key_is_a_binary(file: TableFile) -> None:
    replica = Replica(file, key=[("id", "BINARY")])
    record = row_record(1, item={})
    for where in "Keys", "NewImage":
        record["dynamodb"][where]["id"] = {"B": "iQ=="}
    assert replica.write(record) == [Applied()]
    assert replica.write(record) == [Duplicate()]
    assert replica.row([("id", bytearray(b"\x89"))]) is not None


def test_a_change_replaces_the_row_so_columns_of_the_old_item_go(replica: Replica) -> None:
    replica.write(row_record(1, item={"old": {"S": "x"}, **ONE}))
    replica.write(row_record(2, item=TWO))
    row = replica.row()
    assert row is not None
    assert {name for name in row if not name.startswith("lockstep_")} == {"n"}


def test_a_removal_leaves_only_the_columns_of_a_tombstone(replica: Replica) -> None:
    replica.write(row_record(1, item=ONE))
    assert replica.write(row_record(2)) == [Applied()]
    at = ARRIVED_AT // 1000 + 2
    assert replica.row() == {
        "lockstep_version": guard(2),
        "lockstep_at": at * 1000,
        "lockstep_deleted": True,
        "lockstep_purge_at": at + int(HORIZON.total_seconds()),
    }


def test_a_filter_hides_tombstones_from_readers(replica: Replica) -> None:
    replica.write(row_record(1, "a", ONE), row_record(2, "b", ONE))
    replica.write(row_record(3, "b"))
    living = SingleColumnCondition(
        column_name="lockstep_deleted",
        column_value=False,
        comparator=ComparatorType.EQUAL,
        pass_if_missing=False,
    )
    client = replica.place.client
    for key, found in ("a", True), ("b", False):
        _, row, _ = client.get_row("orders", [("id", key)], column_filter=living, max_version=1)
        assert (row is not None) is found


def test_a_record_that_comes_again_is_a_duplicate_and_an_older_one_is_stale(
    replica: Replica,
) -> None:
    replica.write(row_record(2, item=TWO))
    before = replica.row()
    assert replica.write(row_record(2, item=TWO)) == [Duplicate()]
    assert replica.write(row_record(1, item=ONE)) == [Stale()]
    assert replica.write(row_record(1)) == [Stale()]
    assert replica.row() == before


def test_a_removal_is_not_undone_by_an_older_record(replica: Replica) -> None:
    replica.write(row_record(1, item=ONE))
    replica.write(row_record(2))
    assert replica.write(row_record(1, item=ONE)) == [Stale()]
    row = replica.row()
    assert row is not None
    assert row["lockstep_deleted"] is True


def test_an_item_that_is_created_again_is_above_its_tombstone(replica: Replica) -> None:
    replica.write(row_record(1, item=ONE))
    replica.write(row_record(2))
    assert replica.write(row_record(3, item=ONE)) == [Applied()]


def test_a_later_stream_is_above_an_earlier_one(replica: Replica) -> None:
    replica.write(row_record(900, item=ONE))
    later = row_record(1, item=TWO)
    later["eventSourceARN"] = later["eventSourceARN"].replace("01:23:45.678", "01:23:45.679")
    assert replica.write(later) == [Applied()]


def test_a_row_without_versions_is_taken_over(replica: Replica) -> None:
    ignore = Condition(RowExistenceExpectation.IGNORE)
    replica.place.client.put_row("orders", Row([("id", "a")], [("foreign", 1)]), ignore)
    assert replica.write(row_record(1, item=ONE)) == [Applied()]
    assert "foreign" not in (replica.row() or {})


def test_a_stale_change_that_happened_later_is_told(replica: Replica) -> None:
    replica.write(row_record(5, item=ONE))
    odd = row_record(1, item=TWO)
    odd["dynamodb"]["ApproximateCreationDateTime"] = float(ARRIVED_AT // 1000 + 6)
    assert replica.write(odd) == [Stale(out_of_order=True)]
    assert replica.deliver(odd).out_of_order == 1
    odd["dynamodb"]["ApproximateCreationDateTime"] = float(ARRIVED_AT // 1000 + 5)
    assert replica.write(odd) == [Stale()]


def test_a_version_of_another_type_is_refused_and_nothing_is_lost(replica: Replica) -> None:
    ignore = Condition(RowExistenceExpectation.IGNORE)
    foreign = Row([("id", "a")], [("lockstep_version", 7)])
    replica.place.client.put_row("orders", foreign, ignore)
    (outcome,) = replica.write(row_record(1, item=ONE))
    assert isinstance(outcome, Refused)
    assert "lockstep_version of the row is no text, 7" in outcome.detail


def test_a_batch_is_one_request_and_failed_conditions_are_one_more(replica: Replica) -> None:
    replica.write(row_record(1, "a", ONE))
    assert replica.sent == ["DescribeTable", "BatchWriteRow"]
    replica.write(*(row_record(position, f"k{position}", ONE) for position in range(2, 200)))
    assert replica.sent == ["BatchWriteRow"]
    replica.write(row_record(1, "a", ONE), row_record(300, "b", ONE))
    assert replica.sent == ["BatchWriteRow", "BatchGetRow"]


def test_many_failed_conditions_are_looked_up_by_a_hundred(replica: Replica) -> None:
    records = [row_record(position, f"k{position}", ONE) for position in range(1, 151)]
    assert replica.write(*records) == [Applied()] * 150
    replica.sent  # noqa: B018 - forgets what was sent
    assert replica.write(*records) == [Duplicate()] * 150
    assert replica.sent == ["BatchWriteRow", "BatchGetRow", "BatchGetRow"]


def test_requests_keep_the_limits_of_rows_and_bytes(replica: Replica) -> None:
    small = [replica.change(row_record(at, f"k{at}", ONE)) for at in range(1, 402)]
    assert [len(one) for one in replica.sink.requests(small)] == [200, 200, 1]
    large = {"s": {"S": "x" * 390_000}}
    changes = [replica.change(row_record(at, f"k{at}", large)) for at in range(1, 25)]
    requests = list(replica.sink.requests(changes))
    assert [one for request in requests for one in request] == changes
    assert all(len(request) * 390_000 < MAX_REQUEST_BYTES for request in requests)
    assert len(requests) == 3


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: error.code)
def test_throttling_and_server_errors_hold_back_their_row_only(
    replica: Replica, error: TableStoreError
) -> None:
    with replica.failing("PutRow", Fault(error), row="a"):
        outcomes = replica.write(row_record(1, "a", ONE), row_record(2, "b", ONE))
    assert isinstance(outcomes[0], Failed)
    assert error.code in outcomes[0].detail
    assert outcomes[1] == Applied()


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: error.code)
def test_a_request_that_fails_for_now_is_told(replica: Replica, error: TableStoreError) -> None:
    with (
        replica.failing("BatchWriteRow", Fault(error)),
        pytest.raises(RequestFailedError, match=error.code),
    ):
        replica.sink.send([replica.change(row_record(1, item=ONE))])


def test_a_lost_answer_is_harmless(replica: Replica) -> None:
    with replica.failing("PutRow", Fault(faults.TIMEOUT, applied=True), row="a"):
        (failed,) = replica.write(row_record(1, item=ONE))
    assert isinstance(failed, Failed)
    assert replica.write(row_record(1, item=ONE)) == [Duplicate()]


@pytest.mark.parametrize("code", sorted(MISCONFIGURED))
@pytest.mark.parametrize("row", ["a", None])
def test_a_broken_deployment_stops_the_stream(replica: Replica, code: str, row: str | None) -> None:
    error = Fault(TableStoreError(code, "no"))
    operation = "BatchWriteRow" if row is None else "PutRow"
    with replica.failing(operation, error, row), pytest.raises(MisconfiguredError, match=code):
        replica.write(row_record(1, item=ONE), row_record(2, "b", ONE))


def test_an_instance_that_refuses_the_internet_gets_a_hint(replica: Replica) -> None:
    with (
        replica.failing("DescribeTable", Fault(faults.DENIED_BY_ACL)),
        pytest.raises(MisconfiguredError, match="allow access from the internet"),
    ):
        replica.write(row_record(1, item=ONE))


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_a_bad_row_fails_the_request_whole_and_is_found_alone(replica: Replica, code: str) -> None:
    good = [row_record(at, f"k{at}", ONE) for at in range(1, 8)]
    with replica.failing_with(code, "k3"):
        outcomes = replica.write(*good)
    assert [type(one) for one in outcomes].count(Refused) == 1
    assert isinstance(outcomes[2], Refused)
    assert outcomes.count(Applied()) == 6
    assert replica.sent.count("BatchWriteRow") > 1


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ReadTimeoutError(None, "", "read timed out"), RequestTimedOutError),  # type: ignore[arg-type]
        (ProtocolError("aborted", TimeoutError()), RequestTimedOutError),
        (ConnectTimeoutError(), RequestFailedError),
        (ProtocolError("aborted", ConnectionResetError()), RequestFailedError),
        (ValueError("a broken answer"), RequestFailedError),
    ],
)
def test_errors_of_the_connection_are_those_of_a_sink(
    replica: Replica, raised: Exception, expected: type[Exception]
) -> None:
    replica.sink.check()

    def fail(_: str) -> None:
        raise raised

    replica.connection.instead = fail
    with pytest.raises(expected) as found:
        replica.sink.send([replica.change(row_record(1, item=ONE))])
    assert type(found.value) is expected
    assert isinstance(raised, HTTPError | ValueError)


def test_after_a_timeout_requests_are_smaller_and_grow_again(replica: Replica) -> None:
    replica.sink.check()
    changes = [replica.change(row_record(at, f"k{at}", ONE)) for at in range(1, 201)]

    def fail(_: str) -> None:
        raise ReadTimeoutError(None, "", "read timed out")  # type: ignore[arg-type]

    replica.connection.instead = fail
    with pytest.raises(RequestTimedOutError):
        replica.sink.send(changes)
    assert [len(one) for one in replica.sink.requests(changes)] == [100, 100]
    replica.connection.instead = lambda _: None
    replica.sink.send(changes[:100])
    assert [len(one) for one in replica.sink.requests(changes)] == [101, 99]


def test_a_failed_look_up_leaves_the_other_outcomes(replica: Replica) -> None:
    replica.write(row_record(1, "a", ONE))
    with replica.failing("BatchGetRow", Fault(faults.SERVER_BUSY)):
        outcomes = replica.write(row_record(1, "a", ONE), row_record(2, "b", ONE))
    assert isinstance(outcomes[0], Failed)
    assert outcomes[1] == Applied()


def test_a_failed_condition_on_a_missing_row_is_tried_without_a_column(replica: Replica) -> None:
    """Perhaps the service lets no condition on a column pass where there is no row."""
    condition_failed = Fault(TableStoreError("OTSConditionCheckFail", "Condition check failed."))
    with replica.failing("PutRow", condition_failed, row="a"):
        replica.stop_failing_after("BatchGetRow")
        outcomes = replica.write(row_record(1, "a", ONE), row_record(2, "b", ONE))
    assert outcomes == [Applied(), Applied()]
    assert replica.sent == ["DescribeTable", "BatchWriteRow", "BatchGetRow", "BatchWriteRow"]
    # The second write did not overwrite blindly: it expected no row.
    last = pb.BatchWriteRowRequest.FromString(replica.connection.body)
    assert last.tables[0].rows[0].condition.row_existence == pb.EXPECT_NOT_EXIST
    with replica.failing("PutRow", condition_failed, row="a"):
        (again,) = replica.write(row_record(1, "a", ONE))
    assert again == Duplicate()


def test_a_row_that_fails_every_condition_is_held_back(replica: Replica) -> None:
    condition_failed = Fault(TableStoreError("OTSConditionCheckFail", "Condition check failed."))
    with replica.failing("PutRow", condition_failed, row="a"):
        (outcome,) = replica.write(row_record(1, "a", ONE))
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("key", "options", "why"),
    [
        ([("other", "STRING")], None, "its key is other, and PRIMARY_KEY makes it id"),
        ([("id", "STRING"), ("more", "STRING")], None, "its key is id, more"),
        ([("id", "STRING")], TableOptions(86_400), "its time to live is 86400 s: set it to -1"),
        ([("id", "INTEGER")], None, "id of its key is INTEGER, and that of the source is STRING"),
    ],
)
def test_a_table_that_does_not_fit_stops_the_stream_in_one_line(
    file: TableFile, key: Any, options: Any, why: str
) -> None:
    replica = Replica(file, key=key, options=options)
    with pytest.raises(MisconfiguredError, match=why) as said:
        replica.write(row_record(1, item=ONE))
    assert "\n" not in str(said.value)
    assert "BatchWriteRow" not in replica.sent


def test_an_auto_increment_key_stops_the_stream(file: TableFile) -> None:
    replica = Replica(
        file,
        key=[("id", "STRING"), ("n", "INTEGER", PK_AUTO_INCR)],
        conversion=Conversion(primary_key=("id", "n")),
    )
    with pytest.raises(MisconfiguredError, match="n of its key is auto-increment"):
        replica.sink.check()


def test_a_missing_table_stops_the_stream(replica: Replica) -> None:
    replica.place.client.delete_table("orders")
    with pytest.raises(MisconfiguredError, match="OTSObjectNotExist"):
        replica.write(row_record(1, item=ONE))


def test_every_put_has_a_condition_because_none_would_be_unguarded(replica: Replica) -> None:
    for expected in RowExistenceExpectation.IGNORE, RowExistenceExpectation.EXPECT_NOT_EXIST:
        item = replica.sink._item(replica.change(row_record(1, item=ONE)), expected)  # noqa: SLF001
        assert item.condition.get_row_existence_expectation() == expected
        guarded = item.condition.get_column_condition() is not None
        assert guarded == (expected == RowExistenceExpectation.IGNORE)


def test_with_deletions_row_a_removal_deletes_and_this_is_what_is_lost(file: TableFile) -> None:
    replica = Replica(file, deletions="row")
    replica.write(row_record(1, item=ONE))
    assert replica.write(row_record(2)) == [Applied()]
    assert replica.row() is None
    assert replica.write(row_record(2)) == [Applied()]
    # An older record that is delivered again brings the row back: nothing remembers the removal.
    assert replica.write(row_record(1, item=ONE)) == [Applied()]
    assert replica.row() is not None
    # A newer row is still safe from an older removal.
    replica.write(row_record(5, item=TWO))
    assert replica.write(row_record(4)) == [Stale()]
    assert replica.row() is not None


RECORDS = st.lists(
    st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 9))), max_size=8
)


@given(RECORDS, st.data())
def test_any_replay_in_any_order_ends_with_the_highest_record(
    changes: list[tuple[str, int | None]], data: st.DataObject
) -> None:
    records = [
        row_record(at, key, None if number is None else {"n": {"N": str(number)}})
        for at, (key, number) in enumerate(changes, 1)
    ]
    arrival = data.draw(st.lists(st.sampled_from(records), max_size=16)) if records else []
    shuffled = data.draw(st.permutations([*arrival, *records]))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(shuffled)), max_size=4)))
    with TableFile.open(None) as store:
        replica = Replica(store)
        for start, end in itertools.pairwise([0, *cuts, len(shuffled)]):
            delivery = replica.deliver(*shuffled[start:end])
            assert delivery.response() == {"batchItemFailures": []}
        for key in "ab":
            of_key = [(at, number) for at, (k, number) in enumerate(changes, 1) if k == key]
            row = replica.row(key)
            if not of_key:
                assert row is None
                continue
            at, number = of_key[-1]
            assert row is not None
            assert row["lockstep_version"] == guard(at)
            assert row.get("n") == number
            assert row["lockstep_deleted"] is (number is None)
    assert replica.shelf.entries == []


def test_a_refused_request_is_refused_as_a_whole(replica: Replica) -> None:
    error = TableStoreError("OTSParameterInvalid", "no")
    with (
        replica.failing("BatchWriteRow", Fault(error)),
        pytest.raises(RequestRefusedError, match="OTSParameterInvalid"),
    ):
        replica.sink.send([replica.change(row_record(1, item=ONE))])
