"""The streams of a table's changes: the fakes deliver what DynamoDB Local does."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import boto3
import msgspec
import pytest

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from lockstep.local.mapping.forward import forwarded
from lockstep.local.mapping.invocation import EventSource, table_entry
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import CHANGES_STREAM, TABLE
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.faults import Tally
from lockstep.simulation.table_changes import TableChanges
from lockstep.stream.stream import TrimHorizon
from lockstep.stream.table import TableStream, latest_stream
from shared.item import KEY, item_from
from shared.sink import write_all
from tests.builders import change, fresh_tombstone
from tests.contract.sinks.test_dynamodb_sink import client_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SAMPLES = Path(__file__).parents[3] / "events"
FOREIGN: Mapping[str, Any] = {
    "sizes": {"NS": ["1", "2"]},
    "thumbnail": {"B": b"\x00\xff"},
    "parts": {"L": [{"NULL": True}, {"M": {"a": {"S": "b"}}}]},
}


class Observed(Protocol):
    """A table, and the records of its stream as Lambda delivers them."""

    client: Any
    name: str

    def put_by_hand(self, image_id: str, item: Mapping[str, Any]) -> None:
        """Write an item without the sink."""
        ...

    def remove_by_hand(self, image_id: str) -> None:
        """Delete an item without the sink."""
        ...

    def delivered(self) -> list[dict[str, Any]]:
        """All records so far."""
        ...


class OnTheEngine:
    def __init__(self, endpoint: str) -> None:
        self.client = client_of(endpoint)
        self.name = f"images-{uuid.uuid4()}"
        ensure_table(self.client, self.name)
        self.client.update_table(
            TableName=self.name,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self._arn = latest_stream(self.client, self.name)
        streams = boto3.client(
            "dynamodbstreams",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self._stream = TableStream(streams, self._arn, "us-east-1")

    def put_by_hand(self, image_id: str, item: Mapping[str, Any]) -> None:
        self.client.put_item(TableName=self.name, Item={**item, KEY: {"S": image_id}})

    def remove_by_hand(self, image_id: str) -> None:
        self.client.delete_item(TableName=self.name, Key={KEY: {"S": image_id}})

    def delivered(self) -> list[dict[str, Any]]:
        found = []
        for shard in self._stream.shards():
            read = self._stream.reader(shard.shard_id, TrimHorizon()).read(100)
            source = EventSource(self._arn, shard.shard_id, "us-east-1", "", "")
            found += [msgspec.json.decode(table_entry(one, source).json) for one in read.records]
        return found


class OnTheFake:
    def __init__(self) -> None:
        self.name = TABLE
        self.client = DynamoDB(TABLE)
        self.time = VirtualTime()
        self.changes = TableChanges(
            self.client, self.time, lambda: 0.9, Tally(), purged=set(), may_return=set()
        )

    def put_by_hand(self, image_id: str, item: Mapping[str, Any]) -> None:
        self.changes.put_by_hand(image_id, {**item, KEY: {"S": image_id}}, is_ours=False)

    def remove_by_hand(self, image_id: str) -> None:
        self.client.remove_by_hand(image_id)

    def delivered(self) -> list[dict[str, Any]]:
        # Encoded, as Lambda delivers it: bytes in base64.
        encoded = [msgspec.json.encode(one.as_lambda_record()) for one in self.changes.own.accepted]
        return [msgspec.json.decode(one) for one in encoded]


@pytest.fixture(params=["engine", "fake"])
def table(request: pytest.FixtureRequest) -> Iterator[Observed]:
    if request.param == "fake":
        yield OnTheFake()
        return
    table = OnTheEngine(request.getfixturevalue("dynamodb_endpoint"))
    yield table
    table.client.delete_table(TableName=table.name)


def written(table: Observed) -> None:
    """Inserts, updates, removals by hand and an item of somebody else; some writes do nothing."""
    sink = ImageTable(cast("DynamoDBClient", table.client), table.name, longest_request=31.0)
    for one in (change("T1", 1), change("T1", 2), change("T1", 2), change("T1", 1)):
        write_all([one], sink)
    write_all([fresh_tombstone("T1", 3)], sink)
    write_all([change("T1", 4)], sink)
    table.remove_by_hand("T1")
    table.remove_by_hand("T1")
    table.put_by_hand("odd", FOREIGN)
    table.put_by_hand("odd", FOREIGN)


def key_and_number(told: Mapping[str, Any]) -> tuple[str, int]:
    detail = told["dynamodb"]
    return detail["Keys"][KEY]["S"], int(detail["SequenceNumber"])


def shape(value: Any) -> Any:
    """The same value with each leaf replaced by its type."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@pytest.mark.parametrize("table", ["engine", "fake"], indirect=True)
