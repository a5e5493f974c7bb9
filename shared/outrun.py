"""Outrun: an event that lost to a version that does not say which of the two is newer."""

from typing import Final

import msgspec

from shared.change import Change, Purge, Put, Remove
from shared.event import Time
from shared.outcome import Held
from shared.stamps import is_imported, is_stamp

# Clocks that are kept right differ by less. A stamp further ahead comes from a wrong clock.
MOST_AHEAD_US: Final = 5 * 60 * 1_000_000

_SETTLE = "settle it with `lockstep redrive --choose`"


def outrun(change: Change, held: Held | None) -> str | None:
    """Say why this change, which is stale, may be newer than what made it stale; None if not.

    Only a change that arrived later can be outrun, so a record that is delivered again is not. Two
    events of the same millisecond are simultaneous: the version decides.

    Args:
        change: a change with a lower version.
        held: what the store holds; None if that is unknown or malformed.
    """
    if held is None or change.arrived_at <= held.arrived_at or change.version >= held.version:
        return None
    match change:
        case Purge():
            return None
        case Put() | Remove():
            pass
    if is_stamp(held.version) and not is_stamp(change.version):
        return (
            f"version {change.version} is a count, and the stored version {held.version} is a "
            f"stamp, which is higher than every count: {_SETTLE}, and give all events of an image "
            "the same kind of version"
        )
    if not is_stamp(held.version):
        occurred_at = msgspec.convert(change.occurred_at, Time)
        if occurred_at <= held.occurred_at:
            return None
        return (
            f"version {change.version} occurred at {change.occurred_at}, later than the stored "
            f"version {held.version} ({msgspec.to_builtins(held.occurred_at)}): {_SETTLE}, and let "
            f"the source count on above {held.version}"
        )
    ahead_us = held.version - held.arrived_at * 1000
    if ahead_us <= MOST_AHEAD_US or is_imported(change.version, change.arrived_at):
        return None
    return (
        f"version {change.version} arrived after the stored version {held.version}, a stamp that "
        f"is {ahead_us // 1_000_000} s ahead of its own arrival: {_SETTLE}, and correct the clock "
        f"of the host that set version {held.version}"
    )
