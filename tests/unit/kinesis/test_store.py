"""What was stored is there when the file is opened again."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.store import Store
from lockstep.stream.kinesis_file import UnusableDatabaseError
from lockstep.stream.shards import HashRange, Split, uniform
from tests.unit.kinesis.client import START, Kinesis


def test_streams_records_and_iterators_survive_a_restart(
    kinesis: Kinesis, store: Store, database: Path
) -> None:
    kinesis.stream()
    numbers = kinesis.put(b"one")
    iterator = kinesis.iterator("TRIM_HORIZON")
    store.close()
    with Store.open(database) as again:
        endpoint = kinesis.endpoint
        restarted = Kinesis(
            Endpoint(again, endpoint.now, endpoint.limits, endpoint.region, endpoint.account)
        )
        assert restarted.data(iterator) == [b"one"]
        numbers += restarted.put(b"two")
        assert int(numbers[1]) > int(numbers[0])


def test_a_file_of_release_0_1_0_is_used_further(
    kinesis: Kinesis, store: Store, database: Path
) -> None:
    kinesis.stream()
    kinesis.put(b"one")
    store.close()
    with closing(sqlite3.connect(database)) as older, older:
        for table in ("consumers", "consumer_tags", "encryption", "mode_changes"):
            older.execute(f"DROP TABLE {table}")
    with Store.open(database) as again:
        endpoint = kinesis.endpoint
        restarted = Kinesis(
            Endpoint(again, endpoint.now, endpoint.limits, endpoint.region, endpoint.account)
        )
        assert restarted.data(restarted.iterator("TRIM_HORIZON")) == [b"one"]
        arn = endpoint.arn("pictures")
        restarted("RegisterStreamConsumer", StreamARN=arn, ConsumerName="reader")
        listed = restarted("ListStreamConsumers", StreamARN=arn)["Consumers"]
        assert [each["ConsumerName"] for each in listed] == ["reader"]


def test_what_was_put_is_synced_before_it_counts(store: Store, database: Path) -> None:
    del store
    # SQLite's own words: 1 is NORMAL, which syncs a write-ahead log at checkpoints only.
    with Store.open(database) as opened:
        (level,) = opened._sql.execute("PRAGMA synchronous").fetchone()  # noqa: SLF001  # no power to cut in a test
    assert level == 2


def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE t (x)")
    before = file.read_bytes()
    with pytest.raises(UnusableDatabaseError, match="not a database of the Kinesis endpoint"):
        Store.open(file)
    assert file.read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    file.write_text("not a database, but long enough to have a header of a hundred bytes" * 3)
    for unusable in (file, tmp_path / "missing" / "kinesis.db"):
        with pytest.raises(UnusableDatabaseError, match=str(unusable)):
            Store.open(unusable)


def test_resharding_that_fails_halfway_changes_nothing(store: Store) -> None:
    store.create_stream(
        "s", uniform(1), mode="PROVISIONED", max_record_kib=1024, tags={}, now=START
    )
    stream = store.find_stream("s")
    assert stream is not None
    [whole] = uniform(1)
    steps = [Split(whole, 1 << 127), Split(HashRange(5, 9), 7)]
    with pytest.raises(ValueError, match="no open shard has the range"):
        store.reshard(stream, steps, START)
    assert [shard.range for shard in store.shards(stream)] == [whole]
