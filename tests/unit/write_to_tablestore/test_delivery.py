"""A batch of the table's stream, delivered to Table Store by the rules for every store."""

import base64

import msgspec
import pytest

from functions.write_to_tablestore.connect import REFUSED
from lockstep.local.tablestore import faults
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Fault
from lockstep.local.tablestore.store import TableFile
from shared.sink import MisconfiguredError
from tests.builders import ARRIVED_AT, kinesis_records
from tests.builders import clock as clock_of
from tests.unit.write_to_tablestore.replica import Replica, row_record

ONE, TWO = {"n": {"N": "1"}}, {"n": {"N": "2"}}
# Neither an Integer nor a Double.
UNFIT = {"n": {"N": "0.1234567890123456789"}}


def test_the_changes_of_one_row_in_a_batch_are_one_write(replica: Replica) -> None:
    delivery = replica.deliver(row_record(1, item=ONE), row_record(2, item=TWO), row_record(3, "b"))
    assert delivery.counts == {"Applied": 2, "Stale": 1}
    assert replica.sent == ["DescribeTable", "BatchWriteRow"]
    assert (replica.row() or {})["n"] == 2


def test_the_lag_is_that_of_the_oldest_change_that_was_applied(replica: Replica) -> None:
    later = clock_of(now=lambda: ARRIVED_AT // 1000 + 10)
    delivery = replica.deliver(row_record(1, item=ONE), row_record(4, "b", ONE), its_clock=later)
    assert delivery.lag_ms == 9000


def test_what_table_store_cannot_hold_goes_to_quarantine_with_payload_and_reason(
    replica: Replica,
) -> None:
    bad = row_record(2, "b", UNFIT)
    delivery = replica.deliver(row_record(1, item=ONE), bad)
    assert delivery.response() == {"batchItemFailures": []}
    assert delivery.counts == {"Applied": 1, "Quarantined": 1}
    (entry,) = replica.shelf.entries
    assert (entry.function, entry.reason) == ("write_to_tablestore", "refused_by_store")
    assert entry.detail.startswith("'n': 0.1234567890123456789 is no Integer and no Double")
    assert entry.partition_key == '{"id":{"S":"b"}}'
    assert entry.holds == "table_change"
    assert msgspec.json.decode(base64.b64decode(entry.payload)) == bad
    assert entry.key.startswith("quarantine/write_to_tablestore/orders/stream/")


def test_a_bad_newest_change_does_not_hide_the_one_before(replica: Replica) -> None:
    delivery = replica.deliver(row_record(1, item=ONE), row_record(2, item=UNFIT))
    assert delivery.counts == {"Applied": 1, "Quarantined": 1}
    assert (replica.row() or {})["n"] == 1


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_only_the_row_that_the_store_refuses_goes_to_quarantine(
    replica: Replica, code: str
) -> None:
    with replica.failing_with(code, "k3"):
        delivery = replica.deliver(*(row_record(at, f"k{at}", ONE) for at in range(1, 6)))
    assert delivery.counts == {"Applied": 4, "Quarantined": 1}
    assert [one.partition_key for one in replica.shelf.entries] == ['{"id":{"S":"k3"}}']
    # Before it believes a refusal, it looks whether the table is as it must be.
    assert replica.sent[-1] == "DescribeTable"


def test_a_throttled_row_holds_back_only_itself(replica: Replica) -> None:
    with replica.failing("PutRow", Fault(faults.SERVER_BUSY), row="b"):
        delivery = replica.deliver(
            row_record(1, "a", ONE), row_record(2, "b", ONE), row_record(3, "c", ONE)
        )
    assert delivery.counts == {"Applied": 2, "Failed": 1}
    assert delivery.checkpoint == str(10**20 + 2)
    assert replica.row("c") is not None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"eventSourceARN": "arn:aws:dynamodb:x:1:table/orders/stream/latest"}, "no label"),
        ({"eventName": "OTHER"}, "not a change of a table"),
    ],
)
def test_a_malformed_record_goes_to_quarantine(
    replica: Replica, change: dict[str, str], why: str
) -> None:
    delivery = replica.deliver(row_record(1, item=ONE, **change), row_record(2, "b", ONE))
    assert delivery.counts == {"Applied": 1, "Quarantined": 1}
    assert replica.shelf.entries[0].reason == "malformed"
    assert why in replica.shelf.entries[0].detail


def test_an_item_of_another_key_than_its_record_goes_to_quarantine(replica: Replica) -> None:
    forged = row_record(1, "a", {"id": {"S": "b"}, **ONE})
    assert replica.deliver(forged).counts == {"Quarantined": 1}
    assert replica.row("a") is None


def test_an_item_without_its_new_image_goes_to_quarantine(replica: Replica) -> None:
    assert replica.deliver(row_record(1) | {"eventName": "MODIFY"}).counts == {"Quarantined": 1}


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE", None])
def test_a_stream_without_new_items_stops(replica: Replica, view: str | None) -> None:
    record = row_record(1, item=ONE)
    record["dynamodb"]["StreamViewType"] = view
    with pytest.raises(MisconfiguredError, match="set it to NEW_AND_OLD_IMAGES"):
        replica.deliver(record)


def test_a_stream_of_kinesis_stops(replica: Replica) -> None:
    with pytest.raises(MisconfiguredError, match="connect the stream of a DynamoDB table"):
        replica.deliver(*kinesis_records(b"x"))


def test_another_key_of_the_source_stops_the_stream_and_nothing_is_written(
    replica: Replica,
) -> None:
    record = row_record(2, "b", ONE)
    record["dynamodb"]["Keys"]["sort"] = {"S": "x"}
    with pytest.raises(MisconfiguredError, match="the key of the source is id, sort"):
        replica.deliver(row_record(1, item=ONE), record)
    assert replica.sent == []


def test_a_broken_deployment_stops_and_nothing_is_set_aside(replica: Replica) -> None:
    error = Fault(TableStoreError("OTSNoPermissionAccess", "no"))
    with replica.failing("BatchWriteRow", error), pytest.raises(MisconfiguredError):
        replica.deliver(row_record(1, item=ONE), row_record(2, "b", UNFIT))
    assert replica.shelf.entries == []


def test_what_deletions_row_loses_is_seen_through_a_whole_delivery(file: TableFile) -> None:
    replica = Replica(file, deletions="row")
    replica.deliver(row_record(1, item=ONE), row_record(2))
    assert replica.row() is None
    # A bisected batch, a redrive or a new event source mapping delivers the first part again.
    replica.deliver(row_record(1, item=ONE))
    assert replica.row() is not None
