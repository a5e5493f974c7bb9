"""Count instructions with callgrind: of segments of a program, or of a whole program.

A program calls `segment` for each part that is to be measured. There it calls `getsid`, a function
of the C library that nothing else calls, and callgrind writes its counters at each call. So one run
measures several segments, without the start of the interpreter and without imports.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

ROOT = Path(__file__).parents[2]
_MARK = "getsid"
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class Segment(msgspec.Struct, frozen=True):
    """A part of a program: how often it did its work, and what that took.

    `seconds` is processor time, `peak` the highest memory of the process until then, in MiB.
    """

    name: str
    units: int
    seconds: float
    peak: float


class Count(msgspec.Struct, frozen=True):
    """What one unit of work costs."""

    instructions: float
    microseconds: float


def has_valgrind() -> bool:
    """Whether instructions can be counted here."""
    return shutil.which("valgrind") is not None


def valgrind_version() -> str:
    """The version of valgrind, such as `valgrind-3.19.0`."""
    return subprocess.check_output(["valgrind", "--version"], text=True).strip()  # noqa: S607


def segment(name: str, units: int, work: Callable[[], object]) -> Segment:
    """Do the work, which is one segment of this program."""
    mark()
    began = time.process_time()
    work()
    seconds = time.process_time() - began
    mark()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Segment(name, units, seconds, peak)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a measured program: the same hashes and the same language in each run."""
    return {
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def run(python: Path, words: Sequence[str], more: Mapping[str, str]) -> Sequence[Segment]:
    """Run a program without callgrind; return its segments.

    The first run also compiles the modules, so that a counted run finds their bytecode.

    Args:
        python: the interpreter.
        words: its arguments; the program gets a further one, the file for its segments.
        more: variables of its environment.
    """
    with TemporaryDirectory() as folder:
        return _written([str(python), *words], Path(folder), more, list[Segment])


def counted(python: Path, words: Sequence[str], more: Mapping[str, str]) -> Mapping[str, float]:
    """Instructions of a unit of each segment; see `run` for the arguments. Call `run` before."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        segments = _written(_callgrind(folder, python, words), folder, more, list[Segment])
        # The parts before, between and after the segments have the odd numbers.
        parts = [folder / f"counts.{2 * at}" for at in range(1, len(segments) + 1)]
        return {
            one.name: _total(part) / one.units for one, part in zip(segments, parts, strict=True)
        }


def counted_between(
    python: Path, words: Sequence[str], more: Mapping[str, str]
) -> Sequence[tuple[str, int]]:
    """Instructions between the marks of a program, from its first mark to its last one.

    The program calls `mark` several times, and writes a list of names: of what ended at each mark.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        names = _written(_callgrind(folder, python, words), folder, more, list[str])
        parts = [folder / f"counts.{at}" for at in range(1, len(names) + 1)]
        return [(one, _total(part)) for one, part in zip(names, parts, strict=True)][1:]


def mark() -> None:
    """Let callgrind write its counters."""
    os.getsid(0)


def _callgrind(folder: Path, python: Path, words: Sequence[str]) -> Sequence[str]:
    counter = ["valgrind", "--tool=callgrind", f"--dump-before={_MARK}"]
    return [*counter, f"--callgrind-out-file={folder / 'counts'}", str(python), *words]


def _written[T](command: Sequence[str], folder: Path, more: Mapping[str, str], kind: type[T]) -> T:
    """Run a program; return what it writes into the file that is its last argument."""
    file = folder / "segments.json"
    done = subprocess.run(
        [*command, str(file)],
        cwd=ROOT,
        env=environment(more),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return msgspec.json.decode(file.read_bytes(), type=kind)


def _total(part: Path) -> int:
    found = _TOTALS.search(part.read_text("utf-8"))
    if found is None:
        sys.exit(f"{part.name}: callgrind wrote no total")
    return int(found[1])
