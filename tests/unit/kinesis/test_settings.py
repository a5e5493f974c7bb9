"""The mode and the encryption of a stream, and the quotas of the account, as AWS documents them.

API: https://docs.aws.amazon.com/kinesis/latest/APIReference/
"""

from pathlib import Path
from typing import Any

import pytest

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.operations import account
from lockstep.local.kinesis.store import Store
from lockstep.stream.shards import uniform
from tests.unit.kinesis.client import HOUR, SECOND, START, Kinesis

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"
KEY = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}


def described(kinesis: Kinesis) -> dict[str, Any]:
    answer = kinesis("DescribeStreamSummary", StreamName="pictures")
    summary: dict[str, Any] = answer["StreamDescriptionSummary"]
    return summary


def change_mode(kinesis: Kinesis, mode: str) -> None:
    kinesis("UpdateStreamMode", StreamARN=ARN, StreamModeDetails={"StreamMode": mode})


def encryption_of_records(kinesis: Kinesis) -> list[str | None]:
    answer = kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"))
    return [record.get("EncryptionType") for record in answer["Records"]]


def test_a_stream_changes_its_mode_and_keeps_its_shards(kinesis: Kinesis) -> None:
    """Source: API_UpdateStreamMode.html; a stream that changes to provisioned keeps its shards:
    https://docs.aws.amazon.com/streams/latest/dev/switchingmodes.html
    """
    kinesis.stream(shards=3)
    change_mode(kinesis, "ON_DEMAND")
    assert described(kinesis)["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    change_mode(kinesis, "PROVISIONED")
    assert described(kinesis)["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert described(kinesis)["OpenShardCount"] == 3


def test_a_mode_changes_twice_in_a_day(kinesis: Kinesis) -> None:
    """Source: https://docs.aws.amazon.com/streams/latest/dev/switchingmodes.html"""
    kinesis.stream()
    for mode in ("PROVISIONED", "ON_DEMAND", "ON_DEMAND", "PROVISIONED"):
        change_mode(kinesis, mode)
    on_demand = {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    refusal = kinesis.refusal("UpdateStreamMode", **on_demand)
    assert refusal.name == "LimitExceededException"
    kinesis.clock.now += 24 * HOUR
    change_mode(kinesis, "ON_DEMAND")


def test_warm_throughput_is_refused(kinesis: Kinesis) -> None:
    kinesis.stream()
    refusal = kinesis.refusal(
        "UpdateStreamMode",
        StreamARN=ARN,
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
        WarmThroughputMiBps=10,
    )
    assert refusal.name == "InvalidArgumentException"


def test_answers_name_the_encryption_that_each_record_has(kinesis: Kinesis) -> None:
    """Source: API_StartStreamEncryption.html, API_StopStreamEncryption.html, API_Record.html and
    API_PutRecord.html. The clock stands still: no record takes the encryption of another.
    """
    kinesis.stream()
    kinesis.put(b"plain")
    kinesis("StartStreamEncryption", StreamName="pictures", **KEY)
    assert described(kinesis)["EncryptionType"] == "KMS"
    assert described(kinesis)["KeyId"] == "alias/aws/kinesis"
    record = {"PartitionKey": "k", "Data": b"secret"}
    assert kinesis("PutRecord", StreamName="pictures", **record)["EncryptionType"] == "KMS"
    kinesis("StopStreamEncryption", StreamARN=ARN, **KEY)
    many = kinesis("PutRecords", StreamName="pictures", Records=[record])
    assert "EncryptionType" not in many
    assert encryption_of_records(kinesis) == [None, "KMS", None]
    assert described(kinesis)["EncryptionType"] == "NONE"
    assert "KeyId" not in described(kinesis)
    kinesis("StartStreamEncryption", StreamARN=ARN, **KEY)
    many = kinesis("PutRecords", StreamName="pictures", Records=[record])
    assert many["EncryptionType"] == "KMS"
    assert encryption_of_records(kinesis) == [None, "KMS", None, "KMS"]


@pytest.mark.parametrize("operation", ["StartStreamEncryption", "StopStreamEncryption"])
def test_the_only_encryption_type_is_kms(kinesis: Kinesis, operation: str) -> None:
    """Source: API_StartStreamEncryption.html, API_StopStreamEncryption.html."""
    kinesis.stream()
    none = KEY | {"EncryptionType": "NONE"}
    refusal = kinesis.refusal(operation, StreamName="pictures", **none)
    assert refusal.name == "InvalidArgumentException"
    other = KEY | {"EncryptionType": "AES"}
    refusal = kinesis.refusal(operation, StreamName="pictures", **other)
    assert refusal.name == "ValidationException"


def test_a_key_is_applied_25_times_in_a_day(kinesis: Kinesis) -> None:
    """Source: API_StartStreamEncryption.html."""
    kinesis.stream()
    for number in range(25):
        kinesis("StartStreamEncryption", StreamName="pictures", **KEY | {"KeyId": str(number)})
        kinesis.clock.now += SECOND
    refusal = kinesis.refusal("StartStreamEncryption", StreamName="pictures", **KEY)
    assert refusal.name == "LimitExceededException"
    assert described(kinesis)["KeyId"] == "24"
    kinesis("StopStreamEncryption", StreamName="pictures", **KEY)
    kinesis.clock.now += 24 * HOUR
    kinesis("StartStreamEncryption", StreamName="pictures", **KEY)


def test_the_limits_of_the_account_and_what_is_used(kinesis: Kinesis) -> None:
    """Source: API_DescribeLimits.html, and the defaults in us-east-1:
    https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
    """
    kinesis.stream(shards=3)
    kinesis("CreateStream", StreamName="other", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.stream("deleted")
    kinesis("DeleteStream", StreamName="deleted")
    assert kinesis("DescribeLimits") == {
        "ShardLimit": 20_000,
        "OpenShardCount": 7,
        "OnDemandStreamCount": 1,
        "OnDemandStreamCountLimit": 50,
    }


def test_an_account_has_at_most_fifty_streams_on_demand(kinesis: Kinesis) -> None:
    """Source: as above."""
    on_demand = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    kinesis.stream()
    for number in range(50):
        kinesis("CreateStream", StreamName=f"stream-{number}", **on_demand)
    refused = [
        kinesis.refusal("CreateStream", StreamName="one-more", **on_demand),
        kinesis.refusal("UpdateStreamMode", StreamARN=ARN, **on_demand),
    ]
    assert [each.name for each in refused] == ["LimitExceededException"] * 2


def test_an_account_has_at_most_twenty_thousand_shards(kinesis: Kinesis, store: Store) -> None:
    """Source: as above."""
    kinesis.stream()
    rest = account.MAX_ACCOUNT_SHARDS - 1
    for number in range(2):
        store.create_stream(
            f"large-{number}",
            uniform(rest // 2 + number),
            mode="PROVISIONED",
            max_record_kib=1024,
            tags={},
            now=START,
        )
    refused = [
        kinesis.refusal("CreateStream", StreamName="one-more", ShardCount=1),
        kinesis.refusal(
            "SplitShard",
            StreamName="pictures",
            ShardToSplit="shardId-000000000000",
            NewStartingHashKey=str(1 << 127),
        ),
        kinesis.refusal(
            "UpdateShardCount",
            StreamName="pictures",
            TargetShardCount=2,
            ScalingType="UNIFORM_SCALING",
        ),
    ]
    assert [each.name for each in refused] == ["LimitExceededException"] * 3
    assert kinesis("DescribeLimits")["OpenShardCount"] == account.MAX_ACCOUNT_SHARDS


def test_settings_survive_a_restart(kinesis: Kinesis, store: Store, database: Path) -> None:
    kinesis.stream()
    kinesis.put(b"plain")
    kinesis("StartStreamEncryption", StreamName="pictures", **KEY)
    kinesis.put(b"secret")
    change_mode(kinesis, "ON_DEMAND")
    change_mode(kinesis, "PROVISIONED")
    before = described(kinesis)
    store.close()
    with Store.open(database) as again:
        endpoint = kinesis.endpoint
        restarted = Kinesis(
            Endpoint(again, endpoint.now, endpoint.limits, endpoint.region, endpoint.account)
        )
        assert described(restarted) == before
        assert encryption_of_records(restarted) == [None, "KMS"]
        on_demand = {"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
        refusal = restarted.refusal("UpdateStreamMode", **on_demand)
        assert refusal.name == "LimitExceededException"
