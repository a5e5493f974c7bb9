"""The producer against the local Kinesis endpoint, which throttles each shard as Kinesis does."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import msgspec
import pytest
from botocore.config import Config

from doors.encoding import encode_once
from lockstep.producing.producer import Producer, StreamRefusedError
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack, write_local
from shared.event import Event, decode
from tests.builders import decoded, image, image_event

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

STREAM = "lockstep-images"
# A request of 500 of these exceeds what both shards accept in a second, on any machine.
IMAGES, EVENTS = 600, 1500
LONG = image(description="x" * 4_500)
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "guides" / "producing.md"


@pytest.fixture
def kinesis(tmp_path: Path) -> Iterator["KinesisClient"]:
    """A client of an endpoint for one test, with a stream of two shards."""
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
                config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
            )
            encode_once(client, "PutRecords")
            client.create_stream(StreamName=STREAM, ShardCount=2)
            client.get_waiter("stream_exists").wait(
                StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
            )
            yield client
        finally:
            endpoint.send_signal(signal.SIGTERM)


def events_on(kinesis: "KinesisClient") -> list[Event]:
    """All events on the stream: shard by shard, in order."""
    found = []
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            try:
                answer = kinesis.get_records(ShardIterator=iterator)
            except kinesis.exceptions.ProvisionedThroughputExceededException:
                time.sleep(0.2)  # a shard allows five reads and 2 MiB per second
                continue
            found += [decode(record["Data"]) for record in answer["Records"]]
            if not answer["Records"] and answer["MillisBehindLatest"] == 0:
                break
            iterator = answer["NextShardIterator"]
    return found


def test_every_event_arrives_in_order_per_image_while_the_shards_throttle(
    kinesis: "KinesisClient",
) -> None:
    dice = random.Random(1)
    wanted: dict[str, list[int]] = {}
    source = []
    for version in range(1, EVENTS + 1):
        image_id = f"T{dice.randrange(IMAGES)}"
        wanted.setdefault(image_id, []).append(version)
        source.append(decoded(image_event(image_id, version, image=LONG)))
    report = Producer(kinesis, STREAM).put(source)
    found: dict[str, list[int]] = {}
    for event in events_on(kinesis):
        found.setdefault(event.image_id, []).append(event.version)
    assert found == wanted
    assert report.put == EVENTS
    assert report.resent > 0, "the shards did not throttle: the test proved nothing"


def test_a_missing_stream_is_reported_at_once(kinesis: "KinesisClient") -> None:
    with pytest.raises(StreamRefusedError, match="refuses the request: ResourceNotFoundException"):
        Producer(kinesis, "another").put([decoded(image_event())])


def describe_stack(kinesis: "KinesisClient", state: Path) -> None:
    """Describe a local stack of which only the stream exists."""
    nowhere = "http://127.0.0.1:9"
    endpoints = Endpoints(kinesis.meta.endpoint_url, nowhere, nowhere, nowhere)
    stack = Stack(endpoints, STREAM, "t", "i", "b", LOCAL_REGION, {}, str(state))
    write_local(stack, state)


def test_the_example_in_the_documentation_runs(kinesis: "KinesisClient", tmp_path: Path) -> None:
    (tmp_path / ".lockstep").mkdir()
    describe_stack(kinesis, tmp_path / ".lockstep")
    (example,) = re.findall(
        r"^```python\n(.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE
    )
    printed = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, check=True, timeout=60
    ).stdout
    assert printed == b"2 put\n"
    types = {event.image_id: event.type for event in events_on(kinesis)}
    assert types == {"4711": "image.uploaded", "4710": "image.deleted"}


def test_an_interrupted_put_says_how_much_is_put_and_what_to_do(
    kinesis: "KinesisClient", tmp_path: Path
) -> None:
    describe_stack(kinesis, tmp_path)
    command = [sys.executable, "-m", "lockstep", "put", "-", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as put:
        assert put.stdin is not None
        for number in (1, 2):
            put.stdin.write(msgspec.json.encode(image_event(f"T{number}")) + b"\n")
            put.stdin.flush()
            while len(events_on(kinesis)) < number:
                pass
        put.send_signal(signal.SIGINT)
        _, said = put.communicate(timeout=60)
    assert put.returncode == 130
    where, _, said = said.partition(b"\n")
    assert where.startswith(b"local stack ")
    # The second event is on the stream; its response may not have arrived.
    assert said.startswith((b"interrupted: 1 events are put;", b"interrupted: 2 events are put;"))
    assert b"Put the whole file again" in said
