"""PutRecords, of the endpoint and of the simulation's stream: the same answers and refusals."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import md5
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from lockstep.simulation.fakes.kinesis import Kinesis

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

SHARDS = 4
MIB = 1024 * 1024
LONG_KEY = (
    f"1 validation error detected: Value '{'k' * 99}...' at 'records.2.member.partitionKey'"
    " failed to satisfy constraint: Member must have length less than or equal to 256"
)
TOO_MANY = (
    "1 validation error detected: Value of 501 members at 'records' failed to satisfy"
    " constraint: Member must have length less than or equal to 500"
)
LARGE_RECORD = (
    "a record of 1048577 bytes (data and partition key) is over this stream's maximum of 1024 KiB"
)
LARGE_REQUEST = "Records size exceeds 10 MB limit: 10485763 bytes of data and partition keys"

type Record = Mapping[str, Any]


class Stream(Protocol):
    """A stream of four shards, and what is on it."""

    @property
    def name(self) -> str: ...

    def put_records(self, **request: Any) -> Mapping[str, Any]: ...

    def records(self) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        """Keys and data by shard, in their order."""
        ...


class FakeStream:
    name = "pictures"

    def __init__(self) -> None:
        self._fake = Kinesis(self.name, shards=SHARDS)
        self.put_records = self._fake.put_records

    def records(self) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        return {
            shard_id: [(one.partition_key, one.data) for one in shard.records]
            for shard_id, shard in self._fake.shards.items()
        }


class EndpointStream:
    def __init__(self, client: "KinesisClient", name: str) -> None:
        self.name = name
        self._client = client

    def put_records(self, **request: Any) -> Mapping[str, Any]:
        answer: dict[str, Any] = dict(self._client.put_records(**request))
        answer.pop("ResponseMetadata")
        return answer

    def records(self) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        listed = self._client.list_shards(StreamName=self.name)["Shards"]
        return {one["ShardId"]: self._read(one["ShardId"]) for one in listed}

    def _read(self, shard_id: str) -> Sequence[tuple[str, bytes]]:
        iterator = self._client.get_shard_iterator(
            StreamName=self.name, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        read = self._client.get_records(ShardIterator=iterator)
        return [(one["PartitionKey"], one["Data"]) for one in read["Records"]]


@pytest.fixture(params=["fake", "endpoint"])
def on(
    request: pytest.FixtureRequest, client: "KinesisClient", stream: Callable[[int], str]
) -> Stream:
    return FakeStream() if request.param == "fake" else EndpointStream(client, stream(SHARDS))


def keyed(key: str, size: int = 1) -> Record:
    """A record that counts so many bytes, its key included."""
    return {"PartitionKey": key, "Data": b"x" * (size - len(key.encode()))}


def shard_of(key: str) -> str:
    number = int(md5(key.encode(), usedforsecurity=False).hexdigest(), 16) * SHARDS >> 128
    return f"shardId-{number:012}"


def test_each_record_is_answered_in_its_place_and_lies_in_the_shard_of_its_key(on: Stream) -> None:
    said = [(f"T{at % 50}", str(at).encode()) for at in range(500)]
    records = [{"PartitionKey": key, "Data": data} for key, data in said]

    answer = on.put_records(StreamName=on.name, Records=records)

    assert {name: answer[name] for name in answer if name != "Records"} == {
        "FailedRecordCount": 0,
    }
    assert [set(one) for one in answer["Records"]] == [{"SequenceNumber", "ShardId"}] * 500
    assert [one["ShardId"] for one in answer["Records"]] == [shard_of(key) for key, _ in said]
    for shard_id, there in on.records().items():
        assert there == [one for one in said if shard_of(one[0]) == shard_id]
        numbers = [
            int(one["SequenceNumber"]) for one in answer["Records"] if one["ShardId"] == shard_id
        ]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "records",
    [
        [keyed("é" * 256, 512)],
        [keyed("T1", MIB)],
        [keyed(f"T{at}", MIB) for at in range(10)],
    ],
    ids=["key of 256 characters", "record of 1 MiB", "request of 10 MiB"],
)
def test_what_is_just_within_the_limits_is_taken(on: Stream, records: Sequence[Record]) -> None:
    answer = on.put_records(StreamName=on.name, Records=records)

    assert answer["FailedRecordCount"] == 0
    assert sum(map(len, on.records().values())) == len(records)


@pytest.mark.parametrize(
    ("records", "code", "message"),
    [
        ([keyed("T1", 2), keyed("k" * 257, 257)], "ValidationException", LONG_KEY),
        ([keyed("T1", 2)] * 501, "ValidationException", TOO_MANY),
        (
            [keyed("T1", 2), keyed("T2", MIB + 1), keyed("T3", 2 * MIB)],
            "InvalidArgumentException",
            LARGE_RECORD,
        ),
        (
            [*(keyed(f"T{at}", MIB) for at in range(10)), keyed("T10", 3)],
            "InvalidArgumentException",
            LARGE_REQUEST,
        ),
    ],
    ids=["long key", "too many", "large record", "large request"],
)
def test_what_is_beyond_the_limits_is_refused_with_all_its_request(
    on: Stream, records: Sequence[Record], code: str, message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        on.put_records(StreamName=on.name, Records=records)

    assert refused.value.response["Error"] == {"Code": code, "Message": message}
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert not any(on.records().values())


@pytest.mark.parametrize(
    ("records", "parameter"),
    [([], "Records"), ([{"PartitionKey": "", "Data": b"x"}], "Records[0].PartitionKey")],
    ids=["nothing", "no key"],
)
def test_what_boto3_itself_refuses_is_never_sent(
    on: Stream, records: Sequence[Record], parameter: str
) -> None:
    with pytest.raises(ParamValidationError) as refused:
        on.put_records(StreamName=on.name, Records=records)

    wrong = f"Invalid length for parameter {parameter}, value: 0, valid min length: 1"
    assert str(refused.value).endswith(f"\n{wrong}")


def test_a_stream_that_is_not_there_is_named(on: Stream) -> None:
    with pytest.raises(ClientError) as refused:
        on.put_records(StreamName="nowhere", Records=[keyed("T1", 2)])

    assert refused.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "Stream nowhere under account 000000000000 not found.",
    }
