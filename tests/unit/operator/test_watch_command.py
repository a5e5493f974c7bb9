"""`lockstep watch`: what a user can cause is one line; without a terminal, looks are lines."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.unit.operator.command import assert_one_line, lockstep


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--every", "0"], "--every"),
        (["--every", "x"], "--every"),
        (["--count", "0"], "--count"),
        (["--every", "59", "--stack", "lockstep"], "one value for a minute: use 60 or more"),
    ],
)
def test_what_makes_no_sense_is_one_line(state: Path, words: list[str], hint: str) -> None:
    assert_one_line(lockstep("watch", *words, "--state", state), hint)


def test_without_a_stack_the_line_says_how_to_start_one(tmp_path: Path) -> None:
    assert_one_line(lockstep("watch", "--state", tmp_path / "none"), "lockstep up")


def test_a_stack_that_does_not_answer_is_a_line_with_reasons_and_not_the_end(state: Path) -> None:
    """In a process of its own: clients must not write what they think of it into the screen."""
    command = [sys.executable, "-m", "lockstep", "watch", "--count", "1", "--state", str(state)]
    plain, json = (
        subprocess.run([*command, *more], capture_output=True, check=True)
        for more in ([], ["--json"])
    )
    assert (plain.stderr, json.stderr) == (b"", b"")
    (line,) = plain.stdout.decode().splitlines()
    assert "alarms none of 13 on, unknown: 12; stream unknown: the backlog is unknown" in line
    found = msgspec.json.decode(json.stdout)
    assert found["stack"] == str(state)
    assert found["errors"].keys() == {"stream", "quarantine", "index", "audit"}
    assert found["shards"] is found["quarantine"] is found["audit"] is None
