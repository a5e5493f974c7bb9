"""How an update changes the cells of a row."""

from lockstep.local.tablestore.errors import invalid
from lockstep.local.tablestore.schema import newest_first, stamped
from lockstep.local.tablestore.store import StoredTable
from lockstep.local.tablestore.values import Cell, CellOperation, TableRow, Value, type_name


def updated(
    table: StoredTable, change: TableRow, before: TableRow | None, now: int
) -> TableRow | None:
    """The row after an update. A missing row is created, unless nothing is written into it.

    Raises:
        TableStoreError: OTSParameterInvalid, if a column to increment is not an Integer, or as
            `stamped`.
    """
    cells = () if before is None else before.cells
    for cell in change.cells:
        cells = _changed(table, cells, cell, now)
    if before is None and not cells:
        return None
    return TableRow(change.key, newest_first(table, cells))


def _changed(
    table: StoredTable, cells: tuple[Cell, ...], change: Cell, now: int
) -> tuple[Cell, ...]:
    value: Value | None
    match change.operation:
        case CellOperation.DELETE_ALL_VERSIONS:
            return tuple(cell for cell in cells if cell.name != change.name)
        case CellOperation.DELETE_ONE_VERSION:
            gone = (change.name, change.timestamp)
            return tuple(cell for cell in cells if (cell.name, cell.timestamp) != gone)
        case CellOperation.INCREMENT:
            value = _sum(cells, change)
        case None:
            value = change.value
    (written,) = stamped(table, (Cell(change.name, value, change.timestamp),), now)
    place = (written.name, written.timestamp)
    return (*(cell for cell in cells if (cell.name, cell.timestamp) != place), written)


def _sum(cells: tuple[Cell, ...], change: Cell) -> int:
    found = [cell for cell in cells if cell.name == change.name]
    newest = max(found, key=lambda cell: cell.timestamp or 0).value if found else 0
    if isinstance(newest, bool) or not isinstance(newest, int):
        raise invalid(
            f"Invalid column type for column {change.name} expect VT_INTEGER"
            f" actual {type_name(newest or 0)}"
        )
    assert isinstance(change.value, int)  # noqa: S101 - `check_update` refuses others
    # Table Store has 64 bits; what it does beyond them is not documented.
    return (newest + change.value + 2**63) % 2**64 - 2**63
