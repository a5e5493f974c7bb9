"""Any Kinesis endpoint through boto3: what its answers and errors mean to a mapping."""

import datetime as dt
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.parsers import ResponseParserError
from types_boto3_kinesis import KinesisClient

from lockstep.stream.kinesis import KinesisStream, StreamSummary
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    StreamDeniedError,
    StreamRecord,
    StreamUnavailableError,
    TrimHorizon,
)
from tests.unit.mapping.answering import Answering, error, iterator

ARRIVED = dt.datetime(2026, 11, 21, 8, 0, 0, 500_000, tzinfo=dt.UTC)


class Client(Answering):
    """A Kinesis client that answers, in order, what the test wrote down."""

    @property
    def stream(self) -> KinesisStream:
        return KinesisStream(cast("KinesisClient", self), "images")


def listed(shard_id: str, starting_number: str, **parents: str) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": starting_number}
    return {"ShardId": shard_id, "SequenceNumberRange": numbers, **parents}


def records(*numbers: str, behind: int = 0, following: str | None = "next") -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Records": [
            {
                "SequenceNumber": number,
                "PartitionKey": "key",
                "Data": b"data",
                "ApproximateArrivalTimestamp": ARRIVED,
            }
            for number in numbers
        ],
        "MillisBehindLatest": behind,
    }
    return answer if following is None else answer | {"NextShardIterator": following}


def test_shards_are_listed_over_all_pages_with_their_parents() -> None:
    client = Client(
        {
            "Shards": [listed("a", "1"), listed("b", "2", ParentShardId="a")],
            "NextToken": "more",
        },
        {"Shards": [listed("c", "3", ParentShardId="a", AdjacentParentShardId="b")]},
    )

    assert client.stream.shards() == [
        ListedShard("a", frozenset(), "1"),
        ListedShard("b", frozenset({"a"}), "2"),
        ListedShard("c", frozenset({"a", "b"}), "3"),
    ]
    assert client.requests == [
        ("list_shards", {"StreamName": "images"}),
        ("list_shards", {"NextToken": "more"}),
    ]


def test_a_summary_is_in_seconds() -> None:
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/images"
    told = {
        "StreamARN": arn,
        "StreamCreationTimestamp": ARRIVED,
        "RetentionPeriodHours": 24,
    }
    client = Client(*[{"StreamDescriptionSummary": told}] * 2)

    assert client.stream.summary() == StreamSummary(arn, 1_795_248_000.5, 86_400)
    assert client.stream.retention() == 86_400


@pytest.mark.parametrize(
    ("position", "where"),
    [
        (TrimHorizon(), {"ShardIteratorType": "TRIM_HORIZON"}),
        (AtTimestamp(5.0), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 5.0}),
        (
            AfterSequenceNumber("9"),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "9"},
        ),
    ],
)
def test_a_reader_starts_where_it_was_told(position: Position, where: dict[str, Any]) -> None:
    client = Client(iterator("first"), records("10", behind=5))

    read = client.stream.reader("a", position).read(100)

    arrived = round(ARRIVED.timestamp() * 1000)
    assert read == Records([StreamRecord("10", "key", b"data", arrived)], behind=True, ended=False)
    assert client.requests == [
        ("get_shard_iterator", {"StreamName": "images", "ShardId": "a", **where}),
        ("get_records", {"ShardIterator": "first", "Limit": 100}),
    ]


def test_a_read_never_asks_for_more_than_kinesis_gives() -> None:
    client = Client(iterator("first"), records())

    client.stream.reader("a", TrimHorizon()).read(50_000)

    assert client.requests[-1] == ("get_records", {"ShardIterator": "first", "Limit": 10_000})


def test_a_closed_shard_ends_with_its_last_record() -> None:
    client = Client(iterator("first"), records("10"), records("11", following=None))
    reader = client.stream.reader("a", TrimHorizon())

    assert not reader.read(10).ended
    assert reader.read(10).ended


