"""The record: every run that counts, a line each, in a file kept beside the code."""

import datetime as dt
import re
from pathlib import Path

import msgspec

from lockstep.console.errors import UserError
from lockstep.simulation.run import Report

_HEAD = """\
# The record of the simulation

Each line is one run of `lockstep simulate --record`, newest last: only of a clean commit, each from
the seed after the last one's. The rate is in histories a second of one core.

| date | commit | seeds | histories | rate | result | histories so far |
| --- | --- | --- | ---: | ---: | --- | ---: |
"""
_LINE = re.compile(r"\| [\d-]{10} \| \w+ \| [\d,]+ to (?P<last>[\d,]+) \|.*\| (?P<total>[\d,]+) \|")


class RecordError(UserError):
    """The file is no such record; says what to do."""


class RecordedRuns(msgspec.Struct, frozen=True):
    """How far a record is: the last seed that was run, and histories in all."""

    last: int
    total: int


NOTHING = RecordedRuns(last=0, total=0)


def recorded_runs(file: Path) -> RecordedRuns:
    """How far this record is; one that is not there has nothing in it.

    Raises:
        RecordError: the file is something else.
    """
    if not file.exists():
        return NOTHING
    text = file.read_text()
    if not text.startswith(_HEAD):
        raise RecordError(f"{file}: no record of the simulation; name another file")
    lines = text.removeprefix(_HEAD).splitlines()
    if not lines:
        return NOTHING
    found = _LINE.fullmatch(lines[-1])
    if found is None:
        raise RecordError(f"{file}: its last line is none of a record: mend it")
    return RecordedRuns(_number(found["last"]), _number(found["total"]))


def check_writable(file: Path) -> None:
    """Return if a run can be written down there; leaves the file as it is.

    Raises:
        RecordError: it cannot.
    """
    new = not file.exists()
    try:
        file.open("a").close()
    except OSError as error:
        raise RecordError(f"{file}: {error.strerror}: name another file") from error
    if new:
        file.unlink()


def add(file: Path, report: Report, day: dt.date) -> None:
    """Write the run down, behind those before it."""
    before, new = recorded_runs(file), not file.exists()
    line = (
        f"| {day} | {report.commit} | {report.seed:,} to {report.last_seed:,} "
        f"| {report.histories:,} | {report.histories_per_core_second:,.0f} | {report.verdict} "
        f"| {before.total + report.histories:,} |\n"
    )
    with file.open("a") as record:
        record.write(f"{_HEAD}{line}" if new else line)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
