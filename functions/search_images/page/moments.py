"""Times in words: `31 May 1979, 12:00 UTC`."""

import datetime as dt

import msgspec

from shared.event import Time

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class TimeInWords(msgspec.Struct, frozen=True):
    """A time in words, and as a program reads it (RFC 3339)."""

    text: str
    iso: str


def moment(time: dt.datetime) -> TimeInWords:
    """The time in its own zone."""
    offset = f"{time:%:z}" if time.utcoffset() else ""
    day = f"{time.day} {_MONTHS[time.month - 1]} {time.year}"
    return TimeInWords(f"{day}, {time:%H:%M} UTC{offset}", time.isoformat())


def moment_in(text: str) -> TimeInWords:
    """The time that this text means, or the text itself if it means none."""
    try:
        return TimeInWords(moment(msgspec.convert(text, Time)).text, text)
    except msgspec.ValidationError:
        return TimeInWords(text, text)
