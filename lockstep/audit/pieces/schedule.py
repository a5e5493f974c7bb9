"""When the next audit is due, and whether it compares all values."""

import datetime as dt
from collections.abc import Callable
from typing import Protocol

import msgspec

from lockstep.audit.pieces.state import AuditState

# At least weekly, with audits that begin every night at the same hour.
VALUES_AFTER = dt.timedelta(days=6, hours=12).total_seconds()


class Schedule(Protocol):
    """Says when an audit begins. Times are in seconds since 1970."""

    def due(self, before: float, now: float) -> bool:
        """Whether an audit is due now, if the last one began at `before`."""
        ...


class Nightly(msgspec.Struct, frozen=True):
    """Every day at this hour, in UTC."""

    hour: int

    def due(self, before: float, now: float) -> bool:
        """See `Schedule.due`."""
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        latest = moment.replace(hour=self.hour, minute=0, second=0, microsecond=0)
        if latest > moment:
            latest -= dt.timedelta(days=1)
        return before < latest.timestamp()


class Every(msgspec.Struct, frozen=True):
    """So many seconds after the last audit began."""

    seconds: float

    def due(self, before: float, now: float) -> bool:
        """See `Schedule.due`."""
        return now - before >= self.seconds


def next_audit(
    before: AuditState | None, schedule: Schedule, *, now: float, parts: Callable[[], int]
) -> AuditState | None:
    """The audit to begin after one that has ended (None: the first one); None if none is due.

    `parts` returns its number of partitions.
    """
    if before is not None and not schedule.due(before.started, now):
        return None
    values_ended = None if before is None else before.values_ended
    return AuditState(
        run=f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y%m%dT%H%M%SZ}",
        values=values_ended is None or now - values_ended >= VALUES_AFTER,
        started=now,
        parts=parts(),
        values_ended=values_ended,
    )
