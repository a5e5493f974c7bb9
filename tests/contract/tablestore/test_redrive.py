"""The redrive of a replica on real engines: DynamoDB Local, S3Proxy, a Table Store here.

Records get into the bucket as in a deployment: by the consumer's own quarantine, and as failure
documents.
"""

import base64
import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import boto3
import msgspec
import pytest

from doors.quarantine import BucketQuarantine
from functions.write_to_tablestore.requests import read_rows
from lockstep.quarantine.bucket import redriven_key
from lockstep.stores.items import TableItems
from lockstep.stores.objects import BucketObjects, Objects
from lockstep.tablestore.key_states import KeyStates
from lockstep.tablestore.quarantined_keys import FoundKeys, KeyQuarantine, WantedKeys
from lockstep.tablestore.redrive import KeyRedrive, KeyRedriveReport
from lockstep.tablestore.repair import Mending
from shared.outcome import Duplicate, Refused
from shared.quarantine import QuarantinedRecord
from shared.table_stream import keys_as_text
from tests.builders import clock
from tests.contract.tablestore.source import BY_BOTH, Source, expected, key_of, rows, whole
from tests.contract.tablestore.test_repair import primary, repair_of
from tests.unit.write_to_tablestore.replica import Replica

CONSUMER = "write_to_tablestore"
UNFIT = {"n": {"N": "0.1234567890123456789"}}
ALL = WantedKeys()


class Bucket:
    """The bucket of a replica's quarantine, in S3Proxy."""

    def __init__(self, endpoint: str, executor: Executor) -> None:
        self.s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self.name = f"replica-{uuid.uuid4()}"
        self.s3.create_bucket(Bucket=self.name)
        self.objects: Objects = BucketObjects(self.s3, self.name)
        self.executor = executor

    def keys(self, prefix: str) -> list[str]:
        return [*self.objects.keys(prefix)]

    @property
    def quarantine(self) -> KeyQuarantine:
        return KeyQuarantine(self.objects, self.executor, CONSUMER)

    def find(self, wanted: WantedKeys = ALL) -> FoundKeys:
        return self.quarantine.find(wanted)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def bucket(s3_endpoint: str, executor: Executor, replica: Replica) -> Bucket:
    made = Bucket(s3_endpoint, executor)
    shelf: Any = BucketQuarantine(made.s3.put_object, made.name, longest_put=1.0)
    replica.shelf = shelf
    return made


def put(source: Source, at: int, **attributes: Any) -> None:
    source.client.put_item(TableName=source.name, Item={**whole(at, "put"), **attributes})


def redriven(
    source: Source,
    replica: Replica,
    bucket: Bucket,
    *,
    objects: Objects | None = None,
    found: FoundKeys | None = None,
) -> KeyRedriveReport:
    redrive = KeyRedrive(
        bucket.quarantine,
        objects or bucket.objects,
        repair_of(source, replica),
        clock=clock(now=lambda: 1_800_000_000),
        executor=bucket.executor,
    )
    return redrive.run((found or bucket.find()).keys)


def quarantine(source: Source, replica: Replica, *at: int) -> None:
    """Put items that Table Store cannot hold; their records go to quarantine."""
    for one in at:
        put(source, one, **UNFIT)
    assert replica.deliver(*source.new_records()).counts["Quarantined"] == len(at)


def forged(bucket: Bucket, at: int, image: dict[str, Any] | None, position: int = 0) -> str:
    """An object as the consumer's role could write it, with an invented image."""
    keys = {
        "part": key_of(at)["part"],
        "sort": {"B": base64.b64encode(bytes([at, 0, 255])).decode()},
    }
    images = {} if image is None else {"NewImage": {**keys, **image}}
    payload = {
        "eventID": "forged",
        "eventName": "REMOVE" if image is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/o/stream/9999",
        "dynamodb": {"Keys": keys, "SequenceNumber": "9" * 39, **images},
    }
    held = QuarantinedRecord(
        function=CONSUMER,
        stream="o/stream/9999-12-31T00:00:00.000",
        shard_id="forged",
        sequence_number=f"{position or at:039d}",
        partition_key=keys_as_text(keys),
        arrived_at=1,
        image_id=None,
        version=None,
        reason="refused_by_store",
        detail="invented",
        quarantined_at="2026-11-30T00:00:00+00:00",
        payload=base64.b64encode(msgspec.json.encode(payload)).decode(),
        holds="table_change",
    )
    bucket.objects.write(held.key, msgspec.json.encode(held))
    return held.key


