"""Times in the forms that a mapping file gives, as times of an event."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from shared.event import InvalidEventError

ISO = "iso"
"""A time of ISO 8601, or as databases write it: `2022-07-05 14:37:41-04`, `2022-07-05`."""

# A number of these units since 1970-01-01T00:00:00Z, and how many of them are a second.
_UNITS = {"unix": 1, "unix_ms": 1_000}

# Python's `fromisoformat` takes any character between date and time, also a digit: it would read
# 1657031861000, milliseconds since 1970, as a time of the year 1657.
_ISO_BEGINS = re.compile(r"\d{4}-?(?:\d{2}-?\d{2}|W\d{2}(?:-?\d)?)(?:[Tt ]|\Z)", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_OFFSET = re.compile(r"([+-])([01][0-9]):([0-5][0-9])")
_HOURS_ONLY = re.compile(r"[+-][0-9]{2}\Z")
_YEARS = ("%Y", "%y", "%G")


def check_format(form: str) -> None:
    """Check a form of times.

    Raises:
        ValueError: it is not a form of `strptime`, has no year, or has the name of a zone.
    """
    if form == ISO or form in _UNITS:
        return
    if "%Z" in form:
        # `strptime` takes the name, and drops it.
        raise ValueError(f"format `{form}`: %Z is not read: use %z for offsets, or set `zone`")
    if not any(year in form for year in _YEARS):
        raise ValueError(f'format `{form}` has no year: write "iso", or a form with %Y')
    example = dt.datetime(2022, 7, 5, 14, 37, 41, tzinfo=dt.UTC)
    try:
        dt.datetime.strptime(example.strftime(form), form)  # noqa: DTZ007 - only a test of the form
    except (ValueError, re.error) as error:
        raise ValueError(f"format `{form}`: {error}") from None


@cache
def zone_of(name: str) -> dt.tzinfo:
    """The time zone of this name (`Europe/Amsterdam`), or with this offset (`+01:00`).

    Raises:
        ValueError: there is none.
    """
    if found := _OFFSET.fullmatch(name):
        offset = dt.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return dt.timezone(-offset if found[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        message = f"no time zone `{name}` here: use a name as Europe/Amsterdam, or +01:00"
        raise ValueError(message) from None


def read_time(name: str, written: str, forms: Sequence[str], zone: str | None) -> str:
    """A time as an event has it, at the same instant.

    An offset with seconds, as zones had before 1940 or so, becomes UTC. When clocks are set back in
    autumn, an hour comes twice: this is the first one.

    Args:
        name: the source field, for messages.
        written: the time.
        forms: the first one that fits decides.
        zone: the zone of times without an offset.

    Raises:
        InvalidEventError: no form fits, there is no zone, or the zone skips that time in spring.
    """
    naive = _parsed(name, written, forms)
    at = naive
    if naive.tzinfo is None:
        if zone is None:
            detail = f"field `{name}`: the time `{written}` has no zone: set `zone` for this field"
            raise InvalidEventError("schema", detail)
        at = naive.replace(tzinfo=zone_of(zone))
    try:
        utc = at.astimezone(dt.UTC)
        if naive.tzinfo is None and utc.astimezone(at.tzinfo).replace(tzinfo=None) != naive:
            detail = f"field `{name}`: no `{written}` in {zone}: its clocks went forward then"
            raise InvalidEventError("schema", detail)
    except OverflowError:
        detail = f"field `{name}`: `{written}` is before the year 1 or after 9999 in UTC"
        raise InvalidEventError("schema", detail) from None
    offset = at.utcoffset() or dt.timedelta()
    return (utc if offset % dt.timedelta(minutes=1) else at).isoformat()


def _parsed(name: str, written: str, forms: Sequence[str]) -> dt.datetime:
    for form in forms:
        try:
            if form == ISO:
                return _iso(written.strip())
            if form in _UNITS:
                return _since_1970(written.strip(), _UNITS[form])
            return dt.datetime.strptime(_with_minutes(written.strip(), form), form)  # noqa: DTZ007 - `read_time` gives the zone
        except (ValueError, OverflowError):
            continue
    expected = " or ".join(f"`{form}`" for form in forms)
    detail = f"field `{name}`: the time `{written}` does not have the form {expected}"
    raise InvalidEventError("schema", detail)


def _iso(written: str) -> dt.datetime:
    if not _ISO_BEGINS.match(written):
        raise ValueError(written)
    return dt.datetime.fromisoformat(written)


def _since_1970(written: str, per_second: int) -> dt.datetime:
    """The time that is so many units after 1970 began, to the microsecond."""
    if not _NUMBER.fullmatch(written):
        raise ValueError(written)
    microseconds = int(Decimal(written) * 1_000_000 / per_second)
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)


def _with_minutes(written: str, form: str) -> str:
    """`-04` as `-0400`: `strptime` wants the minutes."""
    return f"{written}00" if form.endswith("%z") and _HOURS_ONLY.search(written) else written
