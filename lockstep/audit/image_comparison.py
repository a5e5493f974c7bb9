"""The comparison of the table with the index."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import DifferenceKind, difference
from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry
from lockstep.stream.stream import SKEW
from shared.quarantine import TABLE_CONSUMER

type StoreName = Literal["table", "index"]


class ImageComparison(msgspec.Struct, frozen=True):
    """See `Comparison`. A difference is proved if both consumers have processed all arrivals."""

    record: StoreName = "table"
    replica: StoreName = "index"
    replica_first: bool = False

    def difference(
        self, record: Entry | None, replica: Entry | None, *, now: float
    ) -> DifferenceKind | None:
        """See `lockstep.audit.compare.difference`."""
        return difference(record, replica, now=now)

    def verdict(
        self,
        suspect: Suspect,
        record: Entry | None,
        replica: Entry | None,
        *,
        until: float,
        now: float,
    ) -> Suspect | DifferenceKind | None:
        """See `Comparison.verdict`."""
        kind = difference(record, replica, now=now)
        if kind is None or _newest_arrival((record, replica), now) <= until:
            return kind
        if _caught_up(suspect, record, replica):
            return None
        return _with_version(suspect, record, replica)

    def ahead(
        self,
        record: Entry | None,
        replica: Entry | None,
        *,
        now: float,
        quarantined_by: AbstractSet[str],
    ) -> AheadKind | None:
        """See `lockstep.audit.ahead.ahead`."""
        return ahead(record, replica, now=now, explained=TABLE_CONSUMER in quarantined_by)


IMAGES: Final = ImageComparison()


def _newest_arrival(entries: Iterable[Entry | None], now: float) -> int:
    """The newest arrival that these entries claim, in milliseconds since 1970; 0 if there is none.

    An arrival in the future is of no record: somebody else wrote the entry.
    """
    latest = (now + SKEW.total_seconds()) * 1000
    return max(
        (
            one.arrived_at
            for one in entries
            if one is not None and not one.malformed and one.arrived_at <= latest
        ),
        default=0,
    )


def _with_version(suspect: Suspect, table: Entry | None, index: Entry | None) -> Suspect:
    """The suspect, with the version that both stores must pass to count as equal."""
    if suspect.seen:
        return suspect
    newest = max((one.version for one in (table, index) if one), default=0)
    return msgspec.structs.replace(suspect, seen=f"{newest}" if newest else "")


def _caught_up(suspect: Suspect, table: Entry | None, index: Entry | None) -> bool:
    """Whether both stores have passed the version of the first lookup.

    An image that changes all the time differs at every lookup, each time in other versions.
    """
    if table is None or index is None or table.version == index.version:
        return False
    if table.malformed or index.malformed or not suspect.seen:
        return False
    return int(suspect.seen) <= min(table.version, index.version)
