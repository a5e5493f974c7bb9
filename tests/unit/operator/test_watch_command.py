"""`lockstep watch`: what a user can cause is one line; without a terminal, looks are lines."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from lockstep.commands.watch import WatchScreen
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.watching.states import seen


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--every", "0"], "--every"),
        (["--every", "x"], "--every"),
        (["--count", "0"], "--count"),
        (["--every", "59", "--stack", "lockstep"], "one value for a minute: use 60 or more"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: list[str], hint: str) -> None:
    assert_one_line(lockstep("watch", *words), hint)


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


def test_ctrl_c_while_it_connects_is_its_normal_end(tmp_path: Path) -> None:
    """The description of the stack is a pipe: the command waits for it until it is interrupted."""
    os.mkfifo(tmp_path / "stack.json")
    command = [sys.executable, "-m", "lockstep", "watch", "--state", str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching,
        (tmp_path / "stack.json").open("wb"),  # returns when the command reads
    ):
        watching.send_signal(signal.SIGINT)
        said = watching.communicate()
    assert (watching.returncode, *said) == (0, b"", b"")


def test_the_screen_is_left_as_it_was_with_what_was_seen_last() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=24, no_color=True)
    before = signal.getsignal(signal.SIGTSTP)
    with WatchScreen(console, "lockstep") as screen:
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
        screen.show(seen())
        assert screen.size == (80, 24)
    assert signal.getsignal(signal.SIGTSTP) == before
    inside, _, after = file.getvalue().partition("\x1b[?1049l")
    assert inside.startswith("\x1b[?1049h")
    assert "ALARM" in inside
    assert "ALARM" in after
