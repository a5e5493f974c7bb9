"""The backlog counts what a consumer has not processed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lockstep.local.kinesis.store import Store
from lockstep.stream.backlog import (
    Backlog,
    StreamCounts,
    UnknownBacklogError,
    backlog,
    counts,
    gaps,
)
from lockstep.stream.checkpoints import Gap
from tests.unit.kinesis.client import HOUR, SECOND, START, Kinesis

SHARD = "shardId-000000000000"


def test_all_records_of_a_shard_that_was_not_started_count(
    kinesis: Kinesis, database: Path
) -> None:
    kinesis.stream()
    kinesis.put(b"one", b"two")
    assert backlog(database, "pictures", {}) == Backlog(2, START)


def test_only_what_comes_after_the_last_processed_counts(kinesis: Kinesis, database: Path) -> None:
    kinesis.stream()
    [first] = kinesis.put(b"one")
    kinesis.clock.now += SECOND
    [second] = kinesis.put(b"two")
    assert backlog(database, "pictures", {SHARD: first}) == Backlog(1, START + SECOND)
    assert backlog(database, "pictures", {SHARD: second}) == Backlog(0, None)


def test_shards_are_added_up_and_the_oldest_counts(kinesis: Kinesis, database: Path) -> None:
    kinesis.stream(shards=4)
    keys = [str(number) for number in range(200)]
    records = [{"Data": "", "PartitionKey": key} for key in keys]
    kinesis("PutRecords", StreamName="pictures", Records=records)
    kinesis(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=2,
        ScalingType="UNIFORM_SCALING",
    )
    kinesis.clock.now += SECOND
    kinesis("PutRecords", StreamName="pictures", Records=records)
    assert backlog(database, "pictures", {}) == Backlog(400, START)


def test_what_was_trimmed_does_not_count(kinesis: Kinesis, store: Store, database: Path) -> None:
    kinesis.stream()
    [old, _] = kinesis.put(b"old", b"older")
    kinesis.clock.now += 25 * HOUR
    kinesis.put(b"new")
    list(store.trim(kinesis.clock.now))
    expected = Backlog(1, START + 25 * HOUR)
    assert backlog(database, "pictures", {}) == expected
    assert backlog(database, "pictures", {SHARD: old}) == expected


@pytest.mark.parametrize("trims", [True, False], ids=["removed", "expired, not yet removed"])
def test_what_was_removed_unread_is_a_gap_of_known_size(
    kinesis: Kinesis, store: Store, database: Path, *, trims: bool
) -> None:
    kinesis.stream()
    [first] = kinesis.put(b"one")
    kinesis.clock.now += SECOND
    kinesis.put(b"two", b"three")
    kinesis.clock.now += 25 * HOUR
    now = kinesis.clock.now / 1000
    if trims:
        list(store.trim(kinesis.clock.now))

    [found] = gaps(database, "pictures", {SHARD: first}, now=now)
    began, ended = START // 1000, (START + SECOND) / 1000
    assert found == Gap(SHARD, first, "", began, ended, 2)

    [fourth] = kinesis.put(b"four")
    [found] = gaps(database, "pictures", {SHARD: first}, now=now)
    assert found == Gap(SHARD, first, fourth, began, now, 2)
    [of_none] = gaps(database, "pictures", {}, now=now)
    assert of_none == Gap(SHARD, "", fourth, began, now, 3)
    assert gaps(database, "pictures", {SHARD: fourth}, now=now) == []


def test_what_was_processed_before_it_was_removed_is_no_gap(
    kinesis: Kinesis, database: Path
) -> None:
    kinesis.stream()
    [_, last] = kinesis.put(b"one", b"two")
    assert gaps(database, "pictures", {}, now=START / 1000) == []
    now = kinesis.expire()
    assert gaps(database, "pictures", {SHARD: last}, now=now) == []
    beyond = str(int(last) + (1 << 80))
    assert gaps(database, "pictures", {SHARD: beyond}, now=now) == []


def test_a_shard_that_expired_unread_after_a_reshard_is_a_gap_for_good(
    kinesis: Kinesis, database: Path
) -> None:
    kinesis.stream()
    [first, _] = kinesis.put(b"one", b"two")
    kinesis(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=2,
        ScalingType="UNIFORM_SCALING",
    )
    now = kinesis.expire()
    listed = kinesis("ListShards", StreamName="pictures")["Shards"]
    assert SHARD not in {shard["ShardId"] for shard in listed}

    [found] = gaps(database, "pictures", {SHARD: first}, now=now)
    assert (found.shard_id, found.after, found.before, found.records) == (SHARD, first, "", 1)


def position_in_a_deleted_stream(kinesis: Kinesis) -> str:
    """A position; the stream of the same name that is there now has one record."""
    kinesis.stream()
    [stale] = kinesis.put(b"one")
    kinesis("DeleteStream", StreamName="pictures")
    kinesis.clock.now += SECOND
    kinesis.stream()
    kinesis.put(b"two")
    return stale


def test_the_gap_of_a_stream_made_again_begins_with_its_shard(
    kinesis: Kinesis, database: Path
) -> None:
    stale = position_in_a_deleted_stream(kinesis)
    [found] = gaps(database, "pictures", {SHARD: stale}, now=kinesis.expire())
    assert (found.after, found.records) == ("", 1)


def test_a_position_in_a_stream_of_the_same_name_that_was_deleted_is_no_progress(
    kinesis: Kinesis, database: Path
) -> None:
    stale = position_in_a_deleted_stream(kinesis)
    assert backlog(database, "pictures", {SHARD: stale}).records == 1


def test_a_position_beyond_the_shard_is_no_progress(kinesis: Kinesis, database: Path) -> None:
    kinesis.stream()
    [_, last] = kinesis.put(b"one", b"two")
    beyond = str(int(last) + (1 << 80))
    assert backlog(database, "pictures", {SHARD: last}).records == 0
    assert backlog(database, "pictures", {SHARD: beyond}) == Backlog(2, START)


def test_a_file_that_is_damaged_behind_its_header_is_told_in_one_line(
    kinesis: Kinesis, store: Store, database: Path
) -> None:
    kinesis.stream()
    kinesis.put(b"one")
    store.close()
    page = int.from_bytes(database.read_bytes()[16:18])
    with closing(sqlite3.connect(database)) as opened:
        (root,) = opened.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'streams'"
        ).fetchone()
    with database.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    with pytest.raises(UnknownBacklogError, match=r"kinesis\.db: .*malformed") as told:
        backlog(database, "pictures", {})
    assert "\n" not in str(told.value)


def test_an_unknown_backlog_is_an_error_of_one_line(
    kinesis: Kinesis, database: Path, tmp_path: Path
) -> None:
    kinesis.stream()
    with pytest.raises(UnknownBacklogError, match="no stream other"):
        backlog(database, "other", {})
    with pytest.raises(UnknownBacklogError, match=r"missing\.db"):
        backlog(tmp_path / "missing.db", "pictures", {})
    assert not (tmp_path / "missing.db").exists()
    with pytest.raises(UnknownBacklogError, match="not a sequence number"):
        backlog(database, "pictures", {SHARD: "12"})


def test_what_arrived_and_what_was_processed_is_counted_by_shard(
    kinesis: Kinesis, store: Store, database: Path
) -> None:
    kinesis.stream()
    [first] = kinesis.put(b"one")
    kinesis.put(b"two", b"three")
    after = {"none": {}, "one": {SHARD: first}}
    found = counts(database, "pictures", after)
    assert found == StreamCounts({SHARD: 3}, (SHARD,), {"none": 0, "one": 1})
    # What was removed before somebody read it counts as processed: nobody will read it.
    kinesis.clock.now += 25 * HOUR
    kinesis.put(b"new")
    list(store.trim(kinesis.clock.now))
    found = counts(database, "pictures", after)
    assert found == StreamCounts({SHARD: 4}, (SHARD,), {"none": 3, "one": 3})


def test_a_closed_shard_still_counts_and_is_not_open(kinesis: Kinesis, database: Path) -> None:
    kinesis.stream()
    kinesis.put(b"one")
    kinesis(
        "UpdateShardCount",
        StreamName="pictures",
        TargetShardCount=2,
        ScalingType="UNIFORM_SCALING",
    )
    found = counts(database, "pictures", {})
    assert found.open_shards == ("shardId-000000000001", "shardId-000000000002")
    assert found.arrived == {SHARD: 1, **dict.fromkeys(found.open_shards, 0)}
