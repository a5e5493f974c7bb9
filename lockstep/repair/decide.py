"""The decision: what both stores hold of one image in, what is to be done about it out. Pure.

The newer side wins, be it a removal that is over; at the same version the table does. Absent here
lowers a version, and what cannot be mended without losing something is left to a person.
"""

import datetime as dt

import msgspec

from lockstep.audit.compare import difference
from lockstep.stores.entry import entry_of
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed
from lockstep.stores.stamps import FIRST_STAMP, too_far_ahead
from shared.change import Change, digest_of
from shared.event import MAX_VERSION


class Agree(msgspec.Struct, frozen=True):
    """Both say the same: there is nothing to do."""


class WriteTable(msgspec.Struct, frozen=True):
    """The index is newer: its change goes into the table, under the guard."""

    change: Change


class WriteIndex(msgspec.Struct, frozen=True):
    """The table is newer: its change goes into the index, under the guard."""

    change: Change


class OverwriteIndex(msgspec.Struct, frozen=True):
    """One version, two contents: the table's goes into the index, unless that has moved on."""

    change: Change


class Republish(msgspec.Struct, frozen=True):
    """A guard stands above what is right: this change, of a higher version, goes into both."""

    change: Change


class RemoveFromIndex(msgspec.Struct, frozen=True):
    """What the table has forgotten, or outlived, leaves the index, unless it moves on."""

    image_id: str
    guard: int


class RecreateDocument(msgspec.Struct, frozen=True):
    """The index's guard stands too high, and no higher version may be given.

    The document leaves the index; the table's is written once OpenSearch has forgotten the
    version, which takes it a minute (docs/internals/facts.md, OpenSearch).
    """

    image_id: str
    guard: int


class NeedsOperator(msgspec.Struct, frozen=True):
    """Absent can be done without losing something: a person must look."""

    why: str


type Decision = (
    Agree
    | WriteTable
    | WriteIndex
    | OverwriteIndex
    | Republish
    | RemoveFromIndex
    | RecreateDocument
    | NeedsOperator
)


def decide(table: ImageState, index: ImageState, *, now: float, horizon: dt.timedelta) -> Decision:
    """What is to be done so that both stores say the same of one image.

    Args:
        table: what the table holds.
        index: what the index holds.
        now: in seconds since 1970; a tombstone past its time counts as absence.
        horizon: how long tombstones stay; what is older may have been deleted, and the tombstone
            purged (docs/internals/invariants.md).
    """
    match table, index:
        case Intact(), Intact() if _equal(table, index, now):
            return Agree()
        case Intact(), _ if not table.expired(now):
            return _from_table(table.change, index, now)
        case Malformed(), _:
            return _over_item(table, index, now)
    # The table has nothing, or a tombstone past its time.
    match index:
        case Absent():
            return Agree()
        case Malformed():
            return NeedsOperator(f"not in the table, and the index's is malformed: {index.why}")
    outlived = isinstance(table, Intact) and index.version <= table.version
    if index.expired(now):
        return Agree()
    if outlived or index.change.arrived_at / 1000 + horizon.total_seconds() <= now:
        return RemoveFromIndex(index.change.image_id, index.guard)
    return _into_table(index.change, index.guard, now)


def _equal(table: Intact, index: Intact, now: float) -> bool:
    """Whether an audit finds no difference."""
    image_id = table.change.image_id
    return difference(entry_of(image_id, table), entry_of(image_id, index), now=now) is None


def _from_table(change: Change, index: ImageState, now: float) -> Decision:
    """The table holds this change, for certain."""
    match index:
        case Absent():
            return WriteIndex(change)
        case Intact() if index.version > change.version:
            # Also of a removal past its time: the table never got it, and is to forget the image.
            edited = index.guard < index.version  # no sink of ours leaves it so
            if edited and digest_of(index.change) == digest_of(change):
                return _into_index(change, index.guard, now)
            return _into_table(index.change, index.guard, now)
        case Intact() if index.expired(now):
            return _into_index(change, index.guard, now, hidden=True)
        case Malformed() if index.version is not None and index.version > change.version:
            return NeedsOperator(
                f"the index says version {index.version}, malformed ({index.why}), the table "
                f"{change.version}: put the image again"
            )
        case Intact() | Malformed():
            guard = MAX_VERSION if index.guard is None else index.guard
            return _into_index(change, guard, now)


def _into_table(change: Change, guard: int, now: float) -> Decision:
    """The index is newer; but what nobody could have sent must not freeze the image."""
    if guard < change.version:
        return NeedsOperator(
            f"the index says version {change.version} under _version {guard}, which no sink of "
            "ours writes: put the image again"
        )
    if too_far_ahead(change.version, now):
        return NeedsOperator(
            f"the index says version {change.version}, more than a day ahead of now"
        )
    return WriteTable(change)


def _into_index(change: Change, guard: int, now: float, *, hidden: bool = False) -> Decision:
    """The table's change, past the index's guard. What readers see is not to vanish meanwhile."""
    if guard < change.version:
        return WriteIndex(change)
    if guard == change.version:
        return OverwriteIndex(change)
    if hidden or not _may_follow(guard, change, now):
        return RecreateDocument(change.image_id, guard)
    return Republish(at_version(change, guard + 1))


def _over_item(table: Malformed, index: ImageState, now: float) -> Decision:
    """The table's item is not ours: only the index can say what it should be."""
    why = f"the table's item is malformed: {table.why}"
    if not isinstance(index, Intact) or index.expired(now):
        return NeedsOperator(f"{why}; the index has no better one: put the image again")
    if table.guard is None:
        return NeedsOperator(f"{why}; its version is no number: delete the item, then repair")
    if table.guard < index.version:
        return _into_table(index.change, index.guard, now)
    above = max(table.guard, index.guard)
    if table.guard == index.version and _may_follow(above, index.change, now):
        return Republish(at_version(index.change, above + 1))
    return NeedsOperator(
        f"{why}; its guard stands at {table.guard}: put the image again, above that"
    )


def at_version(change: Change, version: int) -> Change:
    """The same change under another version."""
    return msgspec.structs.replace(change, version=version)


def _may_follow(guard: int, change: Change, now: float) -> bool:
    """Whether the next number after this guard may be given to the image.

    Only where versions are stamps: where a source counts them, that number is its own next one,
    and a rightful event would be taken for a stale one. And never one that would freeze it.
    """
    return change.version >= FIRST_STAMP and not too_far_ahead(guard + 1, now)
