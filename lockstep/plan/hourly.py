"""Reads the load by the hour of a day: a file with 24 numbers."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.console.errors import UserError
from lockstep.console.text import printable

HOURS = 24


class HourlyLoadError(UserError):
    """A file with the load by the hour is not valid. The message names the file and the line."""


def read_hourly(file: Path, *, most: float) -> Sequence[float]:
    """Events a second in each hour of a day, the first from 00:00 UTC.

    The file has one number in each line. Empty lines and lines that begin with `#` do not count.

    Args:
        file: the file.
        most: the highest number that is accepted.

    Raises:
        HourlyLoadError: the file does not have 24 such numbers.
        OSError: it cannot be read.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise HourlyLoadError(f"{file}: it is not UTF-8") from error
    hours: list[float] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        value = _number(text)
        if value is None or not 0 <= value <= most:
            raise HourlyLoadError(
                f"{file}: line {number}: {printable(text[:40])!r} is not a number from 0 to "
                f"{most:g}: write events a second"
            )
        hours.append(value)
    if len(hours) != HOURS:
        raise HourlyLoadError(
            f"{file}: it has {len(hours)} numbers: write {HOURS}, one for each hour of a day"
        )
    return hours


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
