"""The losses of a local stack, from its checkpoints and from the endpoint's file."""

import datetime as dt
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from lockstep.local.mapping.invocation import mapping_uuid, stream_arn
from lockstep.stack.local_losses import feeding, local_losses, stopped_consumers
from lockstep.stack.stack import REPLICA_CONSUMER, IndexFrom, LocalReplica, Stack, write_local
from lockstep.stream.checkpoints import Checkpoints, Gap, MappingProgress, read_mappings
from lockstep.stream.losses import Loss
from tests.builders import deployed_stack
from tests.unit.kinesis.client import SECOND, START, Kinesis

SHARD = "shardId-000000000000"
BEGAN = dt.datetime.fromtimestamp(START // 1000, dt.UTC)


def stack_of(index_from: IndexFrom = "Kinesis") -> Stack:
    return deployed_stack(
        stream="pictures", region="us-east-1", index_from=index_from, changes_stream="changes"
    )


@contextmanager
def mapping(folder: Path, function: str, stream: str = "pictures") -> Iterator[Checkpoints]:
    arn = stream_arn(stream, "us-east-1")
    path, uuid = folder / "checkpoints.db", mapping_uuid(function, arn)
    with closing(Checkpoints(path, uuid=uuid, function=function, stream_arn=arn)) as opened:
        yield opened


def loss(consumer: str, after: str, records: int | None, seconds: int) -> Loss:
    until = BEGAN + dt.timedelta(seconds=seconds)
    return Loss(consumer, BEGAN, until, records, "pictures", SHARD, after)


@pytest.fixture
def put(kinesis: Kinesis) -> list[str]:
    """Three records: at the start, and two a second later."""
    kinesis.stream()
    [first] = kinesis.put(b"one")
    kinesis.clock.now += SECOND
    return [first, *kinesis.put(b"two", b"three")]


def test_both_consumers_lose_the_same(kinesis: Kinesis, put: list[str], tmp_path: Path) -> None:
    """Both mappings are stopped, and the stream removes what they have not read."""
    for name in ("write_to_dynamodb", "write_to_es"):
        with mapping(tmp_path, name) as checkpoints:
            checkpoints.advance(SHARD, put[0])
    assert local_losses(tmp_path, stack_of(), now=kinesis.clock.now / 1000) == []

    found = local_losses(tmp_path, stack_of(), now=kinesis.expire())
    assert found == [
        loss("write_to_dynamodb", put[0], 2, 1),
        loss("write_to_es", put[0], 2, 1),
    ]


def test_a_gap_stays_a_loss_when_the_mapping_has_read_on(
    kinesis: Kinesis, put: list[str], tmp_path: Path
) -> None:
    now = kinesis.expire()
    [fourth] = kinesis.put(b"four")
    with mapping(tmp_path, "write_to_es") as checkpoints:
        checkpoints.advance(SHARD, put[0])
        before = local_losses(tmp_path, stack_of(), now=now)
        checkpoints.lost(Gap(SHARD, put[0], fourth, START // 1000, now, 2))
        stored = local_losses(tmp_path, stack_of(), now=now)
        checkpoints.advance(SHARD, fourth)
        after = local_losses(tmp_path, stack_of(), now=now)

    assert before == stored == after
    (one,) = after
    assert (one.records, one.after) == (2, put[0])


def test_a_stored_gap_that_grew_meanwhile_is_told_as_it_is_now(
    kinesis: Kinesis, put: list[str], tmp_path: Path
) -> None:
    now = kinesis.expire()
    with mapping(tmp_path, "write_to_es") as checkpoints:
        checkpoints.advance(SHARD, put[0])
        checkpoints.lost(Gap(SHARD, put[0], put[2], START // 1000, now, 1))
        (one,) = local_losses(tmp_path, stack_of(), now=now)

    assert one.records == 2


def test_a_mapping_that_no_longer_feeds_its_store_loses_nothing_more(
    kinesis: Kinesis, put: list[str], tmp_path: Path
) -> None:
    """The index is fed from the table's changes now; what its old mapping has stored stays."""
    now = kinesis.expire()
    gap = Gap(SHARD, "7", "9", START // 1000, START / 1000, 1)
    with mapping(tmp_path, "write_to_es") as checkpoints:
        checkpoints.advance(SHARD, put[0])
        assert len(local_losses(tmp_path, stack_of(), now=now)) == 1
        assert local_losses(tmp_path, stack_of("DynamoDBStreams"), now=now) == []
        checkpoints.lost(gap)

    found = local_losses(tmp_path, stack_of("DynamoDBStreams"), now=now)
    assert [one.after for one in found] == ["7"]


def test_the_index_loses_what_its_stream_of_changes_removed(
    kinesis: Kinesis, tmp_path: Path
) -> None:
    kinesis.stream("changes")
    kinesis.put(b"one", stream="changes")
    now = kinesis.expire()
    with mapping(tmp_path, "write_to_es", "changes"):
        found = local_losses(tmp_path, stack_of("KinesisDataStreamsForDynamoDB"), now=now)
    assert [(one.stream, one.records, one.after) for one in found] == [("changes", 1, "")]


@pytest.mark.parametrize(
    ("created_after", "lost"), [(-1, 0), (2, 1)], ids=["it took over", "it came too late"]
)
def test_what_another_mapping_of_the_consumer_has_read_is_no_loss(
    kinesis: Kinesis, put: list[str], tmp_path: Path, *, created_after: int, lost: int
) -> None:
    """The index was fed from the table's changes while the stream removed records."""
    now = kinesis.expire()
    with mapping(tmp_path, "write_to_es") as checkpoints:
        checkpoints.advance(SHARD, put[0])
    assert len(local_losses(tmp_path, stack_of(), now=now)) == 1
    with mapping(tmp_path, "write_to_es", "changes"):
        pass
    began = START / 1000
    with closing(sqlite3.connect(tmp_path / "checkpoints.db")) as file, file:
        file.execute("UPDATE mappings SET created_at = ?", (began + created_after,))
        file.execute("UPDATE runs SET stopped_at = ?, seen_at = ?", (began, now))
    assert len(local_losses(tmp_path, stack_of(), now=now)) == lost


def test_a_mapping_that_has_not_read_for_minutes_is_not_running(tmp_path: Path) -> None:
    """It says once a minute that it reads. Right after a start, it has not said so yet."""
    write_local(stack_of(), tmp_path)
    with mapping(tmp_path, "write_to_es"), mapping(tmp_path, "write_to_es", "changes"):
        pass
    (seen_at, _) = (one.seen_at for one in read_mappings(tmp_path / "checkpoints.db"))
    stack_file = tmp_path / "stack.json"

    def stopped(*, seconds: float, started: float) -> list[tuple[str, str]]:
        os.utime(stack_file, (seen_at - started,) * 2)
        found = stopped_consumers(tmp_path, stack_of(), now=seen_at + seconds)
        assert all(one.since == dt.datetime.fromtimestamp(int(seen_at), dt.UTC) for one in found)
        return [(one.consumer, one.state) for one in found]

    assert stopped(seconds=179.0, started=60.0) == []
    assert stopped(seconds=181.0, started=60.0) == [("write_to_es", "not running")]
    assert stopped(seconds=86_400.0, started=-86_300.0) == []


def test_of_all_mappings_one_of_each_function_feeds_its_store() -> None:
    def progress(function: str, arn: str, created_at: float) -> MappingProgress:
        return MappingProgress(arn, function, arn, created_at, 0.0, 0.0, {}, ())

    images, changes = (stream_arn(name, "us-east-1") for name in ("pictures", "changes"))
    table = "arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/2026-11-2"
    found = [
        progress("write_to_dynamodb", images, 1.0),
        progress("write_to_es", f"{table}2", 4.0),
        progress("write_to_es", f"{table}1", 3.0),
        progress("write_to_es", images, 1.0),
        progress("write_to_es", changes, 2.0),
        progress("forwarder", f"{table}1", 2.0),
    ]

    def by_function(index_from: IndexFrom) -> dict[str, str]:
        return {name: one.stream_arn for name, one in feeding(found, stack_of(index_from)).items()}

    of_table = {"write_to_dynamodb": images}
    assert by_function("Kinesis") == of_table | {"write_to_es": images}
    assert by_function("DynamoDBStreams") == of_table | {"write_to_es": f"{table}2"}
    assert by_function("KinesisDataStreamsForDynamoDB") == of_table | {
        "write_to_es": changes,
        "forwarder": f"{table}1",
    }


def test_the_consumer_of_a_replica_counts_only_if_the_stack_has_one() -> None:
    arn = "arn:aws:dynamodb:ddblocal:000000000000:table/t/stream/2026-11-2"
    found = [MappingProgress(arn, REPLICA_CONSUMER, arn, 1.0, 0.0, 0.0, {}, ())]
    stack = stack_of()
    assert feeding(found, stack) == {}
    with_replica = msgspec.structs.replace(stack, replica=LocalReplica("r", "b"))
    assert feeding(found, with_replica) == {REPLICA_CONSUMER: found[0]}


def test_without_a_mapping_there_is_no_loss(kinesis: Kinesis, tmp_path: Path) -> None:
    kinesis.stream()
    assert local_losses(tmp_path, stack_of(), now=START / 1000) == []
