"""Tells from the description of a table whether it was restored, and from which time."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from shared.horizon import HORIZON


class Restored(msgspec.Struct, frozen=True):
    """A restore of the table. `to` is its restore point, `at` when the table was created.

    `too_late`: it was created more than the horizon after its restore point. Tombstones from before
    that point may then have expired, so a deletion may be forgotten.
    """

    to: dt.datetime
    at: dt.datetime
    too_late: bool

    @property
    def warning(self) -> str:
        """What is to be feared if it was created too late."""
        return (
            f"the table was restored to {_as_text(self.to)}, but at {_as_text(self.at)}: more than "
            f"{HORIZON.days} days later, so deletions from before may be forgotten "
            "(docs/guides/restore.md)"
        )


def restored(description: Mapping[str, Any]) -> Restored | None:
    """The restore that made a table; None if none did.

    Args:
        description: `Table` of the answer to DescribeTable.
    """
    summary = description.get("RestoreSummary")
    if summary is None:
        return None
    to, at = summary["RestoreDateTime"], description["CreationDateTime"]
    return Restored(to, at, too_late=at - to > HORIZON)


def _as_text(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