def given_up(bucket: Bucket, records: Sequence[Any], **fields: Any) -> str:
    """A failure document as Lambda writes it."""
    document = {
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:replica",
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 7,
        },
        "version": "1.0",
        "timestamp": "2026-11-30T01:23:45.678Z",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-1",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": "2026-11-30T01:23:45Z",
            "approximateArrivalOfLastRecord": "2026-11-30T01:23:45Z",
            "batchSize": len(records),
            "streamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/x",
        },
        "payload": {"Records": [*records]},
    } | fields
    key = f"aws/lambda/uuid/shardId-1/2026/11/30/{uuid.uuid4()}"
    kept = {name: value for name, value in document.items() if value is not None}
    bucket.objects.write(key, msgspec.json.encode(kept))
    return key


def test_a_refused_record_is_quarantined_and_redriven_when_its_item_is_corrected(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    quarantine(source, replica, 1)
    [one] = bucket.find().keys
    assert msgspec.json.decode(one.key) == {"part": {"N": "-2"}, "sort": {"B": "AQD/"}}
    assert (one.reasons, one.records) == (("refused_by_store",), 1)
    assert "0.1234567890123456789 is no Integer and no Double" in one.detail

    stays = redriven(source, replica, bucket)
    assert [kept.id for kept in stays.kept] == [one.id]
    assert "is no Integer and no Double" in stays.kept[0].detail
    assert (stays.repaired, stays.equal, stays.objects) == (0, 0, 0)
    assert bucket.find().keys == [one]
    assert rows(replica) == {}

    put(source, 1, n={"N": "0.5"})  # its record is not delivered
    done = redriven(source, replica, bucket)
    assert (done.repaired, done.objects, done.kept) == (1, 1, [])
    assert rows(replica) == expected(source)
    assert bucket.keys("quarantine/") == []
    [moved] = bucket.keys("redriven/")
    body = bucket.objects.read(moved)
    assert body is not None
    assert msgspec.json.decode(body)["redriven"] == {
        "at": "2027-01-15T08:00:00Z",
        "how": "repaired",
    }

    again = redriven(source, replica, bucket)
    assert (again.repaired, again.equal, again.objects, again.kept) == (0, 0, 0, [])
    # What the stream delivers afterwards wins.
    assert replica.deliver(*source.new_records()).counts == {"Applied": 1}
    assert rows(replica) == expected(source)


def test_a_key_whose_row_the_stream_has_corrected_is_equal(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    quarantine(source, replica, 1)
    put(source, 1)
    replica.deliver(*source.new_records())
    before = replica.row(primary(1))
    done = redriven(source, replica, bucket)
    assert (done.repaired, done.equal, done.objects) == (0, 1, 1)
    assert replica.row(primary(1)) == before
    assert bucket.find().keys == []


@pytest.mark.parametrize("image", [{"note": {"S": "invented"}}, None])
def test_a_forged_record_changes_nothing_but_to_what_the_source_says(
    source: Source, replica: Replica, bucket: Bucket, image: dict[str, Any] | None
) -> None:
    put(source, 1)
    replica.deliver(*source.new_records())
    in_step = replica.row(primary(1))
    put(source, 2, note={"S": "newer"})  # its record is lost
    source.new_records()
    for at in (1, 2, 3):  # the third key is not in the source
        forged(bucket, at, image)
    done = redriven(source, replica, bucket)
    assert (done.repaired, done.equal, done.objects) == (1, 2, 3)
    assert replica.row(primary(1)) == in_step
    assert replica.row(primary(3)) is None
    assert rows(replica) == expected(source)
    assert "invented" not in str(rows(replica))


def test_a_late_record_and_one_that_comes_twice_change_nothing(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1, note={"S": "old"})
    [old] = source.new_records()
    put(source, 1, note={"S": "new"})
    replica.deliver(*source.new_records())
    before = replica.row(primary(1))
    for _ in range(2):
        given_up(bucket, [old, old])
        done = redriven(source, replica, bucket)
        assert (done.equal, done.documents) == (1, 1)
    assert replica.row(primary(1)) == before


def test_a_lost_removal_becomes_a_tombstone(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1)
    replica.deliver(*source.new_records())
    source.remove(1)
    given_up(bucket, source.new_records())
    assert redriven(source, replica, bucket).repaired == 1
    assert rows(replica) == {}
    row = replica.row(primary(1))
    assert row is not None
    assert row["lockstep_deleted"] is True


def test_each_key_of_a_failure_document_is_repaired_and_what_stays_gets_an_object(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    for at in (1, 2, 3):
        put(source, at)
    put(source, 3, **UNFIT)
    document = given_up(bucket, source.new_records())
    found = bucket.find()
    assert sorted(one.records for one in found.keys) == [1, 1, 2]
    assert {one.documents for one in found.keys} == {(document,)}
    assert {one.reasons for one in found.keys} == {("given_up",)}
    assert found.keys[0].detail == (
        "the event source mapping discarded its batch: RecordAgeExceeded"
    )

    done = redriven(source, replica, bucket)
    assert (done.repaired, done.documents, done.split, len(done.kept)) == (2, 1, 2, 1)
    assert bucket.keys("aws/lambda/") == []
    assert bucket.objects.read(f"redriven/{document}") is not None
    [left] = bucket.find().keys
    assert (left.records, len(left.objects), left.documents) == (2, 2, ())
    assert left.reasons == ("given_up",)

    put(source, 3)
    assert redriven(source, replica, bucket).objects == 2
    assert rows(replica) == expected(source)
    assert bucket.find().keys == []


def test_a_document_of_which_no_key_is_settled_stays(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1, **UNFIT)
    document = given_up(bucket, source.new_records())
    done = redriven(source, replica, bucket)
    assert (done.documents, done.split, len(done.kept)) == (0, 0, 1)
    assert bucket.keys("") == [document]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"payload": None}, "it has no payload, only positions in the stream"),
        ({"payload": {"Records": [{"kinesis": {}}]}}, "not a record of a stream"),
        ({"payload": {"Records": [{"dynamodb": {"Keys": {"id": 1}}}]}}, "not a record of a stream"),
        ({"payload": "cut off"}, "not a record of a stream"),
        ({"DDBStreamBatchInfo": None}, "names no batch"),
    ],
)
def test_a_document_without_readable_records_is_told_and_stays(
    source: Source, replica: Replica, bucket: Bucket, fields: dict[str, Any], why: str
) -> None:
    document = given_up(bucket, [], **fields)
    found = bucket.find()
    assert found.keys == []
    [unreadable] = found.unreadable
    assert unreadable.where == document
    assert why in unreadable.why
    redriven(source, replica, bucket, found=found)
    assert bucket.keys("") == [document]


