"""The changes of rows: what the change of an item means for Table Store. A closed family."""

from collections.abc import Sequence

import msgspec

from functions.write_to_tablestore.names import AT, DELETED, PURGE_AT, VERSION
from functions.write_to_tablestore.values import Cell

type Column = tuple[str, Cell]


class RowPut(msgspec.Struct, frozen=True):
    """Replace the row by the whole item.

    `id` is the key as text, always the same for one row. `at` is when the item changed, in
    milliseconds since 1970. `columns` do not contain the key, nor the columns of the guard.
    """

    id: str
    key: tuple[Column, ...]
    version: str
    at: int
    columns: tuple[Column, ...]


class RowRemoval(msgspec.Struct, frozen=True):
    """Replace the row by a tombstone, which may be purged at `purge_at`, in seconds since 1970."""

    id: str
    key: tuple[Column, ...]
    version: str
    at: int
    purge_at: int


type RowChange = RowPut | RowRemoval


def columns_of(change: RowChange) -> Sequence[Column]:
    """All columns of the row that this change writes, without its key."""
    match change:
        case RowPut():
            guard: list[Column] = [(VERSION, change.version), (AT, change.at), (DELETED, False)]
            return [*change.columns, *guard]
        case RowRemoval():
            return [
                (VERSION, change.version),
                (AT, change.at),
                (DELETED, True),
                (PURGE_AT, change.purge_at),
            ]
