"""The AWS CLI against the endpoint, as a person would type it: version 1 and version 2."""

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

CLI_1 = Path(__file__).parents[3] / ".tools" / "awscli" / "bin" / "aws"

type Aws = Callable[..., Any]


def version_1() -> tuple[str, ...]:
    assert CLI_1.exists(), f"the AWS CLI is missing at {CLI_1}: run `make wire`, which brings it"
    return (str(CLI_1),)


def version_2() -> tuple[str, ...]:
    """PyPI has no version 2; Debian's package `awscli` has."""
    found = shutil.which("aws")
    if found is None or b"aws-cli/2" not in subprocess.check_output([found, "--version"]):
        pytest.skip("the AWS CLI 2 is not installed: on Debian, apt-get install awscli")
    return (found, "--cli-binary-format", "raw-in-base64-out")


@pytest.fixture(params=[version_1, version_2], ids=lambda version: version.__name__)
def aws(kinesis_endpoint: str, request: pytest.FixtureRequest) -> Aws:
    command = request.param()
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

    def run(operation: str, *arguments: str) -> Any:
        where = ("--endpoint-url", kinesis_endpoint, "--region", "us-east-1", "--output", "json")
        done = subprocess.run(
            [*command, *where, "kinesis", operation, *arguments],
            env=os.environ | credentials,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return msgspec.json.decode(done.stdout) if done.stdout else None

    return run


def test_the_aws_cli_puts_describes_and_reads(aws: Aws, stream: Callable[[int], str]) -> None:
    name = stream(1)
    named = ("--stream-name", name)
    first = aws("put-record", *named, "--partition-key", "T02680", "--data", "one")
    entries = ["Data=two,PartitionKey=T02680", "Data=three,PartitionKey=T02680"]
    assert aws("put-records", *named, "--records", *entries)["FailedRecordCount"] == 0
    summary = aws("describe-stream-summary", *named)["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 1)
    [shard] = aws("list-shards", *named)["Shards"]
    position = aws(
        "get-shard-iterator",
        *named,
        *("--shard-id", shard["ShardId"], "--shard-iterator-type", "TRIM_HORIZON"),
    )["ShardIterator"]
    records = aws("get-records", "--shard-iterator", position)["Records"]
    assert [base64.b64decode(each["Data"]) for each in records] == [b"one", b"two", b"three"]
    assert records[0]["SequenceNumber"] == first["SequenceNumber"]


def test_the_aws_cli_registers_a_consumer_and_changes_settings(
    aws: Aws, stream: Callable[[int], str]
) -> None:
    """The AWS CLI leaves out SubscribeToShard, because it cannot show events."""
    name = stream(1)
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    key = ("--encryption-type", "KMS", "--key-id", "alias/aws/kinesis")
    aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "reader")
    aws("start-stream-encryption", "--stream-name", name, *key)
    aws("update-stream-mode", "--stream-arn", arn, "--stream-mode-details", "StreamMode=ON_DEMAND")
    summary = aws("describe-stream-summary", "--stream-name", name)["StreamDescriptionSummary"]
    assert summary["ConsumerCount"] == 1
    assert summary["EncryptionType"] == "KMS"
    assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