def test_an_object_that_the_consumer_did_not_write_is_told_and_stays(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    good = forged(bucket, 1, None)
    body = bucket.objects.read(good)
    assert body is not None
    odd = msgspec.json.decode(body) | {"partition_key": "not a key"}
    bucket.objects.write("quarantine/write_to_tablestore/odd.json", msgspec.json.encode(odd))
    bucket.objects.write("quarantine/write_to_es/other.json", body)
    bucket.objects.write("quarantine/write_to_tablestore/text.json", b"text")
    found = bucket.find()
    assert {one.where.rpartition("/")[2]: one.why for one in found.unreadable} == {
        "odd.json": "its partition key is not the key of an item",
        "other.json": "its key names no consumer: move it to quarantine/write_to_tablestore/, "
        "according to who quarantined it",
        "text.json": "not a quarantined record: JSON is malformed: invalid character (byte 4)",
    }
    redriven(source, replica, bucket, found=found)
    assert len(bucket.keys("quarantine/")) == 3


def test_a_key_of_another_table_stays_with_the_reason(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1)
    body = bucket.objects.read(forged(bucket, 1, None))
    assert body is not None
    record = msgspec.json.decode(body)
    others = [{"id": {"S": "1"}}, {"part": {"S": "1"}, "sort": {"B": "AQ=="}}]
    for at, key in enumerate(others):
        named = record | {"partition_key": keys_as_text(key)}
        place = f"quarantine/write_to_tablestore/other/{at}.json"
        bucket.objects.write(place, msgspec.json.encode(named))
    done = redriven(source, replica, bucket)
    assert (done.repaired, len(done.kept)) == (1, 2)
    assert any("PRIMARY_KEY" in kept.detail for kept in done.kept)
    assert len(bucket.keys("quarantine/")) == 2


class Killed:
    """The bucket, of a process that is killed before one of its steps."""

    def __init__(self, objects: Objects, survives: int) -> None:
        self._objects = objects
        self._left = survives

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._objects, name)
        if name not in {"write", "write_new", "delete_all"}:
            return act

        def step(*given: Any) -> Any:
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            return act(*given)

        return step


