"""What Table Store checks in a request before it looks at a table: one fault fails all of it."""

import re
from collections.abc import Sequence
from typing import Any

from lockstep.local.tablestore.errors import invalid
from lockstep.local.tablestore.values import (
    Bound,
    Cell,
    CellOperation,
    Key,
    TableRow,
    Value,
    size_of,
    type_name,
)

MOST_KEY_COLUMNS = 4
MOST_KEY_BYTES = 1024
MOST_VALUE_BYTES = 2 * 1024 * 1024
MOST_COLUMNS = 1024
MOST_WRITTEN_BYTES = 4 * 1024 * 1024
MOST_TIMESTAMP = (2**63 - 1) // 1000

# As documented. Table Store accepts more column names: see docs/internals/tablestore.md.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def check_table_name(name: str) -> None:
    """Check the name of a table.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid table name: '{name}'.")


def check_column_name(name: str) -> None:
    """Check the name of a column.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid column name: '{name}'.")


def check_columns_to_get(names: Sequence[str]) -> None:
    """Check the columns that a read names.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    for name in names:
        check_column_name(name)
    if len(names) > MOST_COLUMNS:
        raise invalid(
            "The number of columns from the request exceeds the limit,"
            f" limit count: {MOST_COLUMNS}, column count: {len(names)}."
        )


def check_key_count(count: int) -> None:
    """Check the number of key columns.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if not 1 <= count <= MOST_KEY_COLUMNS:
        raise invalid(
            f"The number of primary key columns must be in range: [1, {MOST_KEY_COLUMNS}]."
        )


def check_unique(names: Sequence[str]) -> None:
    """Check that no key column is named twice.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    for at, name in enumerate(names):
        if name in names[:at]:
            raise invalid(f"Duplicated primary key name: '{name}'.")


def check_key(key: Key, *, bounds: bool = False) -> None:
    """Check a key. With `bounds`, it may have `INF_MIN` and `INF_MAX`.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    check_key_count(len(key))
    for column in key:
        check_column_name(column.name)
        allowed = bounds and column.value in {Bound.INF_MIN, Bound.INF_MAX}
        if isinstance(column.value, Bound) and not allowed:
            raise invalid(f"{type_name(column.value)} is an invalid type for the primary key.")
        if (size := size_of(column.value)) > MOST_KEY_BYTES and not isinstance(column.value, int):
            raise invalid(
                f"The length of primary key column: '{column.name}' exceeds the"
                f" MaxLength:{MOST_KEY_BYTES} with CurrentLength:{size}."
            )
    check_unique([column.name for column in key])


def check_read_key(row: TableRow, *, bounds: bool = False) -> Key:
    """Check that a row of a read is a key alone; returns the key.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if row.delete_marker:
        raise invalid("Delete marker cannot be given.")
    if row.cells:
        raise invalid("Attribute column cannot be given while reading data.")
    check_key(row.key, bounds=bounds)
    return row.key


def check_put(row: TableRow) -> None:
    """Check a row that replaces another.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    _check_cells(row)
    for cell in row.cells:
        if cell.operation is not None:
            raise invalid(f"OpType cannot be given for column name:{cell.name} in PutRow.")
        if cell.value is None:
            raise invalid("Invalid request of put row: find cells without values.")


def check_update(row: TableRow) -> None:
    """Check the change of a row.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    _check_cells(row)
    if not row.cells:
        raise invalid("Invalid update row request: missing cells in request.")
    for cell in row.cells:
        _check_operation(cell)


def check_delete(row: TableRow) -> None:
    """Check a row that is to be deleted.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    check_key(row.key)
    if not row.delete_marker:
        raise invalid("Invalid request of delete row: missing RowDeleteMarker in request.")
    if row.cells:
        raise invalid("Invalid delete row request: unexpected cells in request.")


def check_written(size: int, operation: str) -> None:
    """Check how many bytes a request writes.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if size > MOST_WRITTEN_BYTES:
        raise invalid(
            f"The total data size of {operation} request exceeds the limit,"
            f" limit size: {MOST_WRITTEN_BYTES}, data size: {size}."
        )


def check_no_transaction(message: Any) -> None:
    """Check that a request is not part of a transaction: there are none.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if message.transaction_id:
        raise invalid("TransactionID is invalid.")


def _check_cells(row: TableRow) -> None:
    check_key(row.key)
    if row.delete_marker:
        raise invalid("Invalid request of put/update row: unexpected RowDeleteMarker in request.")
    if len(row.cells) > MOST_COLUMNS:
        raise invalid(
            "The number of attribute columns exceeds the limit,"
            f" limit count: {MOST_COLUMNS}, column count: {len(row.cells)}."
        )
    key_names = {column.name for column in row.key}
    for cell in row.cells:
        _check_cell(cell)
        if cell.name in key_names:
            raise invalid(f"Duplicated attribute column name with primary key column: {cell.name}.")


def check_value(name: str, value: Value) -> None:
    """Check the size of a value of an attribute column.

    Raises:
        TableStoreError: OTSParameterInvalid.
    """
    if (size := size_of(value)) > MOST_VALUE_BYTES:
        raise invalid(
            f"The length of attribute column: '{name}' exceeds the"
            f" MaxLength:{MOST_VALUE_BYTES} with CurrentLength:{size}."
        )


def _check_cell(cell: Cell) -> None:
    check_column_name(cell.name)
    if cell.value is not None:
        check_value(cell.name, cell.value)
    if cell.timestamp is not None and not 0 <= cell.timestamp < MOST_TIMESTAMP:
        raise invalid("Timestamp must be in range [0, INT64_MAX/1000).")


def _check_operation(cell: Cell) -> None:
    match cell.operation:
        case CellOperation.DELETE_ALL_VERSIONS | CellOperation.DELETE_ONE_VERSION if (
            cell.value is not None
        ):
            raise invalid(
                "Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION."
            )
        case CellOperation.DELETE_ALL_VERSIONS if cell.timestamp is not None:
            raise invalid("Timestamp cannot be given when type is DELETE_ALL_VERSION.")
        case CellOperation.DELETE_ONE_VERSION if cell.timestamp is None:
            raise invalid("Timestamp must be given when type is DELETE_ONE_VERSION.")
        case None | CellOperation.INCREMENT if cell.value is None:
            raise invalid(f"Invalid cell: {cell.name}. Reason: missing value.")
        case CellOperation.INCREMENT if isinstance(cell.value, bool) or not isinstance(
            cell.value, int
        ):
            raise invalid(f"Invalid column type: {type_name(cell.value or 0)}.")
        case _:
            pass
