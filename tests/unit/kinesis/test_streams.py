"""Streams and shards: made, described, listed, resharded, deleted."""

from itertools import pairwise

import pytest

from lockstep.local.kinesis.store import Store
from lockstep.local.kinesis.tokens import LIFETIME_MS
from lockstep.stream.shards import HASH_KEYS
from tests.unit.kinesis.client import HOUR, SECOND, START, Kinesis

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"


def ids(shards: list[dict[str, str]]) -> list[int]:
    return [int(shard["ShardId"].removeprefix("shardId-")) for shard in shards]


def open_ranges(kinesis: Kinesis) -> list[tuple[int, int]]:
    ranges = [shard["HashKeyRange"] for shard in kinesis.shards(ShardFilter={"Type": "AT_LATEST"})]
    return sorted((int(each["StartingHashKey"]), int(each["EndingHashKey"])) for each in ranges)


def assert_whole(kinesis: Kinesis) -> None:
    ranges = open_ranges(kinesis)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == HASH_KEYS - 1
    assert all(low[1] + 1 == high[0] for low, high in pairwise(ranges))


def assert_children_are_above_their_parents(kinesis: Kinesis) -> None:
    shards = {shard["ShardId"]: shard for shard in kinesis.shards()}
    for child in shards.values():
        for role in ("ParentShardId", "AdjacentParentShardId"):
            if role in child:
                parent = shards[child[role]]["SequenceNumberRange"]
                start = child["SequenceNumberRange"]["StartingSequenceNumber"]
                assert int(start) > int(parent["EndingSequenceNumber"])


def split(kinesis: Kinesis, shard: int, at: int) -> None:
    kinesis(
        "SplitShard",
        StreamName="pictures",
        ShardToSplit=f"shardId-{shard:012}",
        NewStartingHashKey=str(at),
    )


def test_a_stream_is_described_by_name_arn_or_both(kinesis: Kinesis) -> None:
    kinesis.stream(shards=2)
    by_name = kinesis("DescribeStreamSummary", StreamName="pictures")
    assert by_name == kinesis("DescribeStreamSummary", StreamARN=ARN)
    assert by_name == kinesis("DescribeStreamSummary", StreamARN=ARN, StreamName="pictures")
    assert by_name["StreamDescriptionSummary"] == {
        "StreamName": "pictures",
        "StreamARN": ARN,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "StreamCreationTimestamp": START / 1000,
        "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": 2,
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": 1024,
    }


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({}, "InvalidArgumentException"),
        ({"StreamName": "other", "StreamARN": ARN}, "InvalidArgumentException"),
        ({"StreamName": "other"}, "ResourceNotFoundException"),
        ({"StreamARN": ARN.replace("us-east-1", "eu-west-1")}, "ResourceNotFoundException"),
        ({"StreamARN": ARN.replace("000000000000", "1" * 12)}, "ResourceNotFoundException"),
    ],
)
def test_a_stream_that_is_not_named_or_not_there_is_refused(
    kinesis: Kinesis, request_: dict[str, str], name: str
) -> None:
    kinesis.stream()
    assert kinesis.refusal("DescribeStream", **request_).name == name


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"ShardCount": 1}, "ResourceInUseException"),
        ({"StreamName": "new", "ShardCount": 10_001}, "LimitExceededException"),
        ({"StreamName": "new"}, "InvalidArgumentException"),
        (
            {
                "StreamName": "new",
                "ShardCount": 1,
                "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            },
            "InvalidArgumentException",
        ),
        (
            {"StreamName": "new", "ShardCount": 1, "Tags": {str(n): "" for n in range(51)}},
            "InvalidArgumentException",
        ),
    ],
)
def test_a_stream_that_cannot_be_made_is_refused(
    kinesis: Kinesis, request_: dict[str, object], name: str
) -> None:
    kinesis.stream()
    assert kinesis.refusal("CreateStream", **{"StreamName": "pictures"} | request_).name == name


