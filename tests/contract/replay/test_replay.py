"""What one store lost comes back from the stream, by the operator's commands."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.local.mapping import invocation
from lockstep.local.ports import free_ports
from lockstep.producing.producer import Producer
from lockstep.replay.progress import PREFIX, ProgressFiles
from lockstep.stack.stack import write_local
from lockstep.stores.objects import BucketObjects
from lockstep.stream.shards import HASH_KEYS
from lockstep.stream.stream import TrimHorizon
from lockstep.stream.table import TableStream, latest_stream
from shared.change import Change
from shared.event import MAX_EVENT_BYTES
from shared.outcome import Applied, Outcome
from tests.builders import decoded, image, image_event
from tests.contract.kinesis.server import running
from tests.contract.redrive.conftest import Stage
from tests.flow.scenario import Name, Troubled

LOST = 200
PATIENCE_SECONDS = 120.0  # a busy machine is slow, not broken


class Faulty:
    """A sink with a bug: it acknowledges changes that it does not write."""

    longest_send = 0.1

    def requests(self, changes: Sequence[Change]) -> Sequence[Sequence[Change]]:
        return [changes]

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:  # noqa: ARG002 - the protocol
        return [Applied() for _ in changes]

    def check(self) -> None:
        pass


def put(stage: Stage, events: Sequence[dict[str, Any]]) -> None:
    Producer(stage.clients.kinesis, stage.stack.stream).put(decoded(event) for event in events)


def lost_events() -> list[dict[str, Any]]:
    """New images, updates and deletions: `LOST` events."""
    new = [image_event(f"new{number}", 5) for number in range(LOST - 80)]
    changed = [image_event(f"T{number}", 5, "image.updated") for number in range(60)]
    deleted = [image_event(f"T{number}", 6, "image.deleted") for number in range(60, 80)]
    return [*new, *changed, *deleted]


def lose(stage: Stage, consumer: Name) -> str:
    """Both stores have 80 images; then a consumer loses all events. Returns since when."""
    put(stage, [image_event(f"T{number}", 4) for number in range(80)])
    stage.drain()
    since = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    put(stage, lost_events())
    sink = stage.consumers[consumer].sink
    stage.consumers[consumer].sink = Troubled(Faulty())
    stage.drain()
    stage.consumers[consumer].sink = sink
    return since


def differences(stage: Stage) -> dict[str, int]:
    """What an audit finds."""
    result = stage.lockstep("audit", "--watermark", "1", "--json")
    assert result.exit_code in (0, 1), result.output
    found: dict[str, int] = msgspec.json.decode(result.stdout)["differences"]
    return found


def everything(stage: Stage) -> Any:
    """All that both stores and the bucket hold."""
    clients, stack = stage.clients, stage.stack
    clients.opensearch.indices.refresh(index=stack.index)
    found = clients.opensearch.search(index=stack.index, body={"size": 1000, "version": True})
    documents = {hit["_id"]: (hit["_version"], hit["_source"]) for hit in found["hits"]["hits"]}
    items = {
        item["image_id"]["S"]: item
        for item in clients.dynamodb.scan(TableName=stack.table)["Items"]
    }
    return documents, items, stage.keys("")


def quarantined(stage: Stage) -> dict[str, bytes]:
    """The objects in quarantine, by key."""
    s3, bucket = stage.clients.s3, stage.stack.bucket
    keys = stage.keys("quarantine/")
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize(
    ("consumer", "found", "store"),
    [
        ("write_to_dynamodb", {"missing_in_table": 120, "table_behind": 80}, "table"),
        ("write_to_es", {"missing_in_index": 120, "index_behind": 80}, "index"),
    ],
)
def test_what_a_consumer_lost_comes_back_from_the_stream(
    stage: Stage, consumer: Name, found: dict[str, int], store: str
) -> None:
    since = lose(stage, consumer)
    assert differences(stage) == found
    if store == "table":
        # The index is ahead: the audit names the time.
        printed = stage.lockstep("audit", "--watermark", "1").stdout
        since = printed.partition("`lockstep replay --since ")[2].partition(" ")[0]
    shown = stage.answer("replay", "--since", since)
    assert (shown["records"], shown["span"]["complete"]) == (LOST, True)
    assert differences(stage) == found
    done = stage.answer("replay", "--since", since, "--rate", "10000", "--apply")
    assert done["records"] == LOST
    assert done["outcomes"].pop(store) == {"Applied": LOST}
    assert list(done["outcomes"].values()) == [{"Duplicate": LOST}]
    assert differences(stage) == {}
    assert stage.names("new7") == {"new7 at version 5"}
    assert stage.names("T7") == {"T7 at version 5"}
    assert stage.names("T77") == {None}
    before = everything(stage)
    again = stage.answer("replay", "--since", since, "--rate", "10000", "--apply")
    assert again["outcomes"] == {"table": {"Duplicate": LOST}, "index": {"Duplicate": LOST}}
    assert everything(stage) == before


def test_it_writes_both_stores_from_the_image_stream_where_the_index_is_fed_from_the_table(
    stage: Stage,
) -> None:
    clients, stack = stage.clients, stage.stack
    clients.dynamodb.update_table(
        TableName=stack.table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    stage.stack = msgspec.structs.replace(stack, index_from="DynamoDBStreams")
    write_local(stage.stack, stage.state)
    arn = latest_stream(clients.dynamodb, stack.table)
    by_index = stage.consumers["write_to_es"]
    by_index.stream = TableStream(clients.dynamodbstreams, arn, clients.stack.region)
    by_index.entry = invocation.table_entry
    by_index.place = msgspec.structs.replace(by_index.place, stream_arn=arn)
    since = lose(stage, "write_to_dynamodb")
    # The index knows only what the table knows, so both lack the same.
    assert stage.names("new7") == {None}
    done = stage.answer("replay", "--since", since, "--rate", "10000", "--apply")
    assert done["outcomes"] == {"table": {"Applied": LOST}, "index": {"Applied": LOST}}
    assert stage.names("new7") == {"new7 at version 5"}
    before = everything(stage)
    by_index.drain(now=0.0)
    assert everything(stage) == before


def test_after_a_kill_half_way_it_resumes_and_ends_the_same(stage: Stage) -> None:
    since = lose(stage, "write_to_dynamodb")
    words = ["replay", "--since", since, "--rate", "20", "--apply", "--state", str(stage.state)]
    child = subprocess.Popen(
        [sys.executable, "-m", "lockstep", *words], stderr=subprocess.PIPE, text=True
    )
    files = ProgressFiles(BucketObjects(stage.clients.s3, stage.stack.bucket))
    records = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not records:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.1)
            records = sum(progress.records for _, progress in files.all())
    finally:
        os.kill(child.pid, signal.SIGKILL)
        _, said = child.communicate()
    (_, progress) = next(files.all())
    records = progress.records
    assert 0 < records < LOST
    (unfinished,) = stage.answer("replay", "--since", "1m")["unfinished"]
    assert (unfinished["id"] in said, unfinished["records"]) == (True, records)
    resumed = ["replay", "--resume", unfinished["id"], "--rate", "10000"]
    assert stage.answer(*resumed)["records"] == LOST - records
    done = stage.answer(*resumed, "--apply")
    assert done["records"] == LOST
    assert sum(done["outcomes"]["table"].values()) == LOST
    assert differences(stage) == {}
    assert stage.keys(PREFIX) == []
    gone = stage.lockstep(*resumed, "--apply")
    assert (gone.exit_code, len(gone.stderr.splitlines())) == (2, 2)
    assert "no unfinished replay has the ID" in gone.stderr


def test_poison_and_conflicts_are_quarantined_once_and_not_again_after_a_redrive(
    stage: Stage,
) -> None:
    put(stage, [image_event("T1", 7, image=image("first"))])
    stage.drain()
    stage.put_raw(b"no event", "bad")
    stage.put_raw(image_event("T1", 7, image=image("second")), "T1")
    # The consumers are off: the replay quarantines what they would.
    done = stage.answer("replay", "--since", "1h", "--apply")
    counts = {"Duplicate": 1, "Quarantined": 2}
    assert done["outcomes"] == {"table": counts, "index": counts}
    by_replay = quarantined(stage)
    assert len(by_replay) == 4
    stage.drain()
    stage.answer("replay", "--since", "1h", "--apply")
    assert quarantined(stage) == by_replay
    (conflict,) = stage.answer("quarantine", "list", "--image", "T1")["cases"]
    stage.answer("redrive", "--choose", "stored", conflict["id"], "--apply")
    left = stage.keys("quarantine/")
    assert len(left) == 2
    again = stage.answer("replay", "--since", "1h", "--apply")
    assert stage.keys("quarantine/") == left
    assert (again["redriven"], again["outcomes"]) == (2, done["outcomes"])
    assert stage.names("T1") == {"first"}


def test_after_a_split_and_a_merge_the_events_of_an_image_stay_in_order(stage: Stage) -> None:
    kinesis, name = stage.clients.kinesis, stage.stack.stream

    def put_all(version: int) -> None:
        # The same version with other content each time: only the first is not a conflict.
        for number in range(40):
            image_id = f"T{number}"
            event = image_event(image_id, 1, image=image(f"{image_id}, {version}"))
            stage.put_raw(event, image_id)

    put_all(1)
    first, second = stage.stream.shards()
    kinesis.split_shard(
        StreamName=name, ShardToSplit=first.shard_id, NewStartingHashKey=str(HASH_KEYS // 4)
    )
    put_all(2)
    _, _, _, right = stage.stream.shards()
    kinesis.merge_shards(
        StreamName=name, ShardToMerge=right.shard_id, AdjacentShardToMerge=second.shard_id
    )
    put_all(3)
    assert len(stage.stream.shards()) == 5
    assert stage.answer("replay", "--since", "1h")["records"] == 120
    done = stage.answer("replay", "--since", "1h", "--rate", "10000", "--apply")
    assert done["outcomes"]["table"] == {"Applied": 40, "Quarantined": 80}
    assert all(stage.names(f"T{number}") == {f"T{number}, 1"} for number in range(40))


def test_a_shard_that_is_throttled_is_read_to_its_end(stage: Stage, tmp_path: Path) -> None:
    kinesis, state = tmp_path / "limited.db", tmp_path / "limited"
    port = ("--port", str(free_ports(["kinesis"], {})["kinesis"]))
    with running(kinesis, *port) as server:
        endpoints = msgspec.structs.replace(stage.stack.endpoints, kinesis=server.url)
        state.mkdir()
        limited = Stage(endpoints, state)
        # 26 MB: more than two shards give in a read. The next read must wait for 5 seconds.
        # The white space is on the stream only: engines take long for so much text.
        for number in range(100):
            data = msgspec.json.encode(image_event(f"T{number}"))
            limited.put_raw(data.ljust(MAX_EVENT_BYTES), f"T{number}")
    with running(kinesis, *port, "--limits"):
        for shard in limited.stream.shards():
            assert limited.stream.reader(shard.shard_id, TrimHorizon()).read(1_000).records
        result = limited.lockstep("replay", "--since", "1h", "--rate", "10000", "--apply")
    assert result.exit_code == 0, result.output
    assert "waiting, then trying again: " in result.stderr
    assert "Rate exceeded for shard" in result.stderr
    assert "100 records settled in both stores" in result.stdout
    assert all(None not in limited.names(f"T{number}") for number in range(100))


def test_what_the_stream_does_not_hold_is_told(stage: Stage) -> None:
    put(stage, [image_event("T1", 1)])
    (oldest,) = [
        read.records[0].arrived_at
        for shard in stage.stream.shards()
        if (read := stage.stream.reader(shard.shard_id, TrimHorizon()).read(1)).records
    ]
    at = dt.datetime.fromtimestamp(oldest / 1000, dt.UTC).isoformat(timespec="milliseconds")
    told = at.replace("+00:00", "Z")
    for words in ([], ["--apply"]):
        result = stage.lockstep("replay", "--since", "40d", *words)
        assert result.exit_code == 1, result.output
        assert "NOT replayed: records from " in result.stdout
        assert "\nif there were any, " in result.stdout
        assert "over 30 days old\n" in result.stdout
    shown = stage.lockstep("replay", "--since", at)
    assert shown.exit_code == 0, shown.output
    assert f"the stream holds records from {told} on" in shown.stdout
    assert stage.names("T1") == {"T1 at version 1"}


def test_a_misconfiguration_is_one_line_and_nothing_is_lost(stage: Stage) -> None:
    put(stage, [image_event("T1", 1)])
    alias = stage.stack.index
    index = next(iter(stage.clients.opensearch.indices.get_alias(name=alias)))
    stage.clients.opensearch.indices.delete_alias(index=index, name=alias)
    result = stage.lockstep("replay", "--since", "1h", "--apply")
    assert result.exit_code == 2, result.output
    where, started, interrupted, again, line = result.stderr.splitlines()
    assert where.startswith("local stack ")
    assert alias in line
    assert interrupted == "not finished: 0 records replayed"
    assert again.startswith("continue with `lockstep replay --resume ")
    resume = started.partition("`lockstep ")[2].partition("`")[0].split()
    stage.clients.opensearch.indices.put_alias(index=index, name=alias)
    assert stage.lockstep(*resume[:-2]).exit_code == 0
    assert stage.names("T1") == {"T1 at version 1"}


def test_a_stream_that_does_not_exist_is_one_line(stage: Stage) -> None:
    stage.stack = msgspec.structs.replace(stage.stack, stream="nothing")
    write_local(stage.stack, stage.state)
    for words in ([], ["--apply"]):
        result = stage.lockstep("replay", "--since", "1h", *words)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1 + len(words))
        assert "stream nothing:" in result.stderr
    assert stage.keys(PREFIX) == []
