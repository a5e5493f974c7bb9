"""How rows fit the schema and the options of their table."""

from lockstep.local.tablestore.errors import invalid, unsupported, wrong_key
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.store import StoredTable
from lockstep.local.tablestore.values import Bound, Cell, Key, TableRow, type_name

_KEY_TYPES = {pb.INTEGER: "VT_INTEGER", pb.STRING: "VT_STRING", pb.BINARY: "VT_BLOB"}
_DEFINED_TYPES = {
    pb.DCT_INTEGER: "VT_INTEGER",
    pb.DCT_DOUBLE: "VT_DOUBLE",
    pb.DCT_BOOLEAN: "VT_BOOLEAN",
    pb.DCT_STRING: "VT_STRING",
    pb.DCT_BLOB: "VT_BLOB",
}


def check_fits(table: StoredTable, key: Key) -> None:
    """Check that a key has the columns of the table, in their order. Each type has its bounds.

    Raises:
        TableStoreError: OTSInvalidPK.
    """
    schema = table.meta.primary_key
    if len(key) != len(schema):
        raise wrong_key(f"Validate PK size fail. Input: {len(key)}, Meta: {len(schema)}.")
    for column, wanted in zip(key, schema, strict=True):
        if column.name != wanted.name:
            raise wrong_key(f"Validate PK name fail. Input: {column.name}, Meta: {wanted.name}.")
        given = type_name(column.value)
        if not isinstance(column.value, Bound) and given != _KEY_TYPES[wanted.type]:
            raise wrong_key(
                f"Validate PK type fail. Input: {given}, Meta: {_KEY_TYPES[wanted.type]}."
            )


def check_writable(table: StoredTable) -> None:
    """Check that this endpoint can write into the table.

    Raises:
        TableStoreError: OTSUnsupportOperation.
    """
    if any(column.HasField("option") for column in table.meta.primary_key):
        raise unsupported("writing into tables with an auto-increment key")


def stamped(table: StoredTable, cells: tuple[Cell, ...], now: int) -> tuple[Cell, ...]:
    """The cells as they are stored: sorted by name, each with a timestamp, the newest first.

    Of several cells with one name and one timestamp, the last one stays.

    Raises:
        TableStoreError: OTSParameterInvalid, if a timestamp is too far from the time, or a value
            has not the type that the table defines for its column.
    """
    defined = {one.name: _DEFINED_TYPES[one.type] for one in table.meta.defined_column}
    deviation = table.options.deviation_cell_version_in_sec * 1000
    last: dict[tuple[str, int], Cell] = {}
    for cell in cells:
        timestamp = now if cell.timestamp is None else cell.timestamp
        if not now - deviation <= timestamp < now + max(1, deviation) or _expired(
            table, timestamp, now
        ):
            raise invalid(f"Invalid timestamp. Cell:{cell.name}.")
        if cell.value is not None and cell.name in defined:
            given, wanted = type_name(cell.value), defined[cell.name]
            if given != wanted:
                raise invalid(
                    f"Invalid column type for column {cell.name} expect {wanted} actual {given}"
                )
        last[cell.name, timestamp] = Cell(cell.name, cell.value, timestamp)
    return newest_first(table, tuple(last.values()))


def newest_first(table: StoredTable, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """Sort cells by name, then the newest first; of each column so many as the table keeps."""
    kept: list[Cell] = []
    versions = 0
    for cell in sorted(cells, key=lambda one: (one.name.encode(), -(one.timestamp or 0))):
        versions = versions + 1 if kept and kept[-1].name == cell.name else 1
        if versions <= table.options.max_versions:
            kept.append(cell)
    return tuple(kept)


def living(table: StoredTable, row: TableRow, now: int) -> TableRow | None:
    """What time to live leaves of a stored row; None if it had cells and all have expired."""
    cells = tuple(cell for cell in row.cells if not _expired(table, cell.timestamp or 0, now))
    return None if row.cells and not cells else TableRow(row.key, cells)


def _expired(table: StoredTable, timestamp: int, now: int) -> bool:
    seconds = table.options.time_to_live
    return bool(seconds != -1 and timestamp < now - seconds * 1000)
