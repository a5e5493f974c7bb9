"""The record file: runs are appended, and no seed runs twice."""

import datetime as dt
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from lockstep.cli import main
from lockstep.simulation import record_file
from lockstep.simulation.code_version import Changed, Commit, Package, code_version
from lockstep.simulation.record_file import (
    NOTHING,
    RecordedRuns,
    RecordError,
    check_writable,
    recorded_runs,
)
from lockstep.simulation.run import FailedHistory, Report, simulate

DAY = dt.date(2026, 11, 21)


def report(seed: int, histories: int) -> Report:
    short = simulate(seed, 1, commit="0a1b2c3d4e")
    return msgspec.structs.replace(short, histories=histories, core_seconds=histories / 1000)


def test_a_missing_record_file_has_no_runs(tmp_path: Path) -> None:
    assert recorded_runs(tmp_path / "record.md") == NOTHING


def test_runs_add_up(tmp_path: Path) -> None:
    kept = tmp_path / "record.md"
    record_file.add(kept, report(1, 50_000), DAY)
    assert recorded_runs(kept) == RecordedRuns(last=50_000, total=50_000)
    record_file.add(kept, report(50_001, 1_000_000), DAY)
    assert recorded_runs(kept) == RecordedRuns(last=1_050_000, total=1_050_000)
    *_, first, second = kept.read_text().splitlines()
    assert first.startswith("| 2026-11-21 | 0a1b2c3d4e | 1 to 50,000 | 50,000 | 1,000 |")
    assert second.endswith("| nothing lost, nothing backwards | 1,050,000 |")


def test_a_failed_run_is_recorded_as_failed(tmp_path: Path) -> None:
    kept = tmp_path / "record.md"
    failure = FailedHistory(seed=7, violation="I3: a | b", steps=("put (1)",), of_steps=2)
    record_file.add(kept, msgspec.structs.replace(report(1, 7), failure=failure), DAY)
    assert "| seed 7 breaks I3 |" in kept.read_text()
    assert recorded_runs(kept) == RecordedRuns(last=7, total=7)


@pytest.mark.parametrize("text", ["", "# Something else\n"])
def test_no_run_is_appended_to_another_file(tmp_path: Path, text: str) -> None:
    kept = tmp_path / "record.md"
    kept.write_text(text)
    with pytest.raises(RecordError, match=r"record\.md"):
        record_file.add(kept, report(1, 1), DAY)
    assert kept.read_text() == text


def test_a_damaged_last_line_is_an_error(tmp_path: Path) -> None:
    kept = tmp_path / "record.md"
    record_file.add(kept, report(1, 1), DAY)
    kept.write_text(kept.read_text() + "and so on\n")
    with pytest.raises(RecordError, match="last line"):
        recorded_runs(kept)


def test_the_check_for_write_access_changes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "record.md"
    check_writable(kept)
    assert not kept.exists()
    kept.write_text("mine\n")
    check_writable(kept)
    assert kept.read_text() == "mine\n"
    with pytest.raises(RecordError, match="Not a directory"):
        check_writable(kept / "record.md")


def test_the_published_record_file_can_be_continued() -> None:
    published = recorded_runs(
        Path(__file__).parents[2] / "docs" / "internals" / "simulation-record.md"
    )
    assert published.total == published.last > 0


def test_a_seed_cannot_be_used_with_a_record_file(tmp_path: Path) -> None:
    words = ["simulate", "--seed", "5", "--record", str(tmp_path / "record.md")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def git(tree: Path, *words: str) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", "-C", tree, *who, *words], check=True, capture_output=True)  # noqa: S607 - whichever git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("print()\n")
    (tmp_path / "record.md").write_text("nothing\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_is_a_commit(tree: Path) -> None:
    assert isinstance(code_version(tree), Commit)


def test_a_changed_tree_is_marked_as_dirty(tree: Path) -> None:
    clean = code_version(tree)
    (tree / "code.py").write_text("print(1)\n")
    changed = code_version(tree)
    assert isinstance(changed, Changed)
    assert str(changed) == f"{clean}-dirty"


def test_a_new_file_is_a_change(tree: Path) -> None:
    (tree / "more.py").write_text("print(1)\n")
    assert isinstance(code_version(tree), Changed)


def test_a_changed_record_file_does_not_make_the_tree_dirty(tree: Path) -> None:
    (tree / "record.md").write_text("more\n")
    assert isinstance(code_version(tree, besides=tree / "record.md"), Commit)
    assert isinstance(code_version(tree), Changed)


def test_without_a_tree_the_version_is_used(tmp_path: Path) -> None:
    assert code_version(tmp_path) == Package(version("lockstep"))


def test_in_a_tree_without_a_commit_the_version_is_used(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert code_version(tmp_path) == Package(version("lockstep"))
