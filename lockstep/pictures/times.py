"""When a picture was taken: the times of EXIF, IPTC and XMP, and what of them is no time."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from lockstep.console.errors import UserError
from shared.event import MAX_OFFSET

_EXIF = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?", re.ASCII)
_IPTC_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
_IPTC_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)([+-]\d\d:?\d\d|Z)?", re.ASCII)
# The profile of ISO 8601 that XMP uses. All but the year may be missing.
_XMP = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_NO_DIGIT_BUT_ZERO = re.compile(r"[0\s:/.TZ+-]*")


class TakenAt(msgspec.Struct, frozen=True):
    """A time, with its offset from UTC in whole minutes.

    Attributes:
        remark: what was added to what the picture says; None if nothing.
    """

    time: datetime
    remark: str | None = None


class UnusableTime(msgspec.Struct, frozen=True):
    """A text that should be a time and is none."""

    why: str


class NoZoneError(UserError):
    """There is no zone of this name."""


def zone_named(name: str) -> tzinfo:
    """The zone of an IANA name, such as `Europe/Berlin`. `UTC` needs no data of the system.

    Raises:
        NoZoneError: there is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise NoZoneError(f"{name!r} is no time zone: write one like Europe/Berlin") from None


def of_exif_time(text: str, fraction: str, offset: str, zone: tzinfo) -> TakenAt | UnusableTime:
    """`DateTimeOriginal` of EXIF, with `SubSecTimeOriginal` and `OffsetTimeOriginal`.

    Args:
        text: the time, without an offset.
        fraction: the digits after the seconds; anything else is no fraction.
        offset: the offset; if it is none, the time is one of `zone`.
        zone: the zone of pictures that do not say theirs.
    """
    found = _EXIF.fullmatch(text.strip())
    if found is None:
        return _unusable(text)
    *parts, own_fraction = found.groups()
    digits = fraction.strip() if fraction.strip().isdecimal() else own_fraction
    return _time(text, parts, digits, offset.strip(), zone)


def of_iptc_time(date: str, time: str, zone: tzinfo) -> TakenAt | UnusableTime:
    """`Date Created` and `Time Created` of IPTC."""
    text = f"{date} {time}".strip()
    day = _IPTC_DATE.fullmatch(date.strip())
    if day is None:
        return _unusable(text)
    clock = _IPTC_TIME.fullmatch(time.strip())
    if clock is None:
        return _time(text, [*day.groups(), None, None, None], None, "", zone)
    *parts, offset = clock.groups()
    return _time(text, [*day.groups(), *parts], None, offset or "", zone)


def of_xmp_time(text: str, zone: tzinfo) -> TakenAt | UnusableTime:
    """A date of XMP."""
    found = _XMP.fullmatch(text.strip())
    if found is None:
        return _unusable(text)
    *parts, fraction, offset = found.groups()
    return _time(text, parts, fraction, offset or "", zone)


def _time(
    text: str, parts: list[str | None], fraction: str | None, offset: str, zone: tzinfo
) -> TakenAt | UnusableTime:
    year, month, day, hour, minute, second = parts
    if month is None or day is None or (year or "", month, day).count("00"):
        return _unusable(text) if _NO_DIGIT_BUT_ZERO.fullmatch(text) else _no_day(text)
    stated = _offset(offset)
    if isinstance(stated, UnusableTime):
        return stated
    try:
        time = datetime(
            int(year or 0),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int(f"{fraction or '':0<6.6}"),
            tzinfo=stated or zone,
        )
        return TakenAt(_whole_minutes(time), _remark(hour, stated, zone))
    except (ValueError, OverflowError):
        return _unusable(text)


def _remark(hour: str | None, stated: tzinfo | None, zone: tzinfo) -> str | None:
    if hour is None:
        return "the picture says only a day: 00:00 is added"
    return None if stated else f"the picture says no offset from UTC: its zone is taken as {zone}"


def _offset(text: str) -> tzinfo | UnusableTime | None:
    """The offset that a text says; None if it says nothing."""
    if text == "Z":
        return UTC
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset > MAX_OFFSET or int(minutes) >= 60:  # noqa: PLR2004 - minutes of an hour
        return UnusableTime(f"{text} is no offset from UTC")
    return timezone(-offset if sign == "-" else offset)


def _whole_minutes(time: datetime) -> datetime:
    """The same time with a fixed offset of whole minutes, as RFC 3339 has; or else in UTC.

    Raises:
        OverflowError: it is before the year 1 or after the year 9999 in UTC.
    """
    offset = time.utcoffset() or timedelta()
    utc = time.astimezone(UTC)
    fixed = timezone(offset) if offset % timedelta(minutes=1) == timedelta() else UTC
    return utc.astimezone(fixed)


def _no_day(text: str) -> UnusableTime:
    return UnusableTime(f"'{text.strip()[:40]}' says no day")


def _unusable(text: str) -> UnusableTime:
    return UnusableTime(f"'{text.strip()[:40]}' is no time")
