"""`lockstep tablestore load`, typed: what it prints, its exit code, and its file of progress."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from lockstep.commands.tablestore import load as command
from lockstep.local.tablestore.store import TableFile
from lockstep.tablestore.progress import LoadProgress, read_progress
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.replica_load.test_load import Listed, item, new_load
from tests.unit.write_to_tablestore.replica import LABEL, Replica

UNFIT = {"n": {"N": "0.1234567890123456789"}}
WORDS = ("tablestore", "load", "--stack", "replica")

type Prepare = Callable[..., Replica]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepare]:
    """Lets the command load this source into a Table Store without a network."""
    with TableFile.open(None) as store:
        replica = Replica(store)

        def prepare(source: Listed, deletions: str = "tombstone") -> Replica:
            def its_load(*_: Any, begun: LoadProgress | None, **given: Any) -> Any:
                told = {name: given[name] for name in ("applies", "on_refused", "on_step")}
                load = new_load(replica, source, **told)
                return load, begun or load.beginning(1)

            stack = SimpleNamespace(settings=SimpleNamespace(deletions=deletions))
            monkeypatch.setattr(command, "replica_of", lambda *_, **__: (None, stack))
            monkeypatch.setattr(command, "replica_load", its_load)
            monkeypatch.setenv("AWS_REGION", "us-east-1")
            return replica

        yield prepare


def test_without_apply_it_says_what_it_would_do_and_does_nothing(
    loads: Prepare, tmp_path: Path
) -> None:
    replica, file = loads(Listed([item("a"), item("b", **UNFIT)])), tmp_path / "load.json"
    done = lockstep(*WORDS, "--resume", file)
    assert done.exit_code == 1
    assert "can be written, unless newer there" in done.stdout
    assert "2 items of orders read" in done.stdout
    assert "add --apply" in done.stdout
    assert """{"id":{"S":"b"}}: conversion: 'n': 0.1234567890123456789""" in done.stderr
    assert replica.row("a") is None
    assert not file.exists()


def test_a_load_that_has_ended_removes_its_progress(loads: Prepare, tmp_path: Path) -> None:
    replica, file = loads(Listed([item("a")], [item("b")])), tmp_path / "load.json"
    done = lockstep(*WORDS, "--resume", file, "--apply", "--json")
    assert done.exit_code == 0, done.output
    assert msgspec.json.decode(done.stdout) == {
        "format": 1,
        "applied": True,
        "source": f"orders/stream/{LABEL}",
        "target": "local/orders",
        "finished": True,
        "written": 2,
        "there": 0,
        "newer": 0,
        "refused": 0,
        "refused_items": [],
        "error": None,
    }
    assert replica.row("b") is not None
    assert not file.exists()


def test_an_interrupted_load_keeps_its_progress_and_goes_on(loads: Prepare, tmp_path: Path) -> None:
    source = Listed([item("a", **UNFIT)], [item("b")], [item("c")])
    replica, file = loads(source), tmp_path / "load.json"

    def interrupt(sent: str) -> None:
        if sent == "BatchWriteRow":
            raise KeyboardInterrupt

    replica.connection.instead = interrupt
    words = (*WORDS, "--resume", file, "--apply")
    ended = lockstep(*words)
    assert ended.exit_code == 130
    assert "not finished: 1 item read; run it again with the same --resume" in ended.stderr
    begun = read_progress(file)
    assert begun is not None
    assert (begun.counts.refused, begun.segments[0].position) == (1, "1")

    replica.connection.instead = lambda _: None
    source.read.clear()
    done = lockstep(*words)
    # What was refused before the interruption still counts.
    assert done.exit_code == 1
    assert "3 items of orders read" in done.stdout
    assert source.read == [1, 2]
    assert not file.exists()


@pytest.mark.parametrize(("deletions", "is_told"), [("row", True), ("tombstone", False)])
def test_what_a_load_without_tombstones_can_do_is_told(
    loads: Prepare, deletions: str, *, is_told: bool
) -> None:
    loads(Listed([item("a")]), deletions)
    assert ("may come back" in lockstep(*WORDS).stderr) == is_told


def test_a_file_of_something_else_is_one_line(loads: Prepare, tmp_path: Path) -> None:
    loads(Listed([item("a")]))
    file = tmp_path / "other.json"
    file.write_text('{"source": "images.ndjson", "line": 3}')
    assert_one_line(lockstep(*WORDS, "--resume", file), "was not written by a load")
    assert file.exists()