def test_each_write_that_changes_an_item_is_told_once_with_both_images(table: Observed) -> None:
    written(table)
    told = table.delivered()
    assert [
        (
            one["eventName"],
            one["dynamodb"]["Keys"][KEY]["S"],
            *(one["dynamodb"].get(name, {}).get("version", {}).get("N") for name in IMAGES),
        )
        for one in sorted(told, key=lambda one: int(one["dynamodb"]["SequenceNumber"]))
        if one["dynamodb"]["Keys"][KEY]["S"] == "T1"
    ] == [
        ("INSERT", "T1", None, "1"),
        ("MODIFY", "T1", "1", "2"),
        ("MODIFY", "T1", "2", "3"),
        ("MODIFY", "T1", "3", "4"),
        ("REMOVE", "T1", "4", None),
    ]
    (odd,) = [one for one in told if one["dynamodb"]["Keys"][KEY]["S"] == "odd"]
    new = odd["dynamodb"]["NewImage"]
    assert new["thumbnail"] == {"B": "AP8="}
    assert sorted(new["sizes"]["NS"]) == ["1", "2"]


IMAGES = ("OldImage", "NewImage")


def test_the_records_of_the_fake_have_the_shape_of_those_of_the_engine(
    dynamodb_endpoint: str,
) -> None:
    engine, fake = OnTheEngine(dynamodb_endpoint), OnTheFake()
    for table in (engine, fake):
        written(table)
    by_key = [sorted(table.delivered(), key=key_and_number) for table in (engine, fake)]
    shapes: Sequence[Any] = [[shape(one) for one in records] for records in by_key]
    assert shapes[0] == shapes[1]
    for records in by_key:
        assert all(one["eventSource"] == "aws:dynamodb" for one in records)
        assert all(":table/" in one["eventSourceARN"] for one in records)
    engine.client.delete_table(TableName=engine.name)


def samples(name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = msgspec.json.decode((SAMPLES / name).read_bytes())["Records"]
    return records


def purged() -> OnTheFake:
    fake = OnTheFake()
    item = item_from(fresh_tombstone("T1", 3))
    fake.client.items["T1"] = cast("dict[str, Any]", item)
    assert fake.client.purge("T1", time.time() + 10**9)
    return fake


def test_a_purge_has_the_shape_and_the_identity_of_the_sample() -> None:
    (told,) = purged().delivered()
    (sample,) = [one for one in samples("table-stream.json") if "userIdentity" in one]
    assert shape(told) == shape(sample)
    assert told["userIdentity"] == sample["userIdentity"]


def test_a_copy_on_kinesis_is_what_the_forwarder_makes_of_the_same_change() -> None:
    fake = OnTheFake()
    written(fake)
    fakes = (fake, purged())
    records = [record for one in fakes for record in one.changes.own.accepted]
    copies = [
        one.changes.told[record.sequence_number]
        for one in fakes
        for record in one.changes.own.accepted
    ]
    for record, told in zip(records, copies, strict=True):
        key, data = told.copy_of(TABLE)
        forward = forwarded(record.data, TABLE)
        assert key == forward["PartitionKey"]
        mine, its = msgspec.json.decode(data), msgspec.json.decode(cast("bytes", forward["Data"]))
        # The forwarder knows whole seconds only.
        at = mine["dynamodb"].pop("ApproximateCreationDateTime")
        assert at // 1000 * 1000 == its["dynamodb"].pop("ApproximateCreationDateTime")
        assert mine == its


def test_a_copy_on_kinesis_is_delivered_as_in_the_sample() -> None:
    fake = OnTheFake()
    copies = fake.changes.copy_into_a_new_stream(1)
    written(fake)
    fake.time.settle()
    sample = samples("table-changes-on-kinesis.json")[0]
    for record in copies.accepted:
        told = record.as_lambda_record()
        assert shape(told) == shape(sample)
        assert told["eventSourceARN"].rpartition("/")[2] == CHANGES_STREAM
    assert len(copies.accepted) >= len(fake.changes.own.accepted)
