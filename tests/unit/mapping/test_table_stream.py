"""A table's stream through boto3: what its answers and errors mean to a mapping."""

import datetime as dt
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError

from lockstep.local.mapping.batch import payload
from lockstep.local.mapping.invocation import EventSource, table_stream_arn
from lockstep.local.mapping.invocation import table_entry as entry
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    StreamUnavailableError,
    TrimHorizon,
)
from lockstep.stream.table import TableShardReader, TableStream
from tests.builders import ARRIVED_AT, TABLE_STREAM_ARN, change, table_record
from tests.unit.mapping.answering import Answering, error, iterator

PLACE = EventSource(TABLE_STREAM_ARN, "shard-1", "us-east-1", "arn:function", "arn:role")


class Client(Answering):
    """A client that answers, in order, what the test wrote down."""

    def reader(self, position: Position) -> TableShardReader:
        return TableStream(self, TABLE_STREAM_ARN, "us-east-1").reader("shard-1", position)


def said(position: int, *, arrived_at: int = ARRIVED_AT, **fields: Any) -> dict[str, Any]:
    """A change as the Streams API says it: datetimes, bytes, names with capitals."""
    record = table_record(change("T1", 4), position=position, arrived_at=arrived_at)
    del record["eventSourceARN"]
    at = dt.datetime.fromtimestamp(arrived_at / 1000, dt.UTC)
    record["dynamodb"]["ApproximateCreationDateTime"] = at
    return record | fields


def answer(*records: dict[str, Any], then: str | None = "next") -> dict[str, Any]:
    return {"Records": list(records)} | ({} if then is None else {"NextShardIterator": then})


def numbers(read: Records) -> list[int]:
    return [int(one.sequence_number) % 1000 for one in read.records]


def test_all_shards_are_listed_page_by_page_with_their_parents() -> None:
    def page(shard_id: str, number: str, **more: Any) -> dict[str, Any]:
        shard = {"ShardId": shard_id, "SequenceNumberRange": {"StartingSequenceNumber": number}}
        return {"Shards": [shard | more]}

    client = Client(
        {"StreamDescription": page("shard-1", "7") | {"LastEvaluatedShardId": "shard-1"}},
        {"StreamDescription": page("shard-2", "9", ParentShardId="shard-1")},
    )
    assert TableStream(client, TABLE_STREAM_ARN, "us-east-1").shards() == [
        ListedShard("shard-1", frozenset(), "7"),
        ListedShard("shard-2", frozenset({"shard-1"}), "9"),
    ]
    assert client.requests[1][1]["ExclusiveStartShardId"] == "shard-1"


def test_the_function_sees_what_lambda_would_show_it() -> None:
    reader = Client(iterator("i"), answer(said(7))).reader(TrimHorizon())
    (record,) = reader.read(10).records
    seen = msgspec.json.decode(payload([entry(record, PLACE)]))
    assert seen == {"Records": [table_record(change("T1", 4), position=7)]}


def test_a_change_has_its_time_as_a_float_an_id_of_hexadecimal_digits_and_the_region() -> None:
    """Recorded by LocalStack, test_dynamodb_event_filter and the comment at the top of its class.
    DynamoDB Local has a UUID and the region `ddblocal`.

    Rule: table record.
    Source: recorded from real AWS
    """
    event_id = "ab0ed371-3569-f465-5f35-3e5ef61a88c4"
    local = said(7, eventID=event_id, awsRegion="ddblocal")
    reader = Client(iterator("i"), answer(local)).reader(TrimHorizon())
    (record,) = reader.read(10).records
    seen = entry(record, PLACE).json
    found = msgspec.json.decode(seen)
    assert b'"ApproximateCreationDateTime":1795248000.0' in seen
    assert found["eventID"] == "ab0ed3713569f4655f353e5ef61a88c4"
    assert found["awsRegion"] == "us-east-1"
    assert found["eventSourceARN"] == TABLE_STREAM_ARN


def test_the_arn_of_a_tables_stream_is_the_stacks() -> None:
    label = "table/lockstep-images/stream/2026-11-21T07:00:00.000"
    local = f"arn:aws:dynamodb:ddblocal:000000000000:{label}"
    assert table_stream_arn(local, "us-east-1") == TABLE_STREAM_ARN
    assert table_stream_arn(TABLE_STREAM_ARN, "us-east-1") == TABLE_STREAM_ARN


