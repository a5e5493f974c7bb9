"""Times in UTC, as RFC 3339 writes them."""

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rfc3339 import Precision, rfc3339

NOON = dt.datetime(1979, 5, 31, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("at", "precision", "written"),
    [
        (NOON, "auto", "1979-05-31T12:00:00Z"),
        (NOON, "milliseconds", "1979-05-31T12:00:00.000Z"),
        (NOON.replace(microsecond=999_999), "auto", "1979-05-31T12:00:00.999999Z"),
        (NOON.replace(microsecond=999_999), "milliseconds", "1979-05-31T12:00:00.999Z"),
        (NOON.replace(microsecond=999_999), "seconds", "1979-05-31T12:00:00Z"),
        (NOON.astimezone(dt.timezone(dt.timedelta(hours=-5))), "seconds", "1979-05-31T12:00:00Z"),
        (NOON.replace(year=850), "seconds", "0850-05-31T12:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc(at: dt.datetime, precision: Precision, written: str) -> None:
    assert rfc3339(at, precision) == written


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_what_is_written_is_read_as_the_same_time(at: dt.datetime) -> None:
    assert msgspec.convert(rfc3339(at), dt.datetime) == at