def test_killed_between_any_two_steps_and_run_again_it_is_right(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    """The row is written, but the record is not moved; or it is in both places; or split."""
    kills, ended = 0, False
    while not ended:
        for at in (1, 2, 3):
            put(source, at, note={"S": f"round {kills}"})
        put(source, 3, **UNFIT)
        places = [
            given_up(bucket, source.new_records()),
            forged(bucket, 1, {"note": {"S": "invented"}}, position=kills + 100),
        ]
        objects: Any = Killed(bucket.objects, kills)
        try:
            redriven(source, replica, bucket, objects=objects)
            ended = True
        except KeyboardInterrupt:
            kills += 1
            assert len(bucket.find().keys) >= 1, "what is not settled must stay"
            for place in places:
                copies = map(bucket.objects.read, (place, redriven_key(place)))
                assert any(copies), "no record may be lost"
            redriven(source, replica, bucket)
        put(source, 3, note={"S": f"round {kills}"})
        redriven(source, replica, bucket)
        assert rows(replica) == expected(source)
        assert (bucket.keys("quarantine/"), bucket.keys("aws/lambda/")) == ([], [])
    assert kills >= 5
    assert "invented" not in str(rows(replica))


def test_an_object_that_is_replaced_after_it_was_found_stays(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1)
    place = forged(bucket, 1, None)
    found = bucket.find()
    other = forged(bucket, 2, None, position=2)
    body = bucket.objects.read(other)
    assert body is not None
    bucket.objects.write(place, body)
    assert redriven(source, replica, bucket, found=found).objects == 0
    assert sorted(bucket.keys("quarantine/")) == sorted([place, other])


def test_what_comes_into_the_bucket_meanwhile_is_for_the_next_redrive(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    quarantine(source, replica, 1)
    put(source, 1)
    found = bucket.find()
    quarantine(source, replica, 1)  # of the same key, after it was found
    done = redriven(source, replica, bucket, found=found)
    assert (done.objects, len(done.kept)) == (0, 1)
    put(source, 1)
    assert redriven(source, replica, bucket, found=found).objects == 1
    [left] = bucket.find().keys
    assert left.records == 1
    assert redriven(source, replica, bucket).equal == 1


def test_what_a_redrive_would_do_is_told_and_nothing_is_changed(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    put(source, 1)
    replica.deliver(*source.new_records())
    put(source, 2)
    put(source, 3, **UNFIT)
    for at in (1, 2, 3):
        forged(bucket, at, None)
    before = rows(replica)
    found = bucket.find()
    client = replica.sink._client  # noqa: SLF001 - the client of the test's table
    states = KeyStates(
        TableItems(source.client, source.name),
        lambda keys: [*_read(client, keys)],
        repair_of(source, replica),
        BY_BOTH,
    ).of([one.item_key for one in found.keys] + [{"part": {"S": "1"}, "sort": {"B": "AQ=="}}])
    assert {type(one.would) for one in states} == {Duplicate, Mending, Refused}
    assert sum(isinstance(one.would, Refused) for one in states) == 2
    assert isinstance(states[-1].would, Refused)
    assert rows(replica) == before
    assert len(bucket.keys("quarantine/")) == 3


def _read(client: Any, keys: Any) -> Any:
    return read_rows(client, "orders", keys)


def test_keys_are_selected_by_id_reason_and_time(
    source: Source, replica: Replica, bucket: Bucket
) -> None:
    quarantine(source, replica, 1)
    put(source, 2)
    given_up(bucket, source.new_records())
    found = bucket.find()
    assert len(found.keys) == 2
    assert [one.reasons for one in bucket.find(WantedKeys(reason="given_up")).keys] == [
        ("given_up",)
    ]
    for one in found.keys:
        assert bucket.find(WantedKeys(ids=(one.id[:6],))).keys == [one]
    later = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    assert bucket.find(WantedKeys(since=later)).keys == []
