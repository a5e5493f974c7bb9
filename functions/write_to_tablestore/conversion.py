"""Conversion: from an item of any DynamoDB table to the key and the columns of a row.

Table Store's limits are checked here, so that no request is sent that it must refuse. Limits:
https://www.alibabacloud.com/help/en/tablestore/limits-on-widecolumn-model
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from functions.write_to_tablestore.names import GUARD_COLUMNS, escaped, flaw_in_name
from functions.write_to_tablestore.rows import Column
from functions.write_to_tablestore.values import (
    Cell,
    ConversionError,
    NumberType,
    Unfit,
    cell_of,
    integer_in,
    number_in,
)

MAX_KEY_BYTES: Final = 1024
MAX_CELL_BYTES: Final = 2 * 1024 * 1024
MAX_COLUMNS: Final = 1024
MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
# A row alone must fit a request, with its condition and the signature's parts.
MAX_ROW_BYTES: Final = MAX_REQUEST_BYTES - 64 * 1024
# What each cell and each row needs in a request besides names and values; both at most.
CELL_BYTES: Final = 24
ROW_BYTES: Final = 400

type Nulls = Literal["empty", "omit"]
"""What the value NULL becomes: an empty String, or no column."""


class OtherKeyError(Exception):
    """The key of the table is not the one that the settings name."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """How items become rows.

    `primary_key` names the attributes of the item's key, in the order of the row's key. `types` and
    `names` are by attribute: the type of its numbers, and its column.
    """

    primary_key: tuple[str, ...]
    unfit: Unfit = "refuse"
    nulls: Nulls = "empty"
    types: Mapping[str, NumberType] = {}
    names: Mapping[str, str] = {}

    def column(self, attribute: str) -> str:
        """The name of an attribute's column."""
        return self.names.get(attribute) or escaped(attribute)

    @property
    def key_columns(self) -> Sequence[str]:
        """The names of the columns of the row's key, in their order."""
        return [self.column(name) for name in self.primary_key]

    def key_of(self, keys: Mapping[str, Any]) -> tuple[Column, ...]:
        """The key of the row.

        Args:
            keys: the key of the item, in DynamoDB's typed form.

        Raises:
            OtherKeyError: the item has another key.
            ConversionError: Table Store cannot hold it.
        """
        if keys.keys() != set(self.primary_key):
            self.need_keys(keys)
        return tuple(
            (self.column(name), _told(name, _key_cell, keys[name])) for name in self.primary_key
        )

    def need_keys(self, names: Iterable[str]) -> None:
        """Check the names of the attributes of the source's key.

        Raises:
            OtherKeyError: the settings name another key.
        """
        if {*names} != {*self.primary_key}:
            raise OtherKeyError(
                f"the key of the source is {', '.join(sorted(names))}, and PRIMARY_KEY says "
                f"{','.join(self.primary_key)}: name exactly the source's key, in any order"
            )

    def keys_of(self, key: Iterable[Column]) -> Mapping[str, Any]:
        """The key of the item whose row has this key, in DynamoDB's typed form, with bytes."""
        return {name: _typed(cell) for name, (_, cell) in zip(self.primary_key, key, strict=True)}

    def columns_of(self, item: Mapping[str, Any]) -> tuple[Column, ...]:
        """The columns of an item's row, without its key.

        Args:
            item: the whole item, in DynamoDB's typed form.

        Raises:
            ConversionError: Table Store cannot hold it.
        """
        columns: dict[str, Cell] = {}
        taken = {*self.key_columns, *GUARD_COLUMNS}
        for name, value in item.items():
            if name in self.primary_key:
                continue
            column = self.column(name)
            flaw = flaw_in_name(column)
            if flaw is not None:
                raise ConversionError(
                    f"{name!r}: its column would be {column!r}: {flaw}: give it a name in "
                    "COLUMN_NAMES"
                )
            if column in taken:
                raise ConversionError(
                    f"{name!r}: another attribute has the column {column!r}, too: correct "
                    "COLUMN_NAMES"
                )
            taken.add(column)
            cell = _told(name, self._cell, value, self.types.get(name))
            if cell is not None:
                columns[column] = cell
        self._check(columns)
        return tuple(columns.items())

    def _cell(self, value: Mapping[str, Any], forced: NumberType | None) -> Cell | None:
        cell = cell_of(value, forced=forced, unfit=self.unfit)
        if cell is None:
            return "" if self.nulls == "empty" else None
        size = size_of_cell(cell)
        if size > MAX_CELL_BYTES:
            raise ConversionError(f"{size} bytes, at most {MAX_CELL_BYTES} in one column")
        return cell

    def _check(self, columns: Mapping[str, Cell]) -> None:
        count = len(self.primary_key) + len(columns) + len(GUARD_COLUMNS)
        if count > MAX_COLUMNS:
            raise ConversionError(
                f"{count} columns with the key and the columns of the version, at most "
                f"{MAX_COLUMNS} in a row"
            )
        size = size_of(columns.items())
        if size > MAX_ROW_BYTES - len(self.primary_key) * 2 * MAX_KEY_BYTES:
            raise ConversionError(f"a row of {size} bytes, which is too large for a request")


def size_of(columns: Iterable[Column]) -> int:
    """The bytes of these columns in a request, at most."""
    return ROW_BYTES + sum(
        CELL_BYTES + len(name.encode()) + size_of_cell(cell) for name, cell in columns
    )


def size_of_cell(cell: Cell) -> int:
    """The bytes of a value."""
    match cell:
        case str():
            return len(cell.encode())
        case bytes():
            return len(cell)
        case _:
            return 8


def _key_cell(value: Mapping[str, Any]) -> str | int | bytes:
    match value:
        case {"N": str(text)}:
            number = number_in(text)
            integer = integer_in(number)
            if integer is None:
                raise ConversionError(
                    f"{text}: a number in the key must be an Integer of 64 bits, because Table "
                    "Store has no other numbers in keys"
                )
            return integer
        case {"S": _} | {"B": _}:
            cell = cell_of(value)
            if not isinstance(cell, str | bytes):
                raise ConversionError("not a value of a key")
            size = size_of_cell(cell)
            if size > MAX_KEY_BYTES:
                raise ConversionError(f"{size} bytes, at most {MAX_KEY_BYTES} in a key")
            return cell
        case _:
            raise ConversionError("not a value of a key")


def _typed(cell: Cell) -> Mapping[str, Any]:
    match cell:
        case str():
            return {"S": cell}
        case bytes():
            return {"B": cell}
        case _:
            return {"N": str(cell)}


def _told[**P, R](name: str, convert: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `convert` returns; its errors name the attribute."""
    try:
        return convert(*args, **kwargs)
    except ConversionError as error:
        raise ConversionError(f"{name!r}: {error}") from None
    except UnicodeEncodeError:
        raise ConversionError(f"{name!r}: a text has a lone surrogate") from None
