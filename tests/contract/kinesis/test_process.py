"""The process: it loses nothing it acknowledged, throttles when told to, and ends cleanly."""

import signal
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.stream.backlog import backlog
from tests.contract.kinesis.server import Server, client_of, running

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from types_boto3_kinesis import KinesisClient

WRITERS = 4
BATCH = 20


class Writer(threading.Thread):
    """Puts batches until the server is gone; `acknowledged` holds what was answered."""

    def __init__(self, url: str, name: str, enough: threading.Semaphore) -> None:
        super().__init__()
        self._url, self._prefix, self._enough = url, name, enough
        self.acknowledged: dict[str, str] = {}

    def run(self) -> None:
        with client_of(self._url) as client:
            batch = 0
            while True:
                ids = [f"{self._prefix}/{batch}/{number}" for number in range(BATCH)]
                try:
                    answer: Mapping[str, Any] = client.put_records(
                        StreamName="pictures",
                        Records=[{"Data": each.encode(), "PartitionKey": each} for each in ids],
                    )
                except (BotoCoreError, ClientError):
                    return
                # Killed between head and body of an answer, boto3 makes it an empty success.
                if "Records" not in answer:
                    return
                numbers = [each["SequenceNumber"] for each in answer["Records"]]
                self.acknowledged |= dict(zip(ids, numbers, strict=True))
                self._enough.release()
                batch += 1


