"""A backlog after an outage: how large it becomes, and how long it takes to go away."""

import math
from collections.abc import Sequence
from itertools import accumulate

_HOUR = 3600
_DAY = 24 * _HOUR


def most_events(events_by_hour: Sequence[float], outage_hours: float) -> float:
    """The most events that arrive during an outage, whenever of the day it ends.

    Args:
        events_by_hour: events a second, in each hour of the day.
        outage_hours: how long the outage is.
    """
    return max(_arrived(events_by_hour, outage_hours, end) for end in range(24))


def catch_up_s(
    events_by_hour: Sequence[float], outage_hours: float, drain_events_per_second: float
) -> float | str:
    """The longest time until a backlog is gone, in seconds, whenever of the day the outage ends.

    Events arrive all the time. A day is taken to be as the one before.

    Args:
        events_by_hour: events a second, in each hour of the day.
        outage_hours: how long the outage is.
        drain_events_per_second: how many events a second the consumer processes.

    Returns:
        `never` if the consumer does not process more than arrives on average.
    """
    if drain_events_per_second <= sum(events_by_hour) / len(events_by_hour):
        return "never"
    return max(
        _seconds(
            _arrived(events_by_hour, outage_hours, end),
            [
                (drain_events_per_second - events_by_hour[(end + hour) % 24]) * _HOUR
                for hour in range(24)
            ],
        )
        for end in range(24)
    )


def _arrived(events_by_hour: Sequence[float], outage_hours: float, end: int) -> float:
    """The events of an outage that ends at the beginning of this hour."""
    whole = math.floor(outage_hours)
    events = sum(events_by_hour[(end - 1 - back) % 24] for back in range(whole))
    events += (outage_hours - whole) * events_by_hour[(end - 1 - whole) % 24]
    return events * _HOUR


def _seconds(backlog: float, gains: Sequence[float]) -> float:
    """The seconds until a backlog is gone, of which each hour of a day takes this much."""
    if backlog <= 0:
        return 0
    # On earlier days it cannot end.
    days = max(0, math.ceil((backlog - max(accumulate(gains))) / sum(gains)))
    left = backlog - days * sum(gains)
    for hour, gain in enumerate(gains):
        if left <= gain:
            return days * _DAY + (hour + max(0, left) / gain) * _HOUR
        left -= gain
    # After the rounding of sums, a remainder of the last hour.
    return float((days + 1) * _DAY)
