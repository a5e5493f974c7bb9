"""What is a time in EXIF, IPTC and XMP, and what is none."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep.pictures.times import (
    TakenAt,
    UnusableTime,
    of_exif_time,
    of_iptc_time,
    of_xmp_time,
)
from shared.event import Event, Image, decode, encode

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    "text",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:00:00 00:00:00",
        "2024:02:30 00:00:00",
        "2024:05:01 24:00:00",
        "2024:05:01 10:60:00",
        "2024:05:01 10:10:60",
        "2024:05:01",
        "yesterday",
        "٢٠٢٤:٠٥:٠١ ١٠:٠٠:٠٠",
        "0001:01:01 00:00:00",  # in UTC it is before the year 1
    ],
)
def test_an_unusable_time_of_exif_is_said_in_a_short_line(text: str) -> None:
    found = of_exif_time(text, "", "", timezone(timedelta(hours=2)))
    assert isinstance(found, UnusableTime)
    assert len(found.why) < 70


@pytest.mark.parametrize("offset", ["+19:00", "-18:01", "+02:75"])
def test_an_offset_that_is_none_makes_the_time_unusable(offset: str) -> None:
    found = of_exif_time("2024:05:01 10:00:00", "", offset, UTC)
    assert found == UnusableTime(f"{offset} is no offset from UTC")


@pytest.mark.parametrize("offset", ["", "   :  ", "local", "\0"])
def test_an_offset_that_says_nothing_leaves_the_zone(offset: str) -> None:
    found = of_exif_time("2024:01:01 10:00:00", "", offset, PARIS)
    assert isinstance(found, TakenAt)
    assert found.time.isoformat() == "2024-01-01T10:00:00+01:00"


@pytest.mark.parametrize(
    ("fraction", "microsecond"), [("5", 500_000), ("123456789", 123_456), ("", 0), ("x", 0)]
)
def test_a_fraction_of_exif_is_the_digits_after_the_seconds(
    fraction: str, microsecond: int
) -> None:
    found = of_exif_time("2024-05-01T10:00:00", fraction, "Z", PARIS)
    assert found == TakenAt(datetime(2024, 5, 1, 10, 0, 0, microsecond, tzinfo=UTC))


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20240501", "101112+0200", "2024-05-01T10:11:12+02:00"),
        ("2024-05-01", "10:11:12-03:30", "2024-05-01T10:11:12-03:30"),
        ("20240501", "101112", "2024-05-01T10:11:12+02:00"),
        ("20240501", "", "2024-05-01T00:00:00+02:00"),
        ("20240501", "noon", "2024-05-01T00:00:00+02:00"),
    ],
)
def test_date_and_time_of_iptc_are_one_time(date: str, time: str, expected: str) -> None:
    found = of_iptc_time(date, time, PARIS)
    assert isinstance(found, TakenAt)
    assert found.time.isoformat() == expected


@pytest.mark.parametrize("date", ["19350000", "19350600", "00000000", "1935", "Mai 1935"])
def test_a_date_of_iptc_without_a_day_is_unusable(date: str) -> None:
    assert isinstance(of_iptc_time(date, "", UTC), UnusableTime)


@pytest.mark.parametrize(
    ("text", "expected", "remark"),
    [
        ("2024-05-01T10:11:12.5+02:00", "2024-05-01T10:11:12.500000+02:00", None),
        ("2024-05-01T10:11Z", "2024-05-01T10:11:00+00:00", None),
        ("2024-05-01T10:11", "2024-05-01T10:11:00+02:00", "its zone is taken as Europe/Paris"),
        ("1935-05-01", "1935-05-01T00:00:00+01:00", "says only a day: 00:00 is added"),
        # Before zones, the offset of Paris had seconds, which RFC 3339 does not have.
        ("1870-05-01", "1870-04-30T23:50:39+00:00", "says only a day: 00:00 is added"),
    ],
)
def test_a_date_of_xmp_may_be_short(text: str, expected: str, remark: str | None) -> None:
    found = of_xmp_time(text, PARIS)
    assert isinstance(found, TakenAt)
    assert found.time.isoformat() == expected
    assert (found.remark or "").endswith(remark or "")
    assert (found.remark is None) == (remark is None)


@pytest.mark.parametrize("text", ["1935", "1935-05", "1935-13-01", "1935-05-01T10"])
def test_a_date_of_xmp_without_a_day_or_with_a_wrong_one_is_unusable(text: str) -> None:
    assert isinstance(of_xmp_time(text, UTC), UnusableTime)


ZONES = st.one_of(st.just(PARIS), st.just(UTC), st.timezones())
DIGITS = st.text("0123456789:-+TZ. ", max_size=30)


@given(DIGITS, DIGITS, DIGITS, ZONES)
@example("9999:12:31 23:59:59", "9999999", "-10:00", UTC)
@example("0001:01:01 00:00:00", "", "", PARIS)
def test_each_time_that_is_usable_is_one_of_an_event(
    text: str, other: str, offset: str, zone: tzinfo
) -> None:
    found = [
        of_exif_time(text, other, offset, zone),
        of_iptc_time(text, other, zone),
        of_xmp_time(text, zone),
    ]
    for one in found:
        if isinstance(one, TakenAt):
            image = Image(name="a", taken_at=one.time)
            event = Event("image.uploaded", "T1", 1, datetime(2026, 1, 1, tzinfo=UTC), image)
            assert decode(encode(event)) == event
