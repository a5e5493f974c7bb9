"""Records that are decoded straight from bytes are those that the clients decode."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.pages import decode_kinesis, decode_table, decoded_records
from lockstep.stream.stream import (
    Records,
    Stream,
    StreamRecord,
    StreamUnavailableError,
    TrimHorizon,
)
from lockstep.stream.table import TableStream
from tests.builders import TABLE_STREAM_ARN, deployed_stack
from tests.byte_answers import BINARIES, ITEMS, TEXTS, answered, spoilt

SHARD_ID = "shardId-00000000000000000000"
STACK = deployed_stack(
    state="/state", region="us-east-1", endpoints=Endpoints(*["http://127.0.0.1:1"] * 4)
)
MILLISECONDS = st.integers(0, 253_402_300_799_999)


class Wire:
    """Both streams, each read twice: decoded straight from bytes, and by the client."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        clients = [Clients(STACK) for _ in range(2)]
        self.kinesis = [answered(one.kinesis, self._answer) for one in clients]
        self.tables = [answered(one.dynamodbstreams, self._answer) for one in clients]
        plain = clients[1]
        plain.kinesis.meta.events.unregister("before-parse.kinesis.GetRecords", decode_kinesis)
        plain.dynamodbstreams.meta.events.unregister(
            "before-parse.dynamodb-streams.GetRecords", decode_table
        )

    def of_kinesis(self, body: bytes, status: int = 200) -> tuple[Records | str, Records | str]:
        """What both readers make of this answer."""
        return self._both(lambda which: KinesisStream(self.kinesis[which], "s"), body, status)

    def of_table(self, body: bytes, status: int = 200) -> tuple[Records | str, Records | str]:
        return self._both(
            lambda which: TableStream(self.tables[which], TABLE_STREAM_ARN, "us-east-1"),
            body,
            status,
        )

    def _both(
        self, stream: Callable[[int], Stream], body: bytes, status: int
    ) -> tuple[Records | str, Records | str]:
        self.body, self.status = body, status
        fast, plain = (self._read(stream(which)) for which in range(2))
        return fast, plain

    @staticmethod
    def _read(stream: Stream) -> Records | str:
        try:
            return _sorted(stream.reader(SHARD_ID, TrimHorizon()).read(1_000))
        except StreamUnavailableError as error:
            return f"unavailable: {error}"
        except Exception as error:  # noqa: BLE001 - botocore raises many for foreign types
            return type(error).__name__

    def _answer(self, operation: str) -> tuple[int, bytes]:
        if operation == "GetShardIterator":
            return 200, b'{"ShardIterator": "i"}'
        return self.status, self.body


def _sorted(found: Records) -> Records:
    """The same, with the members of a table's records in one order, which does not matter."""
    return msgspec.structs.replace(found, records=[_with_sorted_data(one) for one in found.records])


def _with_sorted_data(record: StreamRecord) -> StreamRecord:
    if not record.data.startswith(b'{"event'):
        return record
    data = msgspec.json.encode(msgspec.json.decode(record.data), order="sorted")
    return msgspec.structs.replace(record, data=data)


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


@st.composite
def kinesis_records(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "SequenceNumber": str(draw(st.integers(0))),
        "PartitionKey": draw(TEXTS),
        "Data": draw(BINARIES),
        "ApproximateArrivalTimestamp": draw(MILLISECONDS) / 1000,
        **draw(st.sampled_from([{}, {"EncryptionType": "NONE"}])),
    }


IDENTITY = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


