"""The load of a real table, which changes meanwhile: what is there in the end is the source.

DynamoDB Local is the source. Its stream's records go to the consumer, and the rows are those that
an official SDK reads.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tablestore import INF_MAX, INF_MIN

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.conversion import Conversion
from lockstep.local.mapping.invocation import EventSource, table_entry
from lockstep.local.tablestore.store import TableFile
from lockstep.machine.files import write_json
from lockstep.stores.segments import SegmentPage, TableSegments
from lockstep.stream.stream import TrimHorizon
from lockstep.stream.table import TableStream, latest_stream
from lockstep.tablestore.load import Load, LoadParts, StreamReader
from lockstep.tablestore.progress import read_progress
from tests.builders import clock
from tests.contract.sinks.test_dynamodb_sink import client_of
from tests.unit.write_to_tablestore.replica import Replica

SEGMENTS = 3
BY_BOTH = Conversion(primary_key=("part", "sort"))

type Order = Callable[[Sequence[Any]], Sequence[Any]]

# In which order the records of the stream are delivered, and how often.
ORDERS: Mapping[str, Order] = {
    "as they came": lambda records: records,
    "backwards": lambda records: [*reversed(records)],
    "odd ones first, all twice": lambda records: [*records[1::2], *records, *records[::2]],
}


class Source:
    """A table with a number and a binary as its key, and its stream."""

    def __init__(self, endpoint: str) -> None:
        self.client = client_of(endpoint)
        self.name = f"orders-{uuid.uuid4()}"
        self.client.create_table(
            TableName=self.name,
            KeySchema=[
                {"AttributeName": "part", "KeyType": "HASH"},
                {"AttributeName": "sort", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "part", "AttributeType": "N"},
                {"AttributeName": "sort", "AttributeType": "B"},
            ],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.arn = latest_stream(self.client, self.name)
        streams = boto3.client(
            "dynamodbstreams",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self._stream = TableStream(streams, self.arn, "us-east-1")

    def put(self, at: int, note: str) -> None:
        self.client.put_item(TableName=self.name, Item=whole(at, note))

    def remove(self, at: int) -> None:
        self.client.delete_item(TableName=self.name, Key=key_of(at))

    def items(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for page in self.client.get_paginator("scan").paginate(
            TableName=self.name, ConsistentRead=True
        ):
            found += page["Items"]
        return found

    def records(self) -> list[dict[str, Any]]:
        """All records so far, as Lambda delivers them."""
        found = []
        for shard in self._stream.shards():
            read = self._stream.reader(shard.shard_id, TrimHorizon()).read(1_000)
            source = EventSource(self.arn, shard.shard_id, "us-east-1", "", "")
            found += [msgspec.json.decode(table_entry(one, source).json) for one in read.records]
        return found


def key_of(at: int) -> dict[str, Any]:
    return {"part": {"N": str(at % 7 - 3)}, "sort": {"B": bytes([at, 0, 255])}}


def whole(at: int, note: str) -> dict[str, Any]:
    """An item with an attribute of every type."""
    return {
        **key_of(at),
        "note": {"S": note},
        "whole": {"N": "-9223372036854775808"},
        "fraction": {"N": f"{at}.25"},
        "raw": {"B": b"\0\xff"},
        "is_new": {"BOOL": True},
        "nothing": {"NULL": True},
        "list": {"L": [{"N": "12345678901234567890.5"}, {"B": b"\1"}, {"L": []}]},
        "map": {"M": {"é": {"S": ""}, "n": {"NULL": True}}},
        "words": {"SS": ["b", "a"]},
        "numbers": {"NS": ["10", "-2.5"]},
        "parts": {"BS": [b"\2", b"\1\1"]},
        "odd name.€": {"S": "escaped"},
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


@pytest.fixture
def source(dynamodb_endpoint: str) -> Iterator[Source]:
    made = Source(dynamodb_endpoint)
    yield made
    made.client.delete_table(TableName=made.name)


@pytest.fixture
def replica() -> Iterator[Replica]:
    with TableFile.open(None) as store:
        yield Replica(store, key=(("part", "INTEGER"), ("sort", "BINARY")), conversion=BY_BOTH)


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


def rows(replica: Replica) -> dict[Any, dict[str, Any]]:
    """All rows that are not removed, by their key, without the columns of the version."""
    keys = ("part", "sort")
    _, after, found, _ = replica.place.client.get_range(
        "orders",
        "FORWARD",
        [(name, INF_MIN) for name in keys],
        [(name, INF_MAX) for name in keys],
        max_version=1,
    )
    assert after is None
    return {
        tuple(bytes(one) if isinstance(one, bytearray) else one for _, one in row.primary_key): {
            name: cell for name, cell, *_ in columns if not name.startswith("lockstep_")
        }
        for row in found
        if not (columns := row.attribute_columns)
        or not {name: cell for name, cell, *_ in columns}["lockstep_deleted"]
    }


def expected(source: Source) -> dict[Any, dict[str, Any]]:
    def key(item: Mapping[str, Any]) -> tuple[Any, ...]:
        keys = {name: item[name] for name in BY_BOTH.primary_key}
        return tuple(cell for _, cell in BY_BOTH.key_of(keys))

    return {
        key(item): {
            name: bytearray(cell) if isinstance(cell, bytes) else cell
            for name, cell in BY_BOTH.columns_of(item)
        }
        for item in source.items()
    }


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
