"""Markers on a real stream, through both consumers into both real stores."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstep.local.engines.pins import EngineName
from lockstep.stack.probe import Probe, ProbeError, marker_id
from lockstep.stack.stack import Endpoints
from lockstep.stack.status import Probed
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stream.kinesis import OpenShard
from lockstep.stream.stream import TrimHorizon
from shared.quarantine import CONSUMERS
from tests.builders import clock, image, image_event
from tests.contract.kinesis.server import running as server_on
from tests.contract.redrive.conftest import Stage
from tests.flow.scenario import Name

SECONDS = 60.0


class Waiting:
    """The time of a probe: while it waits, the consumers deliver what is on the stream."""

    def __init__(self, stage: Stage, consumers: Sequence[Name], *, ahead: float) -> None:
        self._stage, self._consumers, self._ahead = stage, consumers, ahead
        self._elapsed = 0.0

    def sleep(self, seconds: float) -> None:
        self._elapsed += seconds
        for name in self._consumers:
            self._stage.consumers[name].drain(now=0.0)

    def elapsed(self) -> float:
        return self._elapsed

    def now(self) -> float:
        return time.time() + self._ahead


def probe(
    stage: Stage,
    *consumers: Name,
    shards: Callable[[], Sequence[OpenShard]] | None = None,
    ahead: float = 0.0,
) -> Probed:
    """A probe while these consumers run; all if none is named."""
    waiting = Waiting(stage, consumers or (*stage.consumers,), ahead=ahead)
    found = Probe(
        stage.clients.kinesis,
        stage.stack.stream,
        shards=shards or stage.stream.open_shards,
        stores={
            "write_to_dynamodb": table_reader(stage.clients),
            "write_to_es": index_reader(stage.clients),
        },
        clock=clock(now=waiting.now, elapsed=waiting.elapsed, sleep=waiting.sleep),
    )
    return found.run(SECONDS, 1.0)


@pytest.fixture
def stages(
    kinesis_endpoint: str, engine: Callable[[EngineName], str], tmp_path: Path
) -> Callable[[int], Stage]:
    at = Endpoints(kinesis_endpoint, engine("dynamodb"), engine("opensearch"), engine("s3"))
    return lambda shards: Stage(at, tmp_path, shards=shards)


def shards_of_records(stage: Stage) -> set[str]:
    """The shards on which there is a record."""
    return {
        one.shard_id
        for one in stage.stream.shards()
        if stage.stream.reader(one.shard_id, TrimHorizon()).read(1).records
    }


@pytest.mark.parametrize("shards", [1, 4])
def test_each_shard_gets_a_marker_and_no_reader_finds_it(
    stages: Callable[[int], Stage], shards: int
) -> None:
    stage = stages(shards)
    stage.put_raw(image_event("T1", 1, image=image("Thames")), "T1")
    found = probe(stage)
    assert (found.shards, [*found.in_store_of]) == (shards, [*CONSUMERS])
    ids = {marker_id(one.shard_id) for one in stage.stream.open_shards()}
    assert len(shards_of_records(stage)) == shards
    for reader in (table_reader(stage.clients), index_reader(stage.clients)):
        entries = reader.lookup(sorted(ids))
        assert entries.keys() == ids
        assert all(one.deleted and one.expires_at for one in entries.values())
    stage.clients.opensearch.indices.refresh(index=stage.stack.index)
    assert stage.clients.opensearch.count(index=stage.stack.live)["count"] == 1
    audit = stage.answer("audit")
    assert (audit["result"], audit["table"], audit["index"]) == ("equal", shards + 1, shards + 1)
    # The next probe uses the same ids.
    assert [*probe(stage).in_store_of] == [*CONSUMERS]
    assert stage.answer("audit")["table"] == shards + 1
    assert stage.keys("quarantine/") == []


def test_after_a_split_the_children_get_markers(stages: Callable[[int], Stage]) -> None:
    stage = stages(1)
    (parent,) = stage.stream.open_shards()
    assert probe(stage).shards == 1
    stage.clients.kinesis.split_shard(
        StreamName=stage.stack.stream, ShardToSplit=parent.shard_id, NewStartingHashKey=str(2**127)
    )
    stage.clients.kinesis.get_waiter("stream_exists").wait(StreamName=stage.stack.stream)
    found = probe(stage)
    assert (found.shards, [*found.in_store_of]) == (2, [*CONSUMERS])
    assert len(shards_of_records(stage)) == 3
    assert stage.answer("audit")["result"] == "equal"


def test_a_split_between_the_list_and_a_marker_brings_another_marker(
    stages: Callable[[int], Stage],
) -> None:
    """The marker of the closed shard comes to a child, so the other child would have none."""
    stage = stages(1)
    (parent,) = stage.stream.open_shards()
    stage.clients.kinesis.split_shard(
        StreamName=stage.stack.stream, ShardToSplit=parent.shard_id, NewStartingHashKey=str(2**127)
    )
    stage.clients.kinesis.get_waiter("stream_exists").wait(StreamName=stage.stack.stream)
    listed = iter([[parent]])
    found = probe(stage, shards=lambda: next(listed, stage.stream.open_shards()))
    assert (found.shards, [*found.in_store_of]) == (2, [*CONSUMERS])


@pytest.mark.parametrize("runs", CONSUMERS)
def test_a_consumer_that_is_stuck_is_named_in_time(
    stages: Callable[[int], Stage], runs: Name
) -> None:
    found = probe(stages(2), runs)
    assert ([*found.in_store_of], found.seconds) == ([runs], SECONDS)


def test_a_clock_that_was_ahead_hinders_no_later_probe(stages: Callable[[int], Stage]) -> None:
    stage = stages(1)
    assert [*probe(stage, ahead=3600.0).in_store_of] == [*CONSUMERS]
    assert [*probe(stage).in_store_of] == [*CONSUMERS]


def test_an_image_of_a_producer_is_never_deleted(stages: Callable[[int], Stage]) -> None:
    stage = stages(1)
    (shard,) = stage.stream.open_shards()
    reserved = marker_id(shard.shard_id)
    stage.put_raw(image_event(reserved, 1, image=image("Mine")), reserved)
    stage.drain()
    with pytest.raises(ProbeError, match=rf"an image has the id {reserved}"):
        probe(stage)
    assert stage.names(reserved) == {"Mine"}


@contextmanager
def running(stage: Stage) -> Iterator[None]:
    """Both consumers, until the end of the block."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            stage.drain()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def local(engine: Callable[[EngineName], str], tmp_path: Path) -> Iterator[Callable[[int], Stage]]:
    """With a stream of its own, whose file the command reads."""
    with server_on(tmp_path / "kinesis.db") as server:
        at = Endpoints(server.url, engine("dynamodb"), engine("opensearch"), engine("s3"))
        yield lambda shards: Stage(at, tmp_path, shards=shards)


def test_the_command_shows_that_both_consumers_have_caught_up(
    local: Callable[[int], Stage],
) -> None:
    stage = local(4)
    with running(stage):
        found = stage.lockstep("status", "--wait", "60", "--probe")
    assert found.exit_code == 0, found.output
    assert "markers on 4 shards: in both stores after " in found.stdout


def test_the_command_ends_in_time_if_a_consumer_is_stuck(local: Callable[[int], Stage]) -> None:
    found = local(1).lockstep("status", "--wait", "1", "--probe")
    assert found.exit_code == 1, found.output
    words = "markers on 1 shard: not written by write_to_dynamodb and write_to_es after "
    assert words in found.stdout
