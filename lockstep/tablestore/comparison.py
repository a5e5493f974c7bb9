"""The comparison of a DynamoDB table with its replica: when a row is not what its item is.

An item does not tell when it changed. So a difference is proved by two lookups: the consumer has
processed all changes from before the end of the first one, and since then the row is the same and
still another than the item. In each lookup, the row is read first.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry

type RowDifferenceKind = Literal[
    "missing_in_replica", "missing_in_source", "other_values", "malformed_version", "unconvertible"
]


class RowEntry(Entry, frozen=True, array_like=True):
    """The entry of an item or of a row, as a lookup finds it. `image_id` is the key as text.

    `row_version` is what the row has as its version, as text. `columns` has a digest of each
    column; None: columns were not read.
    """

    row_version: str = ""
    columns: Mapping[str, str] | None = None


def difference(record: Entry | None, replica: Entry | None) -> RowDifferenceKind | None:
    """How item and row differ; None if they are equal. A tombstone counts as absence.

    Args:
        record: the entry of the item. `malformed`: it cannot be converted.
        replica: the entry of the row. `malformed`: what is wrong with its columns of the version.
    """
    if record is not None and record.malformed is not None:
        return "unconvertible"
    if replica is not None and replica.malformed is not None:
        return "malformed_version"
    if replica is None or replica.deleted:
        return None if record is None else "missing_in_replica"
    if record is None:
        return "missing_in_source"
    return None if record.digest == replica.digest else "other_values"


class RowComparison(msgspec.Struct, frozen=True):
    """See `Comparison`."""

    record: str = "source"
    replica: str = "replica"
    replica_first: bool = True

    def difference(
        self, record: Entry | None, replica: Entry | None, *, now: float
    ) -> RowDifferenceKind | None:
        """See `difference`; the time does not matter: also an expired tombstone is absence."""
        del now
        return difference(record, replica)

    def verdict(
        self,
        suspect: Suspect,
        record: Entry | None,
        replica: Entry | None,
        *,
        until: float,
        now: float,
    ) -> Suspect | RowDifferenceKind | None:
        """See `Comparison.verdict`.

        A row that the consumer has written since the first lookup counts as equal: the consumer
        writes whole items. Otherwise, an item that changes all the time would never be decided.
        """
        kind = difference(record, replica)
        if kind is None or kind == "unconvertible":
            return kind
        version = replica.row_version if isinstance(replica, RowEntry) else ""
        if suspect.seen:
            moment, _, seen = suspect.seen.partition(" ")
            if version == seen:
                return kind if int(moment) <= until else suspect
            if version > seen and kind != "malformed_version":
                return None
        seen_now = f"{round(now * 1000)} {version}"
        return msgspec.structs.replace(suspect, seen=seen_now)

    def ahead(
        self,
        record: Entry | None,
        replica: Entry | None,
        *,
        now: float,
        quarantined_by: AbstractSet[str],
    ) -> None:
        """A replica is never ahead: its source is right."""
        del record, replica, now, quarantined_by


ROWS: Final = RowComparison()
