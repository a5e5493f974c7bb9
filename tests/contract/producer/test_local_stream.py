"""The producer against the local Kinesis endpoint, which throttles each shard as Kinesis does."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from lockstep.producer import Producer, StreamRefusedError
from shared.event import Event, decode
from tests.builders import decoded, image_event

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

STREAM = "lockstep-images"
IMAGES = 800


@pytest.fixture
def kinesis(tmp_path: Path) -> Iterator["KinesisClient"]:
    """A client of an endpoint of its own, with the stream in two shards."""
    database = tmp_path / "kinesis.db"
    command = [sys.executable, "-m", "lockstep.local.kinesis", "--limits"]
    command += ["--database", str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as endpoint:
        try:
            assert endpoint.stdout is not None
            client = boto3.client(
                "kinesis",
                endpoint_url=endpoint.stdout.readline().split()[-1],
                region_name="us-east-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": 1}),
            )
            client.create_stream(StreamName=STREAM, ShardCount=2)
            client.get_waiter("stream_exists").wait(
                StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
            )
            yield client
        finally:
            endpoint.send_signal(signal.SIGTERM)


def events_on(kinesis: "KinesisClient") -> list[Event]:
    """All that is on the stream, shard by shard, each in its order."""
    found = []
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = kinesis.get_records(ShardIterator=iterator)
            found += [decode(record["Data"]) for record in answer["Records"]]
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
            iterator = answer["NextShardIterator"]
    return found


def test_throttled_by_its_shards_every_event_arrives_in_order_per_image(
    kinesis: "KinesisClient",
) -> None:
    dice = random.Random(1)
    wanted: dict[str, list[int]] = {}
    source = []
    for version in range(1, 5001):
        image_id = f"T{dice.randrange(IMAGES)}"
        wanted.setdefault(image_id, []).append(version)
        source.append(decoded(image_event(image_id, version)))
    report = Producer(kinesis, STREAM).put(source)
    found: dict[str, list[int]] = {}
    for event in events_on(kinesis):
        found.setdefault(event.image_id, []).append(event.version)
    assert found == wanted
    assert report.put == 5000
    assert report.resent > 0, "the shards did not throttle: this test showed nothing"


def test_a_stream_that_is_not_there_is_said_at_once(kinesis: "KinesisClient") -> None:
    with pytest.raises(StreamRefusedError, match="refuses: ResourceNotFoundException"):
        Producer(kinesis, "another").put([decoded(image_event())])
