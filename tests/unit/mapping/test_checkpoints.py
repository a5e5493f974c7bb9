"""Checkpoints are on disk before they count, and readable by others at any time."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lockstep.stream.checkpoints import (
    Checkpoint,
    Checkpoints,
    CheckpointsError,
    Gap,
    covered,
    read_mappings,
)
from tests.checkpoints import read_checkpoints


def opened(path: Path, function: str = "write_to_es") -> Checkpoints:
    return Checkpoints(path, uuid=f"uuid of {function}", function=function, stream_arn="arn")


def gap(
    shard: str, after: str = "", *, before: str = "", until: float = 9.0, records: int | None = None
) -> Gap:
    return Gap(shard, after, before, 5.0, until, records)


def test_a_restart_finds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "checkpoints.db"
    with closing(opened(path)) as checkpoints:
        checkpoints.advance("shard-0", "9")
        checkpoints.advance("shard-0", "10")
        checkpoints.advance("shard-1", "7")
        created_at = checkpoints.created_at()

    with closing(opened(path)) as checkpoints:
        assert checkpoints.all() == {
            "shard-0": Checkpoint("10", ended=False),
            "shard-1": Checkpoint("7", ended=False),
        }
        assert checkpoints.created_at() == created_at


def test_a_shard_that_is_read_to_its_end_is_marked(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "c.db")) as checkpoints:
        checkpoints.advance("read", "9")
        checkpoints.end("read", "1")
        checkpoints.end("empty", "2")

        assert checkpoints.all() == {
            "read": Checkpoint("9", ended=True),
            "empty": Checkpoint("2", ended=True),
        }


def test_a_checkpoint_is_forgotten_unless_it_moved_since(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "c.db")) as checkpoints:
        checkpoints.advance("earlier", "3")
        checkpoints.end("earlier", "1")
        checkpoints.advance("moved", "4")

        checkpoints.forget(gap("earlier", "3"))
        checkpoints.forget(gap("moved", "3"))

        assert checkpoints.all() == {"moved": Checkpoint("4", ended=False)}
    (mapping,) = read_mappings(tmp_path / "c.db")
    assert mapping.gaps == (gap("earlier", "3"),), "what came after it is lost with its stream"


def test_a_gap_survives_and_takes_its_latest_end(tmp_path: Path) -> None:
    """Killed before its checkpoint moved, a mapping meets the same gap again, perhaps a longer one.

    Here the gap of one shard grows, that of another begins at another checkpoint.
    """
    path = tmp_path / "c.db"
    longer = gap("shard-0", "3", before="8", until=7.0, records=4)
    with closing(opened(path)) as checkpoints:
        checkpoints.lost(gap("shard-0", "3", before="6", until=6.0, records=2))
        checkpoints.lost(longer)
        checkpoints.lost(gap("shard-0", "11"))
        checkpoints.lost(gap("shard-1"))

    (mapping,) = read_mappings(path)
    assert sorted(mapping.gaps, key=lambda one: (one.shard_id, int(one.after or 0))) == [
        longer,
        gap("shard-0", "11"),
        gap("shard-1"),
    ]


@pytest.mark.parametrize(
    ("created_at", "seen_at", "is_covered"),
    [
        (100.0, 400.0, True),
        (100.0, 299.0, False),
        (301.0, 400.0, False),
        (0.0, 150.0, False),
    ],
    ids=["it took over", "it stopped too early", "it came too late", "a predecessor of long ago"],
)
def test_what_another_mapping_of_the_function_has_read_is_no_loss(
    *, created_at: float, seen_at: float, is_covered: bool
) -> None:
    found = Gap("shard-0", "3", "8", 50.0, 300.0, 4)
    assert covered(found, 200.0, [(created_at, seen_at)]) is is_covered


def test_a_mapping_that_took_over_a_day_after_the_stop_covers_nothing() -> None:
    day, found = 86_400.0, Gap("shard-0", "3", "8", 50.0, 300_000.0, 4)
    assert covered(found, 200.0, [(200.0 + day, 400_000.0)])
    assert not covered(found, 200.0, [(201.0 + day, 400_000.0)])


def test_only_a_mapping_of_the_same_function_covers_a_gap(tmp_path: Path) -> None:
    path, past, future = tmp_path / "c.db", gap("shard-0"), gap("shard-1", until=4e9)
    with (
        closing(Checkpoints(path, uuid="a", function="write_to_es", stream_arn="s")) as index,
        closing(Checkpoints(path, uuid="b", function="write_to_dynamodb", stream_arn="s")),
        closing(Checkpoints(path, uuid="c", function="write_to_es", stream_arn="t")),
    ):
        now = read_mappings(path)[2].seen_at
        inside = gap("shard-2", until=now)
        for one in (past, inside, future):
            index.lost(one)

    assert read_mappings(path)[0].gaps == (past, future), "`inside` was read by mapping c"


def test_a_mapping_stores_once_a_minute_that_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(opened(path)) as checkpoints:
        started = read_mappings(path)[0]
        assert started.created_at == started.stopped_at == started.seen_at
        checkpoints.seen(started.seen_at + 59.0)
        assert read_mappings(path) == [started]
        checkpoints.seen(started.seen_at + 60.0)
        assert read_mappings(path)[0].seen_at == started.seen_at + 60.0

    with closing(opened(path)) as checkpoints:
        assert checkpoints.stopped_at() == started.seen_at + 60.0


def test_two_mappings_share_the_file_and_see_their_own(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(opened(path)) as index, closing(opened(path, "write_to_dynamodb")) as table:
        index.advance("shard-0", "3")
        table.advance("shard-0", "5")
        table.end("shard-1", "4")

        assert index.all() == {"shard-0": Checkpoint("3", ended=False)}
        assert read_checkpoints(path) == {
            "write_to_es": {"shard-0": "3"},
            "write_to_dynamodb": {"shard-0": "5", "shard-1": "4"},
        }


def test_a_mapping_that_settled_nothing_is_known_all_the_same(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "c.db")):
        assert read_checkpoints(tmp_path / "c.db") == {"write_to_es": {}}


def test_without_a_file_there_are_no_checkpoints(tmp_path: Path) -> None:
    assert read_checkpoints(tmp_path / "c.db") == {}
    assert not list(tmp_path.iterdir()), "reading makes no file"


def test_a_file_that_is_just_being_made_has_no_checkpoints(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "c.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")

    assert read_checkpoints(tmp_path / "c.db") == {}


def _cut(path: Path) -> None:
    with closing(opened(path)):
        pass
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


@pytest.mark.parametrize(
    "damage",
    [_cut, lambda path: path.write_text("no database " * 50), Path.mkdir],
    ids=["behind its header", "no database", "a folder"],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = tmp_path / "c.db"
    damage(path)

    for use in (read_checkpoints, opened):
        with pytest.raises(CheckpointsError, match=r"c\.db: ") as told:
            use(path)
        assert "\n" not in str(told.value)


def test_reading_waits_for_no_mapping_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(opened(path)) as checkpoints, closing(_connected(path)) as writes:
        checkpoints.advance("shard-0", "9")
        writes.execute("BEGIN EXCLUSIVE")
        writes.execute("DELETE FROM checkpoints")

        assert read_checkpoints(path) == {"write_to_es": {"shard-0": "9"}}


def test_reading_waits_for_whoever_has_the_file_to_himself(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with closing(opened(path)) as checkpoints:
        checkpoints.advance("shard-0", "9")
    with ThreadPoolExecutor(1) as aside:
        with closing(_connected(path)) as alone:
            alone.execute("PRAGMA locking_mode = EXCLUSIVE")
            alone.execute("DELETE FROM mappings WHERE uuid = ''")
            reading = aside.submit(read_checkpoints, path)
            assert _waits(reading)

        assert reading.result(30) == {"write_to_es": {"shard-0": "9"}}


def test_a_mapping_waits_for_another_that_is_making_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with ThreadPoolExecutor(1) as aside:
        with closing(_connected(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            opening = aside.submit(opened, path)
            assert _waits(opening)

        with closing(opening.result(30)) as checkpoints:
            assert checkpoints.all() == {}


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _waits(future: Future[Any]) -> bool:
    """Whether it is not done yet; raises what it ended with."""
    try:
        future.result(0.3)
    except TimeoutError:
        return True
    return False


def test_threads_share_one_mappings_checkpoints(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "c.db")) as checkpoints:

        def work(shard: str) -> None:
            for number in range(20):
                checkpoints.advance(shard, str(number))

        threads = [threading.Thread(target=work, args=(f"shard-{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert set(checkpoints.all().values()) == {Checkpoint("19", ended=False)}
        assert len(checkpoints.all()) == 4
