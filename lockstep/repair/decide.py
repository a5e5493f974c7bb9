"""Decides, from what both stores hold of one image, how to make them equal.

The newer version wins, also if it is an expired tombstone; at the same version the table wins. No
decision lowers a version. An image that cannot be repaired without loss is left to an operator.
"""

import msgspec

from lockstep.audit.compare import difference
from lockstep.stores.entry import entry_of
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed
from lockstep.stores.stamps import FIRST_STAMP, too_far_ahead
from shared.change import Change, digest_of
from shared.event import MAX_VERSION
from shared.horizon import HORIZON


class Agree(msgspec.Struct, frozen=True):
    """Both stores are equal: there is nothing to do."""


class WriteTable(msgspec.Struct, frozen=True):
    """The index is newer: write its change to the table, with the version check."""

    change: Change


class WriteIndex(msgspec.Struct, frozen=True):
    """The table is newer: write its change to the index, with the version check."""

    change: Change


class OverwriteIndex(msgspec.Struct, frozen=True):
    """One version, two contents: overwrite the index's, unless it gets a higher version."""

    change: Change


class Republish(msgspec.Struct, frozen=True):
    """A checked version is too high: write this change to both stores, with a higher version."""

    change: Change


class RemoveFromIndex(msgspec.Struct, frozen=True):
    """The table no longer has the image: remove the document, unless it gets a new version."""

    image_id: str
    checked_version: int


class RecreateDocument(msgspec.Struct, frozen=True):
    """The document's `_version` is too high, and no higher version may be assigned.

    Remove the document. The table's change can be written after OpenSearch has deleted the
    version, too, about a minute later (docs/internals/facts.md, OpenSearch).
    """

    image_id: str
    checked_version: int


class NeedsOperator(msgspec.Struct, frozen=True):
    """Nothing can be done without loss: an operator must decide."""

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


def decide(table: ImageState, index: ImageState, *, now: float) -> Decision:
    """Decide how to make both stores equal in one image.

    Args:
        table: what the table holds.
        index: what the index holds.
        now: seconds since 1970; an expired tombstone counts as absent. An image that is older than
            the horizon may have been deleted, and its tombstone purged
            (docs/internals/invariants.md).
    """
    match table, index:
        case Intact(), Intact() if _equal(table, index, now):
            return Agree()
        case Intact(), _ if not table.expired(now):
            return _from_table(table.change, index, now)
        case Malformed(), _:
            return _replace_item(table, index, now)
    # The table has nothing, or an expired tombstone.
    match index:
        case Absent():
            return Agree()
        case Malformed():
            return NeedsOperator(
                f"the table does not have it, and the document is malformed: {index.why}"
            )
    outlived = isinstance(table, Intact) and index.version <= table.version
    if index.expired(now):
        return Agree()
    if outlived or index.change.arrived_at / 1000 + HORIZON.total_seconds() <= now:
        return RemoveFromIndex(index.change.image_id, index.checked_version)
    return _into_table(index.change, index.checked_version, now)


def _equal(table: Intact, index: Intact, now: float) -> bool:
    """Whether an audit finds no difference."""
    image_id = table.change.image_id
    return difference(entry_of(image_id, table), entry_of(image_id, index), now=now) is None


def _from_table(change: Change, index: ImageState, now: float) -> Decision:
    """The table holds this change, intact and not expired."""
    match index:
        case Absent():
            return WriteIndex(change)
        case Intact() if index.version > change.version:
            # Also for an expired tombstone: the table never got the deletion.
            edited = index.checked_version < index.version  # no sink of ours writes that
            if edited and digest_of(index.change) == digest_of(change):
                return _into_index(change, index.checked_version, now)
            return _into_table(index.change, index.checked_version, now)
        case Intact() if index.expired(now):
            return _into_index(change, index.checked_version, now, hidden=True)
        case Malformed() if index.version is not None and index.version > change.version:
            return NeedsOperator(
                f"the document has version {index.version} and is malformed ({index.why}), the "
                f"item has version {change.version}: put the image again"
            )
        case Intact() | Malformed():
            checked_version = (
                MAX_VERSION if index.checked_version is None else index.checked_version
            )
            return _into_index(change, checked_version, now)


def _into_table(change: Change, checked_version: int, now: float) -> Decision:
    """Write the newer change of the index to the table, unless no producer can have sent it.

    Its version would block later events.
    """
    if checked_version < change.version:
        return NeedsOperator(
            f"the document has version {change.version} but _version {checked_version}, which no "
            "sink writes: put the image again"
        )
    if too_far_ahead(change.version, now):
        return NeedsOperator(
            f"the document has version {change.version}, more than a day ahead of now"
        )
    return WriteTable(change)


def _into_index(
    change: Change, checked_version: int, now: float, *, hidden: bool = False
) -> Decision:
    """Write the table's change to the index, without hiding the image from readers if possible.

    `hidden`: readers do not see the image now.
    """
    if checked_version < change.version:
        return WriteIndex(change)
    if checked_version == change.version:
        return OverwriteIndex(change)
    if hidden or not _may_follow(checked_version, change, now):
        return RecreateDocument(change.image_id, checked_version)
    return Republish(at_version(change, checked_version + 1))


def _replace_item(table: Malformed, index: ImageState, now: float) -> Decision:
    """Replace a malformed item of the table by what the index holds, if that is safe."""
    why = f"the item is malformed: {table.why}"
    if not isinstance(index, Intact) or index.expired(now):
        return NeedsOperator(f"{why}; the index cannot replace it: put the image again")
    if table.checked_version is None:
        return NeedsOperator(f"{why}; its version is not a number: delete the item, then repair")
    if table.checked_version < index.version:
        return _into_table(index.change, index.checked_version, now)
    above = max(table.checked_version, index.checked_version)
    if table.checked_version == index.version and _may_follow(above, index.change, now):
        return Republish(at_version(index.change, above + 1))
    return NeedsOperator(
        f"{why}; put the image again, with a version above {table.checked_version}"
    )


def at_version(change: Change, version: int) -> Change:
    """The same change with another version."""
    return msgspec.structs.replace(change, version=version)


def _may_follow(checked_version: int, change: Change, now: float) -> bool:
    """Whether a repair may give the image the next version after `checked_version`.

    True if the image's versions are stamps and that version is not too far ahead. A source that
    counts versions will assign the same number to its next event, which would then be stale.
    """
    return change.version >= FIRST_STAMP and not too_far_ahead(checked_version + 1, now)
