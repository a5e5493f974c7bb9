"""The Kinesis Client Library (Java) on the local endpoints of Kinesis and DynamoDB.

It keeps its leases in DynamoDB, and takes about a minute until it reads: so it runs at night.
"""

import subprocess
from pathlib import Path

import pytest

from tests.contract.kinesis.server import client_of, running
from tools.java_client import JAVA
from tools.kinesis_java import KINESIS

FIRST, LATER = "shardId-000000000000", "shardId-000000000002"


@pytest.mark.parametrize("how", ["push", "poll"])
def test_it_reads_through_a_split(tmp_path: Path, dynamodb_endpoint: str, how: str) -> None:
    """With "push" it uses SubscribeToShard, with "poll" GetRecords."""
    stream = f"pictures-{how}"
    (tmp_path / "classes").mkdir()
    program = [*JAVA, "-cp", KINESIS.compile_into(tmp_path / "classes"), "Consumer"]
    with running(tmp_path / "kinesis.db") as server, client_of(server.url) as client:
        client.create_stream(StreamName=stream, ShardCount=1)
        for data in (b"one", b"two"):
            client.put_record(StreamName=stream, Data=data, PartitionKey="k")
        with subprocess.Popen(
            [*program, server.url, dynamodb_endpoint, stream, how],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as consumer:
            assert consumer.stdout is not None
            seen = [consumer.stdout.readline().strip()]
            client.split_shard(
                StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(1 << 127)
            )
            put = client.put_record(StreamName=stream, Data=b"last", PartitionKey="k")
            # The program ends by itself after two minutes, whatever happens.
            seen += [line.strip() for line in consumer.stdout]
        consumers = client.list_stream_consumers(
            StreamARN=f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
        )["Consumers"]
    assert put["ShardId"] == LATER
    assert seen == [
        f"read {FIRST} one",
        f"read {FIRST} two",
        f"read {LATER} last",
        f"ended [{FIRST}]",
    ]
    assert consumer.returncode == 0
    # The library registers a consumer only if records are pushed to it.
    assert len(consumers) == (how == "push")
