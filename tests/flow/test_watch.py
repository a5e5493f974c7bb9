"""`lockstep watch` on a stack that runs: figures that move, and a terminal that is left clean."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from shared.quarantine import CONSUMERS
from tests.flow.shell import Shell
from tests.flow.test_losses import both_mappings_stopped, put

type Line = dict[str, Any]

# Makes the terminal on its standard input its own, so that Ctrl-C reaches it; then runs a command.
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@contextmanager
def watching(shell: Shell) -> Iterator[Iterator[Line]]:
    """The lines of `lockstep watch --json`, as they come. Ctrl-C ends it."""
    process = shell.start("watch", "--json")
    assert process.stdout is not None
    try:
        yield map(msgspec.json.decode, process.stdout)
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def first(lines: Iterator[Line], fits: Callable[[Line], bool]) -> Line:
    return next(line for line in lines if fits(line))


def backlogs(line: Line) -> set[int | None]:
    return {line["consumers"][name]["backlog_records"] for name in CONSUMERS}


def test_arrivals_rates_and_lags_move_with_the_events(shell: Shell) -> None:
    with watching(shell) as lines:
        idle = first(lines, lambda line: backlogs(line) == {0})
        assert (idle["shards"]["open"], idle["errors"]) == (2, {})
        assert idle["alarms"]["unknown"] == 0
        with both_mappings_stopped(shell):
            put(shell, *(f"watched-{at}" for at in range(20)))
            waiting = first(lines, lambda line: backlogs(line) == {20})
            assert waiting["arrivals_per_second"] > 0
            assert 0.5 <= waiting["shards"]["busiest_share"] <= 1
            older = first(
                lines, lambda line: all(line["consumers"][one]["lag_ms"] for one in CONSUMERS)
            )
            assert backlogs(older) == {20}
        # Each consumer has its own pace: it may have ended before the other one began.
        moved: set[str] = set()
        for at in count():
            line = next(lines)
            moved |= {name for name in CONSUMERS if line["consumers"][name]["per_second"]}
            if moved == {*CONSUMERS}:
                break
            put(shell, f"watched-more-{at}")
        first(lines, lambda line: backlogs(line) == {0})


class Terminal:
    """A terminal with a process in it."""

    def __init__(self, command: list[str], *, columns: int, **environment: str) -> None:
        self._ours, self._its = pty.openpty()
        self.resize(columns)
        self.modes = termios.tcgetattr(self._its)
        self.written = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *command],
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read_until(self, fits: Callable[[str], bool]) -> None:
        """Read until what was written since the last cursor movement to the top left fits."""
        rest = b""
        while not fits(self.frame):
            rest += os.read(self._ours, 65_536)
            text = rest.decode(errors="ignore")  # a character may be written in two parts
            rest = rest[len(text.encode()) :]
            self.written += text

    @property
    def frame(self) -> str:
        return plain(self.written.rpartition("\x1b[H")[2])

    def press_ctrl_c(self) -> int:
        """Return the exit code. Reads on meanwhile: a terminal holds little."""
        os.write(self._ours, b"\x03")
        os.set_blocking(self._ours, False)
        while self._process.poll() is None:
            self._read_what_is_there()
        self._read_what_is_there()
        return self._process.returncode

    def _read_what_is_there(self) -> None:
        try:
            self.written += os.read(self._ours, 65_536).decode(errors="replace")
        except BlockingIOError:
            return

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert termios.tcgetattr(self._its) == self.modes
        os.close(self._ours)
        os.close(self._its)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", text)


@contextmanager
def terminal(state: Path, columns: int, **environment: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "lockstep", "watch", "--state", str(state)]
    made = Terminal(command, columns=columns, **environment)
    try:
        yield made
    finally:
        made.close()


def is_whole(columns: int) -> Callable[[str], bool]:
    """Whether a frame of this width is complete, and everything in it was read."""

    def whole(frame: str) -> bool:
        lines = frame.splitlines()
        return (
            len(lines) == 24
            and all(len(line) == columns for line in lines)
            and "write_to_es" in frame
            and "being read" not in frame
        )

    return whole


def test_ctrl_c_ends_it_and_leaves_a_clean_terminal(shell: Shell) -> None:
    with terminal(shell.state, 80) as screen:
        screen.read_until(is_whole(80))
        assert "backlog        lag          rates           lags" in screen.frame
        screen.resize(60)
        screen.read_until(is_whole(60))
        assert screen.press_ctrl_c() == 0
        # The normal screen and the cursor are back, with what was seen last and nothing else.
        after = screen.written.rpartition("\x1b[?1049l")[2]
        assert screen.written.count("\x1b[?1049l") == screen.written.count("\x1b[?1049h") == 1
        assert screen.written.rindex("\x1b[?25h") > screen.written.rindex("\x1b[?25l")
        told = plain(after).splitlines()
        assert told[0].startswith("stack ")
        assert "Traceback" not in after


def test_a_terminal_that_can_do_nothing_gets_plain_lines(shell: Shell) -> None:
    with terminal(shell.state, 80, TERM="dumb") as screen:
        screen.read_until(lambda frame: "alarms " in frame.rpartition("\n")[0])
        assert screen.press_ctrl_c() == 0
        assert "\x1b" not in screen.written
        first_line = screen.written.splitlines()[0]
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:]+Z arrivals .*; alarms ", first_line)