def test_an_on_demand_stream_has_four_shards_and_no_resharding(kinesis: Kinesis) -> None:
    kinesis("CreateStream", StreamName="pictures", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(kinesis.shards()) == 4
    refusal = kinesis.refusal(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=8,
        ScalingType="UNIFORM_SCALING",
    )
    assert refusal.name == "ValidationException"


def test_a_split_closes_the_parent_and_divides_its_keys(kinesis: Kinesis) -> None:
    kinesis.stream()
    [of_parent] = kinesis.put(b"before")
    split(kinesis, 0, 1 << 127)
    parent, low, high = kinesis.shards()
    assert low["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str((1 << 127) - 1)}
    assert high["ParentShardId"] == low["ParentShardId"] == parent["ShardId"]
    assert int(parent["SequenceNumberRange"]["EndingSequenceNumber"]) > int(of_parent)
    assert_whole(kinesis)
    assert_children_are_above_their_parents(kinesis)
    [of_child] = kinesis.put(b"after")
    assert int(of_child) > int(parent["SequenceNumberRange"]["EndingSequenceNumber"])


def test_a_closed_shard_is_read_to_its_end_and_names_its_children(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis.put(b"one", b"two")
    split(kinesis, 0, 1 << 127)
    first = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"), Limit=1)
    assert "ChildShards" not in first
    last = kinesis("GetRecords", ShardIterator=first["NextShardIterator"])
    assert len(last["Records"]) == 1
    assert "NextShardIterator" not in last
    assert last["MillisBehindLatest"] == 0
    assert ids(last["ChildShards"]) == [1, 2]
    assert last["ChildShards"][0]["ParentShards"] == ["shardId-000000000000"]


def test_a_merge_joins_neighbours(kinesis: Kinesis) -> None:
    kinesis.stream(shards=3)
    for pair in (("1", "2"), ("0", "3")):
        shard, adjacent = (f"shardId-{int(each):012}" for each in pair)
        kinesis(
            "MergeShards",
            StreamName="pictures",
            ShardToMerge=shard,
            AdjacentShardToMerge=adjacent,
        )
        assert_whole(kinesis)
    assert_children_are_above_their_parents(kinesis)
    end = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON", shard=3))
    assert end["ChildShards"][0]["ParentShards"] == [
        "shardId-000000000000",
        "shardId-000000000003",
    ]
    assert open_ranges(kinesis) == [(0, HASH_KEYS - 1)]


@pytest.mark.parametrize(
    ("shard", "at", "name"),
    [
        (0, 0, "InvalidArgumentException"),
        (0, 1, "InvalidArgumentException"),
        (0, (1 << 127) - 1, "InvalidArgumentException"),
        (0, 1 << 127, "InvalidArgumentException"),
        (7, 1 << 126, "ResourceNotFoundException"),
    ],
)
def test_a_split_that_leaves_a_part_empty_is_refused(
    kinesis: Kinesis, shard: int, at: int, name: str
) -> None:
    kinesis.stream(shards=2)
    refusal = kinesis.refusal(
        "SplitShard",
        StreamName="pictures",
        ShardToSplit=f"shardId-{shard:012}",
        NewStartingHashKey=str(at),
    )
    assert refusal.name == name


def test_shards_apart_the_same_or_closed_are_not_merged(kinesis: Kinesis) -> None:
    kinesis.stream(shards=3)
    split(kinesis, 1, 1 << 127)
    for pair in ((0, 2), (0, 0), (0, 1)):
        shard, adjacent = (f"shardId-{each:012}" for each in pair)
        refusal = kinesis.refusal(
            "MergeShards",
            StreamName="pictures",
            ShardToMerge=shard,
            AdjacentShardToMerge=adjacent,
        )
        assert refusal.name == "InvalidArgumentException"


@pytest.mark.parametrize("counts", [(4, 8), (4, 2), (3, 5), (5, 3), (4, 7, 13, 7, 4)])
def test_a_new_shard_count_leaves_even_shards_with_parents(
    kinesis: Kinesis, counts: tuple[int, ...]
) -> None:
    kinesis.stream(shards=counts[0])
    for current, target in pairwise(counts):
        answer = kinesis(
            "UpdateShardCount",
            StreamName="pictures",
            TargetShardCount=target,
            ScalingType="UNIFORM_SCALING",
        )
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (current, target)
        assert_whole(kinesis)
        assert len(open_ranges(kinesis)) == target
        assert_children_are_above_their_parents(kinesis)


@pytest.mark.parametrize("target", [9, 1])
def test_a_shard_count_over_double_or_under_half_is_refused(kinesis: Kinesis, target: int) -> None:
    kinesis.stream(shards=4)
    refusal = kinesis.refusal(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=target,
        ScalingType="UNIFORM_SCALING",
    )
    assert refusal.name == "InvalidArgumentException"


def test_resharding_while_the_clock_goes_back_keeps_children_above(kinesis: Kinesis) -> None:
    kinesis.stream()
    numbers = kinesis.put(b"one")
    kinesis.clock.now -= HOUR
    split(kinesis, 0, 1 << 127)
    split(kinesis, 1, 1 << 126)
    split(kinesis, 2, 3 << 126)
    numbers += kinesis.put(b"two")
    assert int(numbers[1]) > int(numbers[0])
    assert_children_are_above_their_parents(kinesis)


def test_shards_are_filtered_by_the_time_they_lived(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis.clock.now += 10 * SECOND
    split(kinesis, 0, 1 << 127)
    kinesis.clock.now += 10 * SECOND

    def listed(kind: str, **more: object) -> list[int]:
        return ids(kinesis.shards(ShardFilter={"Type": kind, **more}))

    before, after = START / 1000 + 5, START / 1000 + 15
    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2]
    assert listed("AT_TRIM_HORIZON") == [0]
    assert listed("AT_LATEST") == [1, 2]
    assert listed("AFTER_SHARD_ID", ShardId="shardId-000000000001") == [2]
    assert listed("AT_TIMESTAMP", Timestamp=before) == [0]
    assert listed("AT_TIMESTAMP", Timestamp=after) == [1, 2]
    assert listed("FROM_TIMESTAMP", Timestamp=before) == [0, 1, 2]
    assert listed("FROM_TIMESTAMP", Timestamp=after) == [1, 2]


@pytest.mark.parametrize(
    "shard_filter",
    [
        {"Type": "AFTER_SHARD_ID"},
        {"Type": "AT_TIMESTAMP"},
        {"Type": "AT_LATEST", "Timestamp": 1},
        {"Type": "AT_LATEST", "ShardId": "shardId-000000000000"},
        {"Type": "AFTER_SHARD_ID", "ShardId": "first"},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    kinesis: Kinesis, shard_filter: dict[str, object]
) -> None:
    kinesis.stream()
    refusal = kinesis.refusal("ListShards", StreamName="pictures", ShardFilter=shard_filter)
    assert refusal.name == "InvalidArgumentException"


def test_a_shard_closed_before_the_horizon_is_gone(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis.put(b"old")
    split(kinesis, 0, 1 << 127)
    kinesis.clock.now += 25 * HOUR
    assert ids(kinesis.shards()) == [1, 2]
    refusal = kinesis.refusal(
        "GetShardIterator",
        StreamName="pictures",
        ShardId="shardId-000000000000",
        ShardIteratorType="TRIM_HORIZON",
    )
    assert refusal.name == "ResourceNotFoundException"


def test_shards_are_listed_page_by_page_under_one_filter(kinesis: Kinesis) -> None:
    kinesis.stream(shards=5)
    split(kinesis, 0, 5)
    latest = {"Type": "AT_LATEST"}
    answer = kinesis("ListShards", StreamName="pictures", MaxResults=4, ShardFilter=latest)
    assert ids(answer["Shards"]) == [1, 2, 3, 4]
    token = answer["NextToken"]
    answer = kinesis("ListShards", NextToken=token)
    assert ids(answer["Shards"]) == [5, 6]
    assert "NextToken" not in answer
    for named in ({"StreamName": "pictures"}, {"StreamARN": ARN}, {"ShardFilter": latest}):
        together = kinesis.refusal("ListShards", NextToken=token, **named)
        assert together.name == "InvalidArgumentException"
    assert kinesis.refusal("ListShards", NextToken="x").name == "InvalidArgumentException"
    kinesis.clock.now += LIFETIME_MS + 1
    assert kinesis.refusal("ListShards", NextToken=token).name == "ExpiredNextTokenException"


def test_a_stream_of_another_creation_time_is_not_listed(kinesis: Kinesis) -> None:
    kinesis.stream()
    assert len(kinesis.shards(StreamCreationTimestamp=START / 1000)) == 1
    refusal = kinesis.refusal(
        "ListShards", StreamName="pictures", StreamCreationTimestamp=START / 1000 - 1
    )
    assert refusal.name == "ResourceNotFoundException"


def test_shards_are_described_page_by_page(kinesis: Kinesis) -> None:
    kinesis.stream(shards=3)
    first = kinesis("DescribeStream", StreamName="pictures", Limit=2)["StreamDescription"]
    assert (ids(first["Shards"]), first["HasMoreShards"]) == ([0, 1], True)
    rest = kinesis(
        "DescribeStream", StreamName="pictures", ExclusiveStartShardId="shardId-000000000001"
    )["StreamDescription"]
    assert (ids(rest["Shards"]), rest["HasMoreShards"]) == ([2], False)


def test_streams_are_listed_by_name_page_by_page(kinesis: Kinesis) -> None:
    for name in ("c", "a", "d", "b"):
        kinesis.stream(name)
    first = kinesis("ListStreams", Limit=2)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b"], True)
    assert first["StreamSummaries"][0]["StreamStatus"] == "ACTIVE"
    by_token = kinesis("ListStreams", NextToken=first["NextToken"])
    by_name = kinesis("ListStreams", ExclusiveStartStreamName="b")
    assert by_token["StreamNames"] == by_name["StreamNames"] == ["c", "d"]
    assert not by_name["HasMoreStreams"]
    assert "NextToken" not in by_name


def test_a_deleted_stream_is_gone_with_its_iterators_and_records(
    kinesis: Kinesis, store: Store
) -> None:
    kinesis.stream()
    kinesis.put(b"one", b"two")
    iterator = kinesis.iterator("TRIM_HORIZON")
    kinesis("DeleteStream", StreamName="pictures")
    assert kinesis.refusal("GetRecords", ShardIterator=iterator).name == "ResourceNotFoundException"
    kinesis.stream()
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == []
    assert kinesis.refusal("GetRecords", ShardIterator=iterator).name == "ResourceNotFoundException"
    assert sum(store.trim(kinesis.clock.now)) == 2
    kinesis.put(b"three")
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"three"]


def test_retention_moves_only_the_way_its_operation_says(kinesis: Kinesis) -> None:
    kinesis.stream()
    refused = [
        ("DecreaseStreamRetentionPeriod", 23),
        ("DecreaseStreamRetentionPeriod", 25),
    ]
    for operation, hours in refused:
        refusal = kinesis.refusal(operation, StreamName="pictures", RetentionPeriodHours=hours)
        assert refusal.name == "InvalidArgumentException"
    kinesis("IncreaseStreamRetentionPeriod", StreamName="pictures", RetentionPeriodHours=168)
    summary = kinesis("DescribeStreamSummary", StreamName="pictures")["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 168
    refusal = kinesis.refusal(
        "IncreaseStreamRetentionPeriod", StreamName="pictures", RetentionPeriodHours=100
    )
    assert refusal.name == "InvalidArgumentException"


def test_a_shorter_retention_trims_older_records(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis("IncreaseStreamRetentionPeriod", StreamName="pictures", RetentionPeriodHours=48)
    kinesis.put(b"old")
    kinesis.clock.now += 30 * HOUR
    kinesis.put(b"new")
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"old", b"new"]
    kinesis("DecreaseStreamRetentionPeriod", StreamName="pictures", RetentionPeriodHours=24)
    assert kinesis.data(kinesis.iterator("TRIM_HORIZON")) == [b"new"]


def test_tags_are_added_changed_listed_and_removed(kinesis: Kinesis) -> None:
    kinesis("CreateStream", StreamName="pictures", ShardCount=1, Tags={"a": "1"})
    kinesis("AddTagsToStream", StreamName="pictures", Tags={"b": "2", "a": "3"})
    kinesis("TagResource", ResourceARN=ARN, Tags={"c": ""})
    first = kinesis("ListTagsForStream", StreamName="pictures", Limit=1)
    assert first == {"Tags": [{"Key": "a", "Value": "3"}], "HasMoreTags": True}
    rest = kinesis("ListTagsForStream", StreamName="pictures", ExclusiveStartTagKey="a")
    assert rest["Tags"] == [{"Key": "b", "Value": "2"}, {"Key": "c", "Value": ""}]
    kinesis("RemoveTagsFromStream", StreamName="pictures", TagKeys=["a", "none"])
    kinesis("UntagResource", ResourceARN=ARN, TagKeys=["b"])
    assert kinesis("ListTagsForResource", ResourceARN=ARN) == {"Tags": [{"Key": "c", "Value": ""}]}


def test_a_stream_has_at_most_fifty_tags(kinesis: Kinesis) -> None:
    kinesis.stream()
    kinesis("AddTagsToStream", StreamName="pictures", Tags={str(n): "" for n in range(50)})
    kinesis("AddTagsToStream", StreamName="pictures", Tags={"7": "changed"})
    refusal = kinesis.refusal("AddTagsToStream", StreamName="pictures", Tags={"new": ""})
    assert refusal.name == "InvalidArgumentException"
