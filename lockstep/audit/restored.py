"""Tells from the description of a table whether it was restored, and from which time."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from shared.horizon import RESTORABLE
from shared.rfc3339 import rfc3339


class Restored(msgspec.Struct, frozen=True):
    """A restore of the table. `to` is its restore point, `at` when the table was created.

    `too_late`: it was created longer after its restore point than a table may be restored back.
    Then the tombstones of deletions since that point may have expired, and a deletion be forgotten.
    """

    to: dt.datetime
    at: dt.datetime
    too_late: bool

    @property
    def warning(self) -> str:
        """What may be wrong if it was created too late."""
        return (
            f"the table was restored to {rfc3339(self.to, 'seconds')}, but at "
            f"{rfc3339(self.at, 'seconds')}: more than "
            f"{RESTORABLE.days} days later, so deletions may be forgotten "
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
    return Restored(to, at, too_late=at - to > RESTORABLE)
