"""Stamps: versions from a producer's clock, in microseconds since 1970.

A lower version is a count: the source numbers its revisions. Only a stamp tells when it was set.
"""

import datetime as dt

from shared.event import MAX_VERSION
from shared.horizon import HORIZON, QUARANTINE_AGE
from shared.record import MAX_AHEAD_US

# What the log of a consumer says of a late event.
LATE_EVENT = "late event: a tombstone that should stop it may have expired"

# The lowest stamp, a time in September 2001.
FIRST_STAMP = 10**15
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_US = 24 * 60 * 60 * 1_000_000
# An import stamps its events one horizon in the past. Its clock may be up to a day ahead.
_IMPORTED_US = HORIZON // dt.timedelta(microseconds=1) - _DAY_US
_LATE_US = QUARANTINE_AGE // dt.timedelta(microseconds=1)


def is_stamp(version: int) -> bool:
    """Whether this version is a stamp, and not a count."""
    return version >= FIRST_STAMP


def stamp_at(seconds: float) -> int:
    """The stamp of a time in seconds since 1970."""
    return int(seconds * 1_000_000)


def time_of(stamp: int) -> dt.datetime:
    """The time that a stamp stands for."""
    return _EPOCH + dt.timedelta(microseconds=stamp)


def too_far_ahead(version: int, now: float) -> bool:
    """Whether consumers refuse a version that arrives now, in seconds since 1970."""
    return version > min(stamp_at(now) + MAX_AHEAD_US, MAX_VERSION)


def acceptable_from(version: int) -> int:
    """When consumers begin to accept a version, in milliseconds since 1970.

    Whole milliseconds, because a stream reports arrival times in them.
    """
    return -((MAX_AHEAD_US - version) // 1000)


def is_imported(version: int, arrived_at: int) -> bool:
    """Whether an import stamped this version: such an event gives way to every other event.

    The stamp is over 120 days older than its arrival, in milliseconds since 1970.
    """
    return is_stamp(version) and arrived_at * 1000 - version > _IMPORTED_US


def is_late(version: int, occurred_at: dt.datetime, arrived_at: int) -> bool:
    """Whether an event is late: it may be older than a tombstone that has expired.

    Its stamp and its `occurred_at` are over 90 days older than its arrival, in milliseconds since
    1970, and within a day of each other. An import is not late: it occurs when it is imported. A
    count does not tell when it was set, so an event with a count is never late.
    """
    arrived_us = arrived_at * 1000
    if not is_stamp(version) or arrived_us - version <= _LATE_US:
        return False
    occurred_us = occurred_at.timestamp() * 1_000_000
    return arrived_us - occurred_us > _LATE_US and abs(version - occurred_us) <= _DAY_US
