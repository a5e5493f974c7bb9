"""Compares two entries of one image: the only definition of when two stores are equal."""

from typing import Literal

from lockstep.stores.entry import Entry

DifferenceKind = Literal[
    "missing_in_index",
    "missing_in_table",
    "index_behind",
    "table_behind",
    "conflict",
    "deleted_in_one",
    "malformed",
    "index_version_moved",
]


def difference(table: Entry | None, index: Entry | None, *, now: float) -> DifferenceKind | None:
    """How the two stores differ in one image; None if they are equal.

    Args:
        table: the table's entry, if it has one.
        index: the index's entry, if it has one.
        now: seconds since 1970; an expired tombstone counts as absent in either store.
    """
    if _same_tombstone(table, index, now):
        return None
    table = None if table is None or table.expired(now) else table
    index = None if index is None or index.expired(now) else index
    if any(entry is not None and entry.malformed for entry in (table, index)):
        return "malformed"
    if table is None:
        return None if index is None else "missing_in_table"
    return "missing_in_index" if index is None else _between(table, index)


def _same_tombstone(table: Entry | None, index: Entry | None, now: float) -> bool:
    """Whether both hold one tombstone, expired in at least one: each store has its own expiry."""
    if table is None or index is None or not (table.expired(now) or index.expired(now)):
        return False
    return table.deleted and index.deleted and table.version == index.version


def _between(table: Entry, index: Entry) -> DifferenceKind | None:
    if index.version < table.version:
        return "index_behind"
    if table.version < index.version:
        return "table_behind"
    if table.deleted != index.deleted:
        return "deleted_in_one"
    if (table.digest, table.rest) != (index.digest, index.rest):
        return "conflict"
    if index.checked_version != index.version:
        return "index_version_moved"
    return None
