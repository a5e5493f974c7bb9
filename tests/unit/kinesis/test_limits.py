"""A shard takes and gives what Kinesis says, and no more."""

import base64

from tests.unit.kinesis.client import SECOND, Kinesis


def batch(count: int, size: int = 1) -> list[dict[str, str]]:
    data = base64.b64encode(b"x" * size).decode()
    return [{"Data": data, "PartitionKey": "k"}] * count


def test_a_shard_takes_a_thousand_records_in_a_second(limited: Kinesis) -> None:
    limited.stream()
    for _ in range(2):
        answer = limited("PutRecords", StreamName="pictures", Records=batch(500))
        assert answer["FailedRecordCount"] == 0
    refusal = limited.refusal("PutRecord", StreamName="pictures", Data="", PartitionKey="k")
    assert refusal.name == "ProvisionedThroughputExceededException"
    assert "shardId-000000000000" in refusal.message
    limited.clock.now += SECOND
    limited("PutRecord", StreamName="pictures", Data="", PartitionKey="k")


def test_throttled_records_are_told_one_by_one_and_later_ones_may_pass(limited: Kinesis) -> None:
    limited.stream()
    large, small = batch(1, size=600 * 1024), batch(1)
    answer = limited("PutRecords", StreamName="pictures", Records=[*large, *large, *small])
    assert answer["FailedRecordCount"] == 1
    first, second, third = answer["Records"]
    assert second["ErrorCode"] == "ProvisionedThroughputExceededException"
    assert second["ErrorMessage"].startswith("Rate exceeded for shard shardId-000000000000")
    assert "SequenceNumber" not in second
    assert int(third["SequenceNumber"]) > int(first["SequenceNumber"])


def test_another_shard_is_not_throttled(limited: Kinesis) -> None:
    limited.stream(shards=2)
    high = str(1 << 127)
    records = [{"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"}] * 500
    for _ in range(2):
        limited("PutRecords", StreamName="pictures", Records=records)
    other = [{"Data": "", "PartitionKey": "k", "ExplicitHashKey": high}]
    answer = limited("PutRecords", StreamName="pictures", Records=[records[0], *other])
    assert ["ErrorCode" in each for each in answer["Records"]] == [True, False]


def test_a_shard_gives_five_reads_in_a_second(limited: Kinesis) -> None:
    limited.stream()
    iterator = limited.iterator("TRIM_HORIZON")
    for _ in range(5):
        limited("GetRecords", ShardIterator=iterator)
    refusal = limited.refusal("GetRecords", ShardIterator=iterator)
    assert refusal.name == "ProvisionedThroughputExceededException"
    limited.clock.now += SECOND // 5
    limited("GetRecords", ShardIterator=iterator)


def test_a_large_read_succeeds_and_blocks_the_reads_of_the_next_seconds(limited: Kinesis) -> None:
    limited.stream()
    for _ in range(6):
        limited("PutRecords", StreamName="pictures", Records=batch(1, size=1024 * 1023))
        limited.clock.now += SECOND
    iterator = limited.iterator("TRIM_HORIZON")
    assert len(limited.data(iterator)) == 6
    limited.clock.now += SECOND
    refusal = limited.refusal("GetRecords", ShardIterator=iterator)
    assert refusal.name == "ProvisionedThroughputExceededException"
    limited.clock.now += 2 * SECOND
    assert len(limited.data(iterator)) == 6


def test_a_clock_that_goes_back_adds_no_tokens(limited: Kinesis) -> None:
    limited.stream()
    for _ in range(2):
        limited("PutRecords", StreamName="pictures", Records=batch(500))
    limited.clock.now -= 5 * SECOND
    refusal = limited.refusal("PutRecord", StreamName="pictures", Data="", PartitionKey="k")
    assert refusal.name == "ProvisionedThroughputExceededException"
