"""Typing commands in a terminal, and keeping what it shows, with the times.

The files have the format asciicast 2 of asciinema, so `asciinema play FILE` shows them.
"""

import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

import msgspec

WIDTH = 80
PROMPT = "\x1b[1;32m$\x1b[0m "
SECONDS_A_KEY = 0.06
# A viewer need not wait longer than this for the next output.
LONGEST_PAUSE = 1.5
AFTER_A_COMMAND = 1.5
# Outputs of a command that are closer in time are one, in seconds.
AT_ONCE = 0.4


class Output(msgspec.Struct, array_like=True, frozen=True):
    """Text that the terminal got at a time, in seconds since the start."""

    at: float
    kind: str
    text: str


class Header(msgspec.Struct, frozen=True):
    """The first line of a recording."""

    version: int
    width: int
    height: int
    title: str


class Recording(msgspec.Struct, frozen=True):
    """What a terminal of this size showed."""

    header: Header
    outputs: Sequence[Output]

    def write(self, path: Path) -> None:
        """Write the file of asciinema."""
        lines = [msgspec.json.encode(part) for part in (self.header, *self.outputs)]
        path.write_bytes(b"\n".join(lines) + b"\n")


def read_recording(path: Path) -> Recording:
    """Read what `Recording.write` has written."""
    first, *others = path.read_bytes().splitlines()
    outputs = [msgspec.json.decode(line, type=Output) for line in others]
    return Recording(msgspec.json.decode(first, type=Header), outputs)


def record(
    title: str, commands: Sequence[str], *, folder: Path, height: int, env: Mapping[str, str]
) -> Recording:
    """Type the commands into a shell, one after the other.

    Args:
        title: what the recording shows.
        commands: lines for bash.
        folder: where the commands run.
        height: rows of the terminal.
        env: variables besides those of this process.

    Raises:
        subprocess.CalledProcessError: a command ended by a signal.
    """
    outputs: list[Output] = []
    now = 0.0
    for command in commands:
        for key in (PROMPT, *command.replace("\n", "\r\n"), "\r\n"):
            outputs.append(Output(round(now, 2), "o", key))
            now += SECONDS_A_KEY
        before = 0.0
        for at, text in _together(_run(command, folder, height, env)):
            now += min(at - before, LONGEST_PAUSE)
            before = at
            outputs.append(Output(round(now, 2), "o", text))
        now += AFTER_A_COMMAND
    outputs.append(Output(round(now, 2), "o", PROMPT))
    return Recording(Header(2, WIDTH, height, title), outputs)


def _together(parts: Iterable[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """The same text in fewer parts: what a progress bar shows at once is one."""
    begun, held = 0.0, ""
    for at, text in parts:
        if held and at - begun >= AT_ONCE:
            yield begun, held
            held = ""
        begun = begun if held else at
        held += text
    if held:
        yield begun, held


def _run(
    command: str, folder: Path, height: int, env: Mapping[str, str]
) -> Iterator[tuple[float, str]]:
    """The output of one command in a terminal, each part with its time since the start."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", height, WIDTH, 0, 0))
    programs = str(Path(sys.executable).parent)
    variables = {**os.environ, **env, "TERM": "xterm-256color"}
    variables["PATH"] = os.pathsep.join((programs, variables["PATH"]))
    started = time.monotonic()
    with subprocess.Popen(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=variables,
        stdin=its,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        rest = b""
        while part := _read(ours):
            rest += part
            # A character may be cut in two.
            text = rest.decode(errors="ignore")
            rest = rest[len(text.encode()) :]
            yield time.monotonic() - started, text
    os.close(ours)
    if process.returncode < 0:
        raise subprocess.CalledProcessError(process.returncode, command)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last program has closed the terminal
        return b""
