"""How an update changes the cells of a row."""

from lockstep.local.tablestore.errors import invalid
from lockstep.local.tablestore.schema import newest_first, stamped
from lockstep.local.tablestore.store import StoredTable
from lockstep.local.tablestore.values import Cell, CellOperation, TableRow, type_name

type Columns = dict[str, dict[int, Cell]]
"""The cells of each column, by timestamp."""


def updated(
    table: StoredTable, change: TableRow, before: TableRow | None, now: int
) -> TableRow | None:
    """The row after an update. A missing row is created, unless nothing is written into it.

    Raises:
        TableStoreError: OTSParameterInvalid, if a column to increment is not an Integer, or as
            `stamped`.
    """
    columns: Columns = {}
    for cell in () if before is None else before.cells:
        columns.setdefault(cell.name, {})[cell.timestamp or 0] = cell
    for cell in change.cells:
        _change(table, columns, cell, now)
    cells = tuple(cell for column in columns.values() for cell in column.values())
    if before is None and not cells:
        return None
    return TableRow(change.key, newest_first(table, cells))


def _change(table: StoredTable, columns: Columns, change: Cell, now: int) -> None:
    column = columns.setdefault(change.name, {})
    match change.operation:
        case CellOperation.DELETE_ALL_VERSIONS:
            column.clear()
            return
        case CellOperation.DELETE_ONE_VERSION:
            column.pop(change.timestamp or 0, None)
            return
        case CellOperation.INCREMENT:
            written = Cell(change.name, _sum(column, change), change.timestamp)
        case None:
            written = Cell(change.name, change.value, change.timestamp)
    for cell in stamped(table, (written,), now):
        column[cell.timestamp or 0] = cell


def _sum(column: dict[int, Cell], change: Cell) -> int:
    newest = column[max(column)].value if column else 0
    if isinstance(newest, bool) or not isinstance(newest, int):
        raise invalid(
            f"Invalid column type for column {change.name} expect VT_INTEGER"
            f" actual {type_name(newest or 0)}"
        )
    assert isinstance(change.value, int)  # noqa: S101 - `check_update` refuses others
    # Table Store has 64 bits; what it does beyond them is not documented.
    return (newest + change.value + 2**63) % 2**64 - 2**63
