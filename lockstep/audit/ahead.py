"""Says in which images the index is ahead of the table: what a plain repair leaves as it is."""

from typing import Literal

from lockstep.audit.compare import difference
from lockstep.stores.entry import Entry
from shared.horizon import HORIZON

AheadKind = Literal["image", "removal", "outlived", "malformed", "explained"]


def ahead(
    table: Entry | None, index: Entry | None, *, now: float, explained: bool
) -> AheadKind | None:
    """What the index has that the table lacks; None if the table has the same or a newer version.

    A malformed document counts as what it claims. So does an expired tombstone of the index with a
    higher version than the table's: the table never received that deletion.

    Args:
        table: the table's entry, if it has one.
        index: the index's entry, if it has one.
        now: seconds since 1970.
        explained: whether the table's consumer has a record of this image in quarantine.

    Returns:
        `malformed`: the item in the table is. `explained`, `outlived`: only the index has the
        image, and `explained` is true, or it arrived longer ago than the horizon, so perhaps it was
        deleted and the tombstones have expired. Otherwise `image` or `removal`.
    """
    if index is None or difference(table, index, now=now) is None:
        return None
    if table is not None and table.malformed:
        return None if index.malformed or index.expired(now) else "malformed"
    if table is None or table.expired(now):
        if explained:
            return "explained"
        if _outlived(table, index, now):
            return "outlived"
    elif index.version <= table.version:
        return None
    return "removal" if index.deleted else "image"


def _outlived(table: Entry | None, index: Entry, now: float) -> bool:
    """Whether the image was perhaps, or certainly, deleted so long ago that tombstones are over."""
    if table is not None and index.version <= table.version:
        return True
    return 0 < index.arrived_at <= (now - HORIZON.total_seconds()) * 1000
