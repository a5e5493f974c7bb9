"""The record file: one line for each run of `lockstep simulate --record`."""

import datetime as dt
import re
import textwrap
from pathlib import Path

import msgspec

from lockstep.console.errors import UserError
from lockstep.simulation.kinds import IMAGES
from lockstep.simulation.run import Report

_TITLE = "# Record of simulation runs\n\n"
_ABOUT = """\
Each line is one run of `{command} --record`, newest last. A run uses a clean commit, and begins at
the seed after the last one. The rate is histories per second of one core."""
_COLUMNS = """

| date | commit | seeds | histories | rate | result | histories so far |
| --- | --- | --- | ---: | ---: | --- | ---: |
"""
_WIDTH = 100
_LINE = re.compile(r"\| [\d-]{10} \| \w+ \| [\d,]+ to (?P<last>[\d,]+) \|.*\| (?P<total>[\d,]+) \|")


class RecordError(UserError):
    """The file is not a record file, or cannot be written; the message says what to do."""


class RecordedRuns(msgspec.Struct, frozen=True):
    """The last seed in a record file, and the number of all histories in it."""

    last: int
    total: int


NOTHING = RecordedRuns(last=0, total=0)


def recorded_runs(file: Path, command: str = IMAGES.command) -> RecordedRuns:
    """Read a record file of the runs of this command; a missing one has no runs.

    Raises:
        RecordError: the file is not a record file, or has runs of another command.
    """
    if not file.exists():
        return NOTHING
    text = file.read_text()
    head = _head(command)
    if not text.startswith(head):
        raise RecordError(f"{file} is not a record file of {command}: name another file")
    lines = text.removeprefix(head).splitlines()
    if not lines:
        return NOTHING
    found = _LINE.fullmatch(lines[-1])
    if found is None:
        raise RecordError(f"{file}: the last line is not a run: correct it")
    return RecordedRuns(_number(found["last"]), _number(found["total"]))


def check_writable(file: Path) -> None:
    """Check that a run can be added, without a change to the file.

    Raises:
        RecordError: the file cannot be written.
    """
    new = not file.exists()
    try:
        file.open("a").close()
    except OSError as error:
        raise RecordError(f"{file}: {error.strerror}: name another file") from error
    if new:
        file.unlink()


def add(file: Path, report: Report, day: dt.date) -> None:
    """Append a line for this run."""
    before, new = recorded_runs(file, report.command), not file.exists()
    line = (
        f"| {day} | {report.commit} | {report.seed:,} to {report.last_seed:,} "
        f"| {report.histories:,} | {report.histories_per_core_second:,.0f} | {report.verdict} "
        f"| {before.total + report.histories:,} |\n"
    )
    with file.open("a") as record:
        record.write(_head(report.command) + line if new else line)


def _head(command: str) -> str:
    """What a record file of this command begins with."""
    about = textwrap.fill(_ABOUT.format(command=command), _WIDTH, break_on_hyphens=False)
    return f"{_TITLE}{about}{_COLUMNS}"


def _number(text: str) -> int:
    return int(text.replace(",", ""))
