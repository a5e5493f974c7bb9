"""Every operation, and every refusal, as boto3 sees them."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.contract.kinesis.server import client_of

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient
    from types_boto3_kinesis.type_defs import RecordTypeDef, ShardTypeDef

type MakeStream = Callable[[int], str]

FIRST = "shardId-000000000000"


def iterator(client: "KinesisClient", stream: str, kind: Any = "TRIM_HORIZON", **more: Any) -> str:
    shard = more.pop("ShardId", FIRST)
    answer = client.get_shard_iterator(
        StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more
    )
    return answer["ShardIterator"]


def read(client: "KinesisClient", position: str) -> list["RecordTypeDef"]:
    return client.get_records(ShardIterator=position)["Records"]


def open_shards(client: "KinesisClient", stream: str) -> list["ShardTypeDef"]:
    return client.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]


def assert_shards_are_whole(client: "KinesisClient", stream: str) -> None:
    ranges = sorted(
        (int(each["HashKeyRange"]["StartingHashKey"]), int(each["HashKeyRange"]["EndingHashKey"]))
        for each in open_shards(client, stream)
    )
    assert (ranges[0][0], ranges[-1][1]) == (0, (1 << 128) - 1)
    assert all(low[1] + 1 == high[0] for low, high in pairwise(ranges))
    shards = {each["ShardId"]: each for each in client.list_shards(StreamName=stream)["Shards"]}
    for child in shards.values():
        if "ParentShardId" in child:
            parent = shards[child["ParentShardId"]]["SequenceNumberRange"]
            start = child["SequenceNumberRange"]["StartingSequenceNumber"]
            assert int(start) > int(parent["EndingSequenceNumber"])


def test_a_record_comes_back_as_it_was_put(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    before = dt.datetime.now(dt.UTC)
    put = client.put_record(StreamName=name, Data=b"\x00\xff", PartitionKey="St. Catherine’s")
    [record] = read(client, iterator(client, name))
    assert put["ShardId"] == FIRST
    assert put.keys() == {"ShardId", "SequenceNumber", "ResponseMetadata"}
    assert record["SequenceNumber"] == put["SequenceNumber"]
    assert record["Data"] == b"\x00\xff"
    assert record["PartitionKey"] == "St. Catherine’s"
    slack = dt.timedelta(seconds=1)
    assert before - slack < record["ApproximateArrivalTimestamp"] < before + 30 * slack


def test_numbers_rise_in_each_shard_over_ten_thousand_records(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(3)
    put: dict[str, list[int]] = {}
    for batch in range(20):
        answer = client.put_records(
            StreamName=name,
            Records=[
                {"Data": str(number).encode(), "PartitionKey": f"image-{number}"}
                for number in range(batch * 500, batch * 500 + 500)
            ],
        )
        assert answer["FailedRecordCount"] == 0
        for each in answer["Records"]:
            put.setdefault(each["ShardId"], []).append(int(each["SequenceNumber"]))
    assert sum(map(len, put.values())) == 10_000
    for shard, numbers in put.items():
        assert all(low < high for low, high in pairwise(numbers))
        records = read(client, iterator(client, name, ShardId=shard))
        assert [int(each["SequenceNumber"]) for each in records] == numbers


def test_iterators_of_every_type(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    numbers = []
    for data in (b"1", b"2", b"3"):
        put = client.put_record(StreamName=name, Data=data, PartitionKey="k")
        numbers.append(put["SequenceNumber"])
    latest = iterator(client, name, "LATEST")
    at = iterator(client, name, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    after = iterator(client, name, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
    records = read(client, iterator(client, name, "TRIM_HORIZON"))
    arrived = records[0]["ApproximateArrivalTimestamp"]
    timed = iterator(client, name, "AT_TIMESTAMP", Timestamp=arrived)
    assert [each["Data"] for each in records] == [b"1", b"2", b"3"]
    assert [each["Data"] for each in read(client, at)] == [b"2", b"3"]
    assert [each["Data"] for each in read(client, after)] == [b"3"]
    assert [each["Data"] for each in read(client, timed)] == [b"1", b"2", b"3"]
    assert read(client, latest) == []


def test_a_number_for_ordering_is_exceeded(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    first = client.put_record(StreamName=name, Data=b"", PartitionKey="k")["SequenceNumber"]
    second = client.put_record(
        StreamName=name, Data=b"", PartitionKey="k", SequenceNumberForOrdering=first
    )["SequenceNumber"]
    assert int(second) > int(first)


def test_an_explicit_hash_key_chooses_the_shard(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(2)
    put = client.put_record(
        StreamName=name, Data=b"", PartitionKey="k", ExplicitHashKey=str(1 << 127)
    )
    assert put["ShardId"] == "shardId-000000000001"


def test_split_merge_and_scaling_keep_the_ranges_whole(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(2)
    client.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey="1000")
    assert_shards_are_whole(client, name)
    client.merge_shards(
        StreamName=name,
        ShardToMerge="shardId-000000000003",
        AdjacentShardToMerge="shardId-000000000001",
    )
    assert_shards_are_whole(client, name)
    assert len(open_shards(client, name)) == 2
    for target in (4, 6, 3):
        answer = client.update_shard_count(
            StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        client.get_waiter("stream_exists").wait(StreamName=name)
        assert answer["TargetShardCount"] == target
        assert_shards_are_whole(client, name)
        assert len(open_shards(client, name)) == target


def test_the_end_of_a_closed_shard_names_its_children(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(1)
    client.put_record(StreamName=name, Data=b"1", PartitionKey="k")
    client.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey=str(1 << 127))
    answer: Mapping[str, Any] = client.get_records(ShardIterator=iterator(client, name))
    assert len(answer["Records"]) == 1
    assert "NextShardIterator" not in answer
    assert [child["ParentShards"] for child in answer["ChildShards"]] == [[FIRST], [FIRST]]


def test_a_stream_is_described_by_name_and_by_arn(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(2)
    summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["StreamStatus"] == "ACTIVE"
    assert summary["OpenShardCount"] == 2
    assert summary["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    by_arn = client.describe_stream(StreamARN=summary["StreamARN"])["StreamDescription"]
    assert by_arn["StreamName"] == name
    assert len(by_arn["Shards"]) == 2
    age = dt.datetime.now(dt.UTC) - by_arn["StreamCreationTimestamp"]
    assert age < dt.timedelta(minutes=5)
    client.put_record(StreamARN=summary["StreamARN"], Data=b"", PartitionKey="k")
    read_by_arn = client.get_shard_iterator(
        StreamARN=summary["StreamARN"], ShardId=FIRST, ShardIteratorType="TRIM_HORIZON"
    )
    client.get_records(ShardIterator=read_by_arn["ShardIterator"], StreamARN=summary["StreamARN"])


def test_an_on_demand_stream_needs_no_shard_count(client: "KinesisClient") -> None:
    client.create_stream(StreamName="on-demand", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(client.list_shards(StreamName="on-demand")["Shards"]) == 4


def test_streams_and_shards_are_paged(client: "KinesisClient", stream: MakeStream) -> None:
    names = [stream(1) for _ in range(3)]
    paginator = client.get_paginator("list_streams")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
    listed = [name for page in pages for name in page["StreamNames"]]
    assert len(pages) > 1
    assert listed == sorted(listed)
    assert set(names) <= set(listed)
    wide = stream(5)
    first = client.list_shards(StreamName=wide, MaxResults=3)
    rest = client.list_shards(NextToken=first["NextToken"])
    assert [len(first["Shards"]), len(rest["Shards"])] == [3, 2]
    described = client.get_paginator("describe_stream").paginate(
        StreamName=wide, PaginationConfig={"PageSize": 2}
    )
    found = [
        shard["ShardId"] for page in described for shard in page["StreamDescription"]["Shards"]
    ]
    assert found == [f"shardId-{number:012}" for number in range(5)]


def test_retention_and_tags_are_kept(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=168)
    client.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    client.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2"})
    client.remove_tags_from_stream(StreamName=name, TagKeys=["a"])
    summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 48
    assert client.list_tags_for_stream(StreamName=name)["Tags"] == [{"Key": "b", "Value": "2"}]
    arn = summary["StreamARN"]
    client.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    client.untag_resource(ResourceARN=arn, TagKeys=["b"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "c", "Value": "3"}]


def test_a_deleted_stream_does_not_exist(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    client.delete_stream(StreamName=name)
    client.get_waiter("stream_not_exists").wait(StreamName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_stream(StreamName=name)


REFUSALS: dict[str, Callable[["KinesisClient", str], object]] = {
    "ResourceNotFoundException": lambda client, _: client.describe_stream(StreamName="none"),
    "ResourceInUseException": lambda client, name: client.create_stream(
        StreamName=name, ShardCount=1
    ),
    "InvalidArgumentException": lambda client, _: client.get_records(ShardIterator="none"),
    "LimitExceededException": lambda client, _: client.create_stream(
        StreamName="huge", ShardCount=50_000
    ),
    "ValidationException": lambda client, _: client.delete_stream(StreamName="a b"),
    "DryRunOperationException": lambda client, name: client.put_record(
        StreamName=name, Data=b"", PartitionKey="k", DryRun=True
    ),
    "UnknownOperationException": lambda client, _: client.describe_account_settings(),
}


@pytest.mark.parametrize("error", REFUSALS)
def test_a_refusal_has_the_name_that_aws_gives_it(
    client: "KinesisClient", stream: MakeStream, error: str
) -> None:
    name = stream(1)
    with pytest.raises(ClientError) as caught:
        REFUSALS[error](client, name)
    answer = caught.value.response
    assert answer["Error"]["Code"] == error
    assert answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({}, b"{}", 400, "UnknownOperationException"),
        ({"x-amz-target": "Kinesis_20131202.PutRecord"}, b"{", 400, "SerializationException"),
        (
            {"x-amz-target": "Kinesis_20131202.PutRecords"},
            b" " * (17 * 1024 * 1024),
            413,
            "RequestEntityTooLargeException",
        ),
    ],
)
def test_requests_that_no_sdk_sends_are_refused(
    kinesis_endpoint: str, headers: dict[str, str], body: bytes, status: int, error: str
) -> None:
    with urllib3.PoolManager() as http:
        answer = http.request(
            "POST",
            kinesis_endpoint,
            body=body,
            headers={"content-type": "application/x-amz-json-1.1", **headers},
            retries=False,
        )
    assert answer.status == status
    assert answer.json()["__type"] == error


def test_a_large_answer_comes_whole(client: "KinesisClient", stream: MakeStream) -> None:
    name = stream(1)
    data = bytes(range(256)) * 4000
    client.put_records(StreamName=name, Records=[{"Data": data, "PartitionKey": "k"}] * 10)
    records = read(client, iterator(client, name))
    assert [each["Data"] for each in records] == [data] * 10


def test_it_says_that_it_is_up(kinesis_endpoint: str) -> None:
    with urllib3.PoolManager() as http:
        assert http.request("GET", f"{kinesis_endpoint}/health").status == 200


def test_a_small_request_is_answered_without_delay(
    kinesis_endpoint: str, stream: MakeStream
) -> None:
    # With Nagle's algorithm on, each answer over a kept connection waits 40 ms for an
    # acknowledgement; the fastest of many shows it, however busy the machine.
    name = stream(1)
    with client_of(kinesis_endpoint) as client:
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            client.describe_stream_summary(StreamName=name)
            seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.03


def test_a_consumer_gets_records_pushed_to_the_end_of_the_shard(
    client: "KinesisClient", stream: MakeStream
) -> None:
    name = stream(1)
    arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    answer = client.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
    consumer = answer["Consumer"]["ConsumerARN"]
    client.put_record(StreamName=name, Data=b"one", PartitionKey="k")
    with pytest.raises(client.exceptions.ResourceInUseException, match="CREATING"):
        subscribe(client, consumer)
    described = client.describe_stream_consumer(ConsumerARN=consumer)
    while described["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE":
        described = client.describe_stream_consumer(ConsumerARN=consumer)
    events = iter(subscribe(client, consumer))
    with pytest.raises(client.exceptions.ResourceInUseException, match="5 seconds"):
        subscribe(client, consumer)
    found = [record["Data"] for record in next(events)["SubscribeToShardEvent"]["Records"]]
    client.put_record(StreamName=name, Data=b"two", PartitionKey="k")
    client.split_shard(StreamName=name, ShardToSplit=FIRST, NewStartingHashKey="1000")
    for event in events:
        found += [record["Data"] for record in event["SubscribeToShardEvent"]["Records"]]
        children = event["SubscribeToShardEvent"].get("ChildShards")
    assert found == [b"one", b"two"]
    assert children is not None
    assert [child["ParentShards"] for child in children] == [[FIRST], [FIRST]]
    client.deregister_stream_consumer(ConsumerARN=consumer)
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.delete_stream(StreamName=name)
    client.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def subscribe(client: "KinesisClient", consumer: str) -> Any:
    return client.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=FIRST, StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]