@st.composite
def table_records(draw: st.DrawFn) -> dict[str, Any]:
    images = draw(st.sampled_from([("NewImage",), ("OldImage",), ("NewImage", "OldImage"), ()]))
    key = st.dictionaries(TEXTS, st.one_of(TEXTS.map(lambda text: {"S": text})), max_size=2)
    return {
        "eventID": str(draw(st.uuids())),
        "eventName": draw(st.sampled_from(["INSERT", "MODIFY", "REMOVE"])),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        **draw(st.sampled_from([{}, {"awsRegion": "ddblocal"}])),
        **draw(st.sampled_from([{}, {"userIdentity": IDENTITY}])),
        "dynamodb": {
            "ApproximateCreationDateTime": draw(MILLISECONDS) / 1000,
            "Keys": draw(key),
            **{name: draw(ITEMS) for name in images},
            "SequenceNumber": str(draw(st.integers(0))),
            "SizeBytes": draw(st.integers(0, 1_000)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


@st.composite
def pages(draw: st.DrawFn, records: st.SearchStrategy[dict[str, Any]]) -> bytes:
    page: dict[str, Any] = {"Records": draw(st.lists(records, max_size=4))}
    page |= draw(st.sampled_from([{}, {"NextShardIterator": "n"}, {"NextShardIterator": None}]))
    page |= draw(st.sampled_from([{}, {"MillisBehindLatest": 0}, {"MillisBehindLatest": 5}]))
    return msgspec.json.encode(page)


def the_same(found: tuple[Records | str, Records | str]) -> Records | str:
    fast, plain = found
    assert fast == plain
    return fast


@given(body=pages(kinesis_records()))
def test_any_records_of_kinesis_are_the_same(wire: Wire, body: bytes) -> None:
    assert isinstance(the_same(wire.of_kinesis(body)), Records)


@given(body=pages(table_records()))
def test_any_records_of_a_table_are_the_same(wire: Wire, body: bytes) -> None:
    assert isinstance(the_same(wire.of_table(body)), Records)


@given(data=st.data())
def test_a_foreign_value_anywhere_is_read_as_the_client_reads_it(
    wire: Wire, data: st.DataObject
) -> None:
    kinesis = spoilt(data.draw, data.draw(pages(kinesis_records())))
    the_same(wire.of_kinesis(kinesis))
    table = spoilt(data.draw, data.draw(pages(table_records())))
    the_same(wire.of_table(table))


def a_page(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"Records": [record], "NextShardIterator": "n"})


KINESIS_PAGE = a_page(
    {
        "SequenceNumber": "1",
        "PartitionKey": "ü",
        "Data": "YQ==",
        "ApproximateArrivalTimestamp": 1_795_248_000.123,
    }
)
TABLE_PAGE = a_page(
    {
        "eventID": "ab0ed371-3569-f465-5f35-3e5ef61a88c4",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "ddblocal",
        "userIdentity": IDENTITY,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_248_000,
            "Keys": {"image_id": {"S": "ü"}},
            "NewImage": {"image_id": {"S": "ü"}, "version": {"N": "2"}},
            "OldImage": {"image_id": {"S": "ü"}, "b": {"B": "AAE="}},
            "SequenceNumber": "7",
            "SizeBytes": 9,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }
)


def test_an_answer_that_is_cut_off_anywhere_is_no_end_of_a_shard(wire: Wire) -> None:
    for body, read in ((KINESIS_PAGE, wire.of_kinesis), (TABLE_PAGE, wire.of_table)):
        assert isinstance(the_same(read(body)), Records)
        for at in range(len(body)):
            assert str(the_same(read(body[:at]))).startswith("unavailable: ")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"Records": null}',
        b'{"Records": {}}',
        b'{"records": []}',
        KINESIS_PAGE + b"}",
        b"[" * 2_000,
    ],
)
def test_another_answer_is_read_as_the_client_reads_it(wire: Wire, body: bytes) -> None:
    the_same(wire.of_kinesis(body))
    the_same(wire.of_table(body))


@pytest.mark.parametrize("body", [b'{"__type": "a#InternalFailure"}', KINESIS_PAGE, TABLE_PAGE])
def test_an_error_is_an_error_whatever_it_contains(wire: Wire, body: bytes) -> None:
    assert "GetRecords" in str(the_same(wire.of_kinesis(body, status=500)))
    assert "GetRecords" in str(the_same(wire.of_table(body, status=500)))


def test_the_clients_of_a_stack_decode_records_straight_from_bytes(wire: Wire) -> None:
    for clients, body in ((wire.kinesis, KINESIS_PAGE), (wire.tables, TABLE_PAGE)):
        wire.status, wire.body = 200, body
        decoded = [decoded_records(one.get_records(ShardIterator="i")) for one in clients]
        assert decoded[0] is not None
        assert decoded[1] is None