def everything(client: "KinesisClient") -> dict[str, str]:
    found: dict[str, str] = {}
    for shard in client.list_shards(StreamName="pictures")["Shards"]:
        position = client.get_shard_iterator(
            StreamName="pictures", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while True:
            answer = client.get_records(ShardIterator=position)
            found |= {each["Data"].decode(): each["SequenceNumber"] for each in answer["Records"]}
            if not answer["Records"]:
                break
            position = answer["NextShardIterator"]
    return found


def test_a_kill_in_the_middle_of_puts_loses_nothing_acknowledged(tmp_path: Path) -> None:
    database = tmp_path / "kinesis.db"
    acknowledged: dict[str, str] = {}
    for life in range(3):
        with running(database) as server:
            with client_of(server.url) as client:
                if life == 0:
                    client.create_stream(StreamName="pictures", ShardCount=2)
            enough = threading.Semaphore(0)
            writers = [Writer(server.url, f"{life}-{each}", enough) for each in range(WRITERS)]
            for writer in writers:
                writer.start()
            for _ in range(60):
                assert enough.acquire(timeout=60)
            server.end(signal.SIGKILL)
            for writer in writers:
                writer.join()
                acknowledged |= writer.acknowledged
    with running(database) as server, client_of(server.url) as client:
        found = everything(client)
    assert len(acknowledged) >= 3 * 60 * BATCH
    assert acknowledged.items() <= found.items()
    batches = Counter(each.rpartition("/")[0] for each in found)
    assert set(batches.values()) == {BATCH}, "a batch is stored whole or not at all"


def test_the_backlog_is_counted_while_the_server_writes(tmp_path: Path) -> None:
    database = tmp_path / "kinesis.db"
    with running(database) as server, client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        answer = client.put_records(
            StreamName="pictures",
            Records=[{"Data": b"", "PartitionKey": "k"}] * 500,
        )
        done = answer["Records"][99]
        found = backlog(database, "pictures", {done["ShardId"]: done["SequenceNumber"]})
        assert found.records == 400
        assert found.oldest_arrival is not None
        assert server.process.poll() is None


def test_memory_does_not_grow_with_what_is_stored(tmp_path: Path) -> None:
    with running(tmp_path / "kinesis.db") as server, client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        for _ in range(15):
            client.put_records(
                StreamName="pictures",
                Records=[{"Data": b"x" * 1_000_000, "PartitionKey": "k"}] * 10,
            )
        assert list(everything(client)) == ["x" * 1_000_000]
        memory = psutil.Process(server.process.pid).memory_info().rss
    assert memory < 100 * 1024 * 1024


def test_an_iterator_is_good_after_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "kinesis.db"
    with running(database) as server, client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        client.put_record(StreamName="pictures", Data=b"1", PartitionKey="k")
        position = client.get_shard_iterator(
            StreamName="pictures",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
    with running(database) as server, client_of(server.url) as client:
        assert len(client.get_records(ShardIterator=position)["Records"]) == 1


def test_consumers_and_settings_survive_a_kill(tmp_path: Path) -> None:
    database = tmp_path / "kinesis.db"
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"
    with running(database) as server, client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        client.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
        client.start_stream_encryption(StreamName="pictures", EncryptionType="KMS", KeyId="k")
        client.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        server.end(signal.SIGKILL)
    with running(database) as server, client_of(server.url) as client:
        [consumer] = client.list_stream_consumers(StreamARN=arn)["Consumers"]
        assert consumer["ConsumerName"] == "reader"
        summary = client.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
        assert (summary["EncryptionType"], summary["KeyId"]) == ("KMS", "k")
        assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
        assert summary["ConsumerCount"] == 1


def test_limits_throttle_records_and_reads(tmp_path: Path) -> None:
    with running(tmp_path / "kinesis.db", "--limits") as server, client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        # Three megabytes at once are more than any pause between requests lets in.
        answer = client.put_records(
            StreamName="pictures",
            Records=[{"Data": b"x" * 300_000, "PartitionKey": "k"}] * 10,
        )
        failed = [each for each in answer["Records"] if "ErrorCode" in each]
        assert len(failed) == answer["FailedRecordCount"] == 7
        assert {each["ErrorCode"] for each in failed} == {"ProvisionedThroughputExceededException"}
        with pytest.raises(client.exceptions.ProvisionedThroughputExceededException):
            put_until_refused(client)


def put_until_refused(client: "KinesisClient") -> None:
    for _ in range(100):
        client.put_record(StreamName="pictures", Data=b"x" * 1_000_000, PartitionKey="k")


def test_it_answers_to_local_names_only(tmp_path: Path) -> None:
    with running(tmp_path / "kinesis.db") as server:
        port = server.url.rpartition(":")[2]
        for name in ("evil.example", f"127.0.0.1.evil.example:{port}"):
            answer = urllib3.request("GET", f"{server.url}/health", headers={"Host": name})
            expected = f"the Host header names {name}: use localhost or 127.0.0.1\n"
            assert (answer.status, answer.data.decode()) == (421, expected)
        for name in ("127.0.0.1", f"localhost:{port}", f"kinesis.localhost:{port}", "[::1]:1"):
            answer = urllib3.request("GET", f"{server.url}/health", headers={"Host": name})
            assert answer.status == 200
        with (
            client_of(f"http://localhost:{port}") as client,
            client_of(server.url) as renamed,
        ):
            client.create_stream(StreamName="pictures", ShardCount=1)
            renamed.meta.events.register("before-send.kinesis", name_evil)
            with pytest.raises(ClientError, match=r"\(421\).*names evil.example: use localhost"):
                renamed.list_streams()
            assert client.list_streams()["StreamNames"] == ["pictures"]


def name_evil(request: "AWSPreparedRequest", **_other: object) -> None:
    request.headers["Host"] = "evil.example"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(tmp_path: Path, how: signal.Signals) -> None:
    server = Server(tmp_path / "kinesis.db")
    with client_of(server.url) as client:
        client.create_stream(StreamName="pictures", ShardCount=1)
        assert server.end(how) == (0, "")


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path / "first.db") as server:
        port = server.url.rpartition(":")[2]
        with pytest.raises(AssertionError, match=f"cannot listen on port {port}"):
            Server(tmp_path / "second.db", "--port", port)


def test_an_unusable_database_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"cannot use the database: .*missing"):
        Server(tmp_path / "missing" / "kinesis.db")
