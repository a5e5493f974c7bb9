"""The AWS CLI against the endpoint, as a person would type it."""

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

AWS = Path(__file__).parents[3] / ".tools" / "awscli" / "bin" / "aws"

type Aws = Callable[..., Any]


@pytest.fixture
def aws(kinesis_endpoint: str) -> Aws:
    assert AWS.exists(), f"the AWS CLI is missing at {AWS}: run `make contract`, which brings it"
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

    def run(command: str, *arguments: str) -> Any:
        where = ("--endpoint-url", kinesis_endpoint, "--region", "us-east-1", "--output", "json")
        done = subprocess.run(
            [str(AWS), *where, "kinesis", command, *arguments],
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