def test_an_expired_iterator_is_renewed_behind_the_last_record_read() -> None:
    client = Client(
        iterator("first"),
        records("10"),
        error("ExpiredIteratorException"),
        iterator("renewed"),
        records("11"),
    )
    reader = client.stream.reader("a", TrimHorizon())
    reader.read(10)

    assert reader.read(10) == Records((), behind=True, ended=False)
    assert [one.sequence_number for one in reader.read(10).records] == ["11"]
    assert client.requests[3][1]["StartingSequenceNumber"] == "10"


@pytest.mark.parametrize(
    "trouble",
    [
        error("ProvisionedThroughputExceededException"),
        error("ResourceNotFoundException"),
        error("InternalFailure"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ResponseParserError("cut off"),
    ],
    ids=lambda trouble: str(trouble)[:40],
)
def test_after_trouble_a_reader_goes_on_where_it_was(trouble: Exception) -> None:
    client = Client(
        iterator("first"), records("10"), trouble, trouble, iterator("again"), records("11")
    )
    reader = client.stream.reader("a", TrimHorizon())
    reader.read(10)

    for _ in range(2):
        with pytest.raises(StreamUnavailableError):
            reader.read(10)
    assert [one.sequence_number for one in reader.read(10).records] == ["11"]
    assert client.requests[-2][1]["StartingSequenceNumber"] == "10"


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("AccessDeniedException", True),
        ("KMSAccessDeniedException", True),
        ("KMSDisabledException", True),
        ("KMSThrottlingException", False),
        ("ExpiredTokenException", False),
        ("ProvisionedThroughputExceededException", False),
    ],
)
def test_what_only_an_operator_can_correct_is_told_apart(code: str, *, refused: bool) -> None:
    with pytest.raises(StreamUnavailableError, match=code) as caught:
        Client(iterator("first"), error(code)).stream.reader("a", TrimHorizon()).read(10)
    assert isinstance(caught.value, StreamDeniedError) is refused


def test_a_new_iterator_that_is_refused_is_no_endless_loop() -> None:
    client = Client(iterator("first"), error("InvalidArgumentException"))

    with pytest.raises(StreamUnavailableError):
        client.stream.reader("a", TrimHorizon()).read(10)


def test_a_checkpoint_that_the_stream_does_not_know_is_lost() -> None:
    client = Client(error("InvalidArgumentException"))

    with pytest.raises(PositionLostError):
        client.stream.reader("a", AfterSequenceNumber("9")).read(10)


def test_a_shard_that_is_not_found_is_told_apart_from_trouble() -> None:
    client = Client(error("ResourceNotFoundException"))

    with pytest.raises(ShardNotFoundError):
        client.stream.reader("a", TrimHorizon()).read(10)


def test_a_truncated_response_is_not_the_end_of_a_shard() -> None:
    # Botocore makes an empty answer of a server that died after its status line.
    cut_off: dict[str, Any] = {}
    with pytest.raises(StreamUnavailableError, match="Shards"):
        Client(cut_off).stream.shards()
    with pytest.raises(StreamUnavailableError, match="StreamDescriptionSummary"):
        Client(cut_off).stream.retention()
    client = Client(cut_off, iterator("first"), cut_off, iterator("again"), records("10"))
    reader = client.stream.reader("a", TrimHorizon())
    for missing in ("ShardIterator", "Records"):
        with pytest.raises(StreamUnavailableError, match=missing):
            reader.read(10)
    assert [one.sequence_number for one in reader.read(10).records] == ["10"]


def test_a_shard_issues_no_number_below_its_first() -> None:
    shard = ListedShard("a", frozenset(), "100")

    assert [number for number in ("99", "100", "1000") if shard.may_have_issued(number)] == [
        "100",
        "1000",
    ]


@pytest.mark.parametrize("trouble", [error("LimitExceededException"), ResponseParserError("x")])
def test_a_stream_that_cannot_be_described_is_unavailable(trouble: Exception) -> None:
    with pytest.raises(StreamUnavailableError):
        Client(trouble).stream.shards()
    with pytest.raises(StreamUnavailableError):
        Client(trouble).stream.retention()
