"""A row of a replica as it is stored: what its columns say of the item."""

from collections.abc import Mapping
from typing import Final

from functions.write_to_tablestore.guard import label_of
from functions.write_to_tablestore.names import AT, DELETED, GUARD_COLUMNS, PURGE_AT, VERSION
from functions.write_to_tablestore.values import Cell

# In milliseconds since 1970: a later time has no date.
_YEAR_10000: Final = 253_402_300_800_000

type Cells = Mapping[str, Cell]
"""The columns of a row by name, without those of its key."""


def is_tombstone(row: Cells) -> bool:
    """Whether the row says that it is a tombstone: readers do not see it."""
    return row.get(DELETED) is True


def arrival_of(row: Cells) -> int:
    """When the change arrived that wrote the row, in milliseconds since 1970; 0 if unknown."""
    at = row.get(AT)
    return at if type(at) is int and 0 < at < _YEAR_10000 else 0


def columns_of_item(row: Cells) -> Cells:
    """The columns of the item: all but those of the version check."""
    return {name: cell for name, cell in row.items() if name not in GUARD_COLUMNS}


def same_columns(one: Cells, other: Cells) -> bool:
    """Whether the columns are the same, also in their types: 1, 1.0 and True differ."""
    return one.keys() == other.keys() and all(
        type(cell) is type(other[name]) and cell == other[name] for name, cell in one.items()
    )


def is_version(found: object, label: str) -> bool:
    """Whether it is a version that a record of the stream with this label can replace.

    A version of a later stream is none: each record would be stale.
    """
    its_label = label_of(found)
    return its_label is not None and its_label <= label


def flaw_in_guard(row: Cells, label: str) -> str | None:
    """Say what is wrong with the columns of the version check; None if nothing is.

    Args:
        row: the row.
        label: the label of the stream that the consumer reads, normalized.
    """
    version, deleted = row.get(VERSION), row.get(DELETED)
    if version is None:
        return f"{VERSION} is missing"
    if label_of(version) is None:
        return f"{VERSION} is no version"
    if not is_version(version, label):
        return f"{VERSION} is of a later stream than {label}"
    if type(row.get(AT)) is not int:
        return f"{AT} is no Integer"
    if not isinstance(deleted, bool):
        return f"{DELETED} is no Boolean"
    if deleted and type(row.get(PURGE_AT)) is not int:
        return f"{PURGE_AT} of the tombstone is no Integer"
    if deleted and columns_of_item(row):
        return "the tombstone has columns of an item"
    if not deleted and PURGE_AT in row:
        return f"the row has {PURGE_AT}, and is no tombstone"
    return None
