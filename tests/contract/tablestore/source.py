"""A DynamoDB table with its stream, its replica, and what both have: for tests on real engines."""

import uuid
from collections.abc import Iterable, Mapping
from itertools import batched
from typing import Any

import boto3
import msgspec
from tablestore import INF_MAX, INF_MIN

from functions.write_to_tablestore.conversion import Conversion
from lockstep.local.mapping.invocation import EventSource, table_entry
from lockstep.stream.stream import TrimHorizon
from lockstep.stream.table import TableShardReader, TableStream, latest_stream
from tests.contract.sinks.test_dynamodb_sink import client_of
from tests.unit.write_to_tablestore.replica import Replica

BY_BOTH = Conversion(primary_key=("part", "sort"))


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
        self._readers: dict[str, TableShardReader] = {}

    def put_all(self, numbers: Iterable[int], note: str) -> None:
        """Put many items, in few requests."""
        for some in batched(numbers, 25):
            requests: Any = [{"PutRequest": {"Item": whole(at, note)}} for at in some]
            while requests:
                answer = self.client.batch_write_item(RequestItems={self.name: requests})
                requests = answer["UnprocessedItems"].get(self.name)

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
        return self._read({})

    def new_records(self) -> list[dict[str, Any]]:
        """The records since the last call."""
        return self._read(self._readers)

    def _read(self, readers: dict[str, TableShardReader]) -> list[dict[str, Any]]:
        found = []
        for shard in self._stream.shards():
            reader = readers.setdefault(
                shard.shard_id, self._stream.reader(shard.shard_id, TrimHorizon())
            )
            source = EventSource(self.arn, shard.shard_id, "us-east-1", "", "")
            while read := reader.read(1_000).records:
                found += [msgspec.json.decode(table_entry(one, source).json) for one in read]
        return found


def key_of(at: int) -> dict[str, Any]:
    return {"part": {"N": str(at % 7 - 3)}, "sort": {"B": bytes([at % 256, at // 256, 255])}}


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
