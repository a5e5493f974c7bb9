"""Decides, from what both stores hold of one image, how to make them equal.

A plain repair goes from the table to the index only. It writes the index where the table has the
same or a higher version. What the index is ahead with stays, because the table may have lost it: a
replay of the stream or an operator's answer settles it (`lockstep.repair.answers`).
"""

from typing import assert_never

import msgspec

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import difference
from lockstep.stores.entry import Entry, entry_of
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed
from shared.change import Change, digest_of


class Agree(msgspec.Struct, frozen=True):
    """Both stores are equal: there is nothing to do."""


class WriteIndex(msgspec.Struct, frozen=True):
    """The table is newer: write its change to the index, with the version check."""

    change: Change


class OverwriteIndex(msgspec.Struct, frozen=True):
    """One version, two contents: overwrite the index's, unless it gets a higher version."""

    change: Change


class RecreateDocument(msgspec.Struct, frozen=True):
    """The document's `_version` is above the table's version, its content is not newer.

    Remove the document. The table's change can be written after OpenSearch has deleted the
    version, too, about a minute later (docs/internals/facts.md, OpenSearch).
    """

    image_id: str
    checked_version: int


class Ahead(msgspec.Struct, frozen=True):
    """The index has what the table lacks: it stays until an operator decides.

    `is_malformed`: the document is, so that only the table can win.
    """

    kind: AheadKind
    why: str
    is_malformed: bool = False


class NeedsOperator(msgspec.Struct, frozen=True):
    """The item is malformed, and the index has nothing that could replace it."""

    why: str


type Decision = Agree | WriteIndex | OverwriteIndex | RecreateDocument | Ahead | NeedsOperator


def decide(
    table: ImageState, index: ImageState, *, now: float, explained: bool = False
) -> Decision:
    """Decide what a plain repair does about one image.

    Args:
        table: what the table holds.
        index: what the index holds.
        now: seconds since 1970; an expired tombstone counts as absent.
        explained: whether the table's consumer has a record of the image in quarantine.
    """
    entries = _entry(table), _entry(index)
    if difference(*entries, now=now) is None:
        return Agree()
    kind = ahead(*entries, now=now, explained=explained)
    if kind is not None:
        return Ahead(kind, _what_is_ahead(table, index), isinstance(index, Malformed))
    match table:
        case Intact(change):
            return _into_index(change, index)
        case Malformed(why):
            return NeedsOperator(
                f"the item is malformed: {why}; the index cannot replace it: put the image again"
            )
        case Absent():  # then the index is ahead, or both are equal
            return Agree()
        case _:
            assert_never(table)


def _entry(stored: ImageState) -> Entry | None:
    """What an audit sees of this. The image ID does not matter to a comparison."""
    return None if isinstance(stored, Absent) else entry_of("", stored)


def _into_index(change: Change, index: ImageState) -> Decision:
    """Write the table's change to the index, which has nothing newer."""
    match index:
        case Absent():
            return WriteIndex(change)
        case Intact(checked_version=checked) | Malformed(checked_version=checked):
            # A document always has a `_version`.
            checked_version = checked or 0
        case _:
            assert_never(index)
    if checked_version < change.version:
        return WriteIndex(change)
    if checked_version == change.version:
        return OverwriteIndex(change)
    return RecreateDocument(change.image_id, checked_version)


def _what_is_ahead(table: ImageState, index: ImageState) -> str:
    """What both stores hold, in words."""
    return f"the index has {_in_words(index)}, the table {_in_words(table)}"


def _in_words(stored: ImageState) -> str:
    match stored:
        case Absent():
            return "nothing"
        case Intact(change):
            content = "a tombstone" if digest_of(change) is None else "an image"
            return f"{content} of version {change.version}"
        case Malformed(why, None):
            return f"a malformed entry without a version ({why})"
        case Malformed(why, version):
            return f"a malformed entry of version {version} ({why})"
        case _:
            assert_never(stored)
