"""Times as RFC 3339 writes them in UTC: `1979-05-31T12:00:00Z`."""

import datetime as dt
from typing import Literal

Precision = Literal["auto", "seconds", "milliseconds"]
"""The digits after the second: as many as the time needs (none or six), none, or three.

Digits that are left out are cut off, not rounded.
"""


def rfc3339(at: dt.datetime, precision: Precision = "auto") -> str:
    """The time in UTC.

    Args:
        at: a time with a zone.
        precision: the digits after the second.
    """
    return at.astimezone(dt.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
