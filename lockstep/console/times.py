"""Times as Lockstep prints them, as text and in JSON: ISO 8601, in UTC."""

import datetime as dt

from shared.rfc3339 import rfc3339


def moment(milliseconds: int) -> dt.datetime:
    """A time in milliseconds since 1970. JSON has it as `2026-11-21T08:00:00.123000Z`."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def printed(at: dt.datetime) -> str:
    """A time as text, in whole seconds."""
    return rfc3339(at, "seconds")