def test_a_removal_by_time_to_live_is_spelled_as_lambda_does() -> None:
    identity = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    reader = Client(iterator("i"), answer(said(7, userIdentity=identity))).reader(TrimHorizon())
    (record,) = reader.read(10).records
    found = msgspec.json.decode(entry(record, PLACE).json)["userIdentity"]
    assert found == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_binaries_and_sets_arrive_as_they_were_written() -> None:
    record = said(7)
    record["dynamodb"]["NewImage"] = {
        "b": {"B": bytes(range(256))},
        "bs": {"BS": [b"\x00\x01", b"\xff"]},
        "ns": {"NS": ["1", "-2.5E-3"]},
        "m": {"M": {"l": {"L": [{"B": b"\x00"}, {"NULL": True}, {"N": "1" * 38}]}}},
    }
    (read,) = Client(iterator("i"), answer(record)).reader(TrimHorizon()).read(10).records
    seen = msgspec.json.decode(entry(read, PLACE).json)["dynamodb"]["NewImage"]
    assert seen["b"] == {"B": msgspec.to_builtins(bytes(range(256)))}
    assert seen["bs"] == {"BS": ["AAE=", "/w=="]}
    assert seen["ns"] == {"NS": ["1", "-2.5E-3"]}
    assert seen["m"] == {"M": {"l": {"L": [{"B": "AA=="}, {"NULL": True}, {"N": "1" * 38}]}}}


def test_a_reader_goes_on_by_its_iterator_and_ends_with_the_shard() -> None:
    client = Client(iterator("i"), answer(said(7), said(8)), answer(), answer(said(9), then=None))
    reader = client.reader(AfterSequenceNumber("6"))
    reads = [reader.read(5000) for _ in range(3)]
    assert [numbers(read) for read in reads] == [[7, 8], [], [9]]
    assert [(read.behind, read.ended) for read in reads] == [
        (True, False),
        (False, False),
        (True, True),
    ]
    assert client.requests[0] == (
        "get_shard_iterator",
        {
            "StreamArn": TABLE_STREAM_ARN,
            "ShardId": "shard-1",
            "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
            "SequenceNumber": "6",
        },
    )
    assert client.requests[1] == ("get_records", {"ShardIterator": "i", "Limit": 1000})


@pytest.mark.parametrize(
    "trouble", [error("ExpiredIteratorException"), error("InternalServerError")]
)
def test_after_trouble_it_goes_on_behind_the_last_record_it_gave(trouble: Exception) -> None:
    client = Client(iterator("i"), answer(said(7)), trouble, iterator("j"), answer(said(8)))
    reader = client.reader(TrimHorizon())
    found = numbers(reader.read(10))
    with suppress(StreamUnavailableError):
        found += numbers(reader.read(10))
    assert found + numbers(reader.read(10)) == [7, 8]
    assert client.requests[3][1]["SequenceNumber"] == said(7)["dynamodb"]["SequenceNumber"]


def test_a_time_to_begin_at_leaves_out_what_arrived_before() -> None:
    late = ARRIVED_AT + 60_000
    client = Client(iterator("i"), answer(said(7)), answer(said(8, arrived_at=late)))
    reader = client.reader(AtTimestamp(ARRIVED_AT / 1000 + 30))
    assert [numbers(reader.read(10)), numbers(reader.read(10))] == [[], [8]]
    assert client.requests[0][1]["ShardIteratorType"] == "TRIM_HORIZON"


@pytest.mark.parametrize(
    ("answers", "meant"),
    [
        ([error("TrimmedDataAccessException")], PositionLostError),
        ([error("ValidationException")], PositionLostError),
        ([error("ResourceNotFoundException")], ShardNotFoundError),
        ([iterator("i"), error("TrimmedDataAccessException")], PositionLostError),
        ([iterator("i"), error("LimitExceededException")], StreamUnavailableError),
        ([iterator("i"), {}], StreamUnavailableError),
        ([EndpointConnectionError(endpoint_url="http://d")], StreamUnavailableError),
    ],
)
def test_each_error_says_what_can_be_done(answers: list[Any], meant: type[Exception]) -> None:
    with pytest.raises(meant):
        Client(*answers).reader(AfterSequenceNumber("6")).read(10)
