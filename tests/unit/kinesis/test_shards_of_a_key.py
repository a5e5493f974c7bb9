"""The shards of one partition key, across splits and merges, and what they hold."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.stream.backlog import UnknownBacklogError, stored
from lockstep.stream.kinesis import KeyShards, KinesisStream
from tests.unit.kinesis.client import SECOND, START, Kinesis

KEYS = [f"T{number}" for number in range(50)]


def shards_of(kinesis: Kinesis, key: str) -> KeyShards:
    client: Any = SimpleNamespace(list_shards=lambda **asked: kinesis("ListShards", **asked))
    return KinesisStream(client, "pictures").shards_of(key)


def put_all(kinesis: Kinesis) -> dict[str, str]:
    """Put a record of each key; returns the shard that took it."""
    records = [{"Data": "", "PartitionKey": key} for key in KEYS]
    answer = kinesis("PutRecords", StreamName="pictures", Records=records)
    return {key: one["ShardId"] for key, one in zip(KEYS, answer["Records"], strict=True)}


def scaled(kinesis: Kinesis, count: int) -> None:
    kinesis.clock.now += SECOND
    kinesis(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=count,
        ScalingType="UNIFORM_SCALING",
    )


def test_a_key_has_the_shards_that_took_its_records_the_oldest_first(kinesis: Kinesis) -> None:
    kinesis.stream(shards=2)
    taken = [put_all(kinesis)]
    for count in (4, 2):
        scaled(kinesis, count)
        taken.append(put_all(kinesis))
    for key in KEYS:
        found = shards_of(kinesis, key)
        chain = [shard.shard_id for shard in found.chain]
        places = [chain.index(one[key]) for one in taken]
        assert places == sorted(places)
        assert places[-1] == len(chain) - 1
        assert found.share == 0.5
        for below, shard in enumerate(found.chain):
            assert shard.parents & set(chain[below:]) == set()


def test_what_the_shards_hold_is_counted_from_a_time_on(kinesis: Kinesis, database: Path) -> None:
    kinesis.stream(shards=2)
    first = put_all(kinesis)
    scaled(kinesis, 4)
    put_all(kinesis)
    of_one = shards_of(kinesis, KEYS[0])
    names = {shard.shard_id for shard in of_one.chain}
    now = kinesis.clock.now / 1000
    records, size = stored(database, "pictures", names, since=None, now=now)
    neighbours = [key for key, shard in first.items() if shard == of_one.chain[0].shard_id]
    assert len(neighbours) < records < 2 * len(neighbours)
    assert 2 * records <= size <= 3 * records  # the keys, without data
    later, _ = stored(database, "pictures", names, since=START / 1000 + 0.5, now=now)
    assert later == records - len(neighbours)
    assert stored(database, "pictures", [], since=None, now=now) == (0, 0)
    with pytest.raises(UnknownBacklogError):
        stored(database, "other", names, since=None, now=now)
