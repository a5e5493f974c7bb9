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
    read_checkpoints,
)


def opened(path: Path, function: str = "write_to_es") -> Checkpoints:
    return Checkpoints(path, uuid=f"uuid of {function}", function=function, stream_arn="arn")


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

        checkpoints.forget("earlier", "3")
        checkpoints.forget("moved", "3")

        assert checkpoints.all() == {"moved": Checkpoint("4", ended=False)}


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
