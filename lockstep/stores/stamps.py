"""Converts between stamps and times, and compares versions with a time."""

import datetime as dt

from shared.event import MAX_VERSION
from shared.record import MAX_AHEAD_US

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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
