"""The operations that read rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstep.local.tablestore.capacity import consumed, units
from lockstep.local.tablestore.checks import (
    check_columns_to_get,
    check_no_transaction,
    check_read_key,
    check_table_name,
)
from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.errors import TableStoreError, invalid, unsupported
from lockstep.local.tablestore.faults import Attempt
from lockstep.local.tablestore.filters import Pagination, RowFilter, decode_filter, passes
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.plain_buffer import (
    decode_bare_row,
    decode_row,
    encode_bare_row,
    encode_row,
    encode_rows,
)
from lockstep.local.tablestore.schema import check_fits, living
from lockstep.local.tablestore.store import StoredTable
from lockstep.local.tablestore.values import Cell, Key, TableRow, cells_size, key_size, ordered

MOST_ROWS_OF_BATCH = 100
MOST_ROWS_OF_PAGE = 5000
MOST_BYTES_OF_PAGE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """What a read returns of a row: columns, versions, and only rows that pass the filter."""

    columns: frozenset[str]
    start_column: str
    end_column: str
    versions: int
    start_time: int
    end_time: int
    filter: RowFilter | None

    def of(self, row: TableRow) -> TableRow | None:
        """What is returned of a row; None if nothing is."""
        cells = self._versions(cell for cell in row.cells if self._wants(cell))
        named = not self.columns.isdisjoint(column.name for column in row.key)
        if self.columns and not cells and not named:
            return None
        found = TableRow(row.key, cells)
        if not passes(self.filter, found):
            return None
        return TableRow(row.key, self._page(cells))

    def _wants(self, cell: Cell) -> bool:
        timestamp = cell.timestamp or 0
        return (
            (not self.columns or cell.name in self.columns)
            and cell.name >= self.start_column
            and (not self.end_column or cell.name < self.end_column)
            and self.start_time <= timestamp < self.end_time
        )

    def _versions(self, cells: Iterator[Cell]) -> tuple[Cell, ...]:
        kept: list[Cell] = []
        count = 0
        for cell in cells:
            count = count + 1 if kept and kept[-1].name == cell.name else 1
            if count <= self.versions:
                kept.append(cell)
        return tuple(kept)

    def _page(self, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        if not isinstance(self.filter, Pagination):
            return cells
        names = list(dict.fromkeys(cell.name for cell in cells))
        page = frozenset(names[self.filter.offset : self.filter.offset + self.filter.limit])
        return tuple(cell for cell in cells if cell.name in page)


def get_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Read one row."""
    check_no_transaction(request)
    _check_no_token(request.token)
    check_table_name(request.table_name)
    selection = _selection(request, "No version condition is specified.")
    key = check_read_key(decode_row(request.primary_key))
    row, size = _read(endpoint, "GetRow", request.table_name, key, selection)
    return pb.GetRowResponse(consumed=consumed(read=units(size)), row=row)


def batch_get_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Read up to 100 rows. What is wrong with the request fails all of them."""
    if not request.tables:
        raise invalid("No row specified in the request of BatchGetRow.")
    if sum(len(one.primary_key) for one in request.tables) > MOST_ROWS_OF_BATCH:
        raise invalid(f"Rows count exceeds the upper limit: {MOST_ROWS_OF_BATCH}.")
    reads = []
    for one in request.tables:
        check_table_name(one.table_name)
        selection = _selection(one, "No version condition is specified while querying row.")
        _check_no_token(*one.token)
        keys = [check_read_key(decode_row(data)) for data in one.primary_key]
        reads.append((one.table_name, selection, keys))
    answer = pb.BatchGetRowResponse()
    for name, selection, keys in reads:
        answered = answer.tables.add(table_name=name)
        for key in keys:
            row = answered.rows.add()
            try:
                row.row, size = _read(endpoint, "BatchGetRow", name, key, selection)
            except TableStoreError as error:
                row.is_ok = False
                row.error.code, row.error.message = error.code, error.message
            else:
                row.is_ok = True
                row.consumed.CopyFrom(consumed(read=units(size)))
    return answer


def get_range(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Read a page of a range of rows, and say where the next page begins."""
    check_no_transaction(request)
    _check_no_token(request.token)
    check_table_name(request.table_name)
    selection = _selection(request, "No version condition is specified.")
    if request.HasField("limit") and request.limit <= 0:
        raise invalid("The limit must be greater than 0.")
    start = check_read_key(decode_row(request.inclusive_start_primary_key), bounds=True)
    end = check_read_key(decode_row(request.exclusive_end_primary_key), bounds=True)
    table = endpoint.table(request.table_name)
    check_fits(table, start)
    check_fits(table, end)
    most = min(request.limit or MOST_ROWS_OF_PAGE, MOST_ROWS_OF_PAGE)
    rows: list[bytes] = []
    size = 0
    next_start = None
    for scanned, row in enumerate(_range(endpoint, table, request.direction, start, end)):
        # A page has one row at least, and never more bytes for another one.
        if scanned == most or (scanned and size + _size(row) > MOST_BYTES_OF_PAGE):
            next_start = encode_row(TableRow(row.key))
            break
        size += _size(row)
        selected = selection.of(row)
        if selected is not None:
            rows.append(encode_bare_row(selected))
    return pb.GetRangeResponse(
        consumed=consumed(read=units(size)),
        rows=encode_rows(rows),
        next_start_primary_key=next_start,
    )


def _range(
    endpoint: TableStoreEndpoint, table: StoredTable, direction: int, start: Key, end: Key
) -> Iterator[TableRow]:
    first, last = ordered(start), ordered(end)
    if direction == pb.FORWARD:
        if first >= last:
            raise invalid("Begin key must less than end key in FORWARD")
        found = endpoint.store.forward(table, first, last)
    else:
        if first <= last:
            raise invalid("Begin key must more than end key in BACKWARD")
        found = endpoint.store.backward(table, first, last)
    now = endpoint.now()
    alive = (living(table, decode_bare_row(data), now) for data in found)
    return (row for row in alive if row is not None)


def _read(
    endpoint: TableStoreEndpoint, operation: str, name: str, key: Key, selection: Selection
) -> tuple[bytes, int]:
    """The row as a message has it, empty if there is none, and its size."""
    table = endpoint.table(name)
    check_fits(table, key)
    fault = endpoint.faults(Attempt(operation, name, key))
    if fault is not None:
        raise fault.error
    stored = endpoint.store.row(table, ordered(key))
    row = None if stored is None else living(table, decode_bare_row(stored), endpoint.now())
    selected = None if row is None else selection.of(row)
    if row is None or selected is None:
        return b"", 0
    return encode_row(selected), _size(selected)


def _check_no_token(*tokens: bytes) -> None:
    # A token says at which column a read of a wide row goes on.
    if any(tokens):
        raise unsupported("tokens of wide columns")


def _size(row: TableRow) -> int:
    # Each stored cell has a timestamp, and reads do not count it.
    return key_size(row.key) + cells_size(row.cells) - 8 * len(row.cells)


def _selection(message: Any, no_version: str) -> Selection:
    check_columns_to_get(message.columns_to_get)
    found = decode_filter(message.filter)
    for name in ("start_column", "end_column"):
        if message.HasField(name):
            check_columns_to_get([getattr(message, name)])
    start, end = _times(message)
    limited = message.HasField("max_versions")
    if not limited and not message.HasField("time_range"):
        raise invalid(no_version)
    if limited and message.max_versions <= 0:
        raise invalid(
            f"Invalid max versions: {message.max_versions}. Reason: Max versions must be positive."
        )
    return Selection(
        frozenset(message.columns_to_get),
        message.start_column,
        message.end_column,
        message.max_versions if limited else 2**31,
        start,
        end,
        found,
    )


def _times(message: Any) -> tuple[int, int]:
    times = message.time_range
    specific, starts, ends = (
        times.HasField(name) for name in ("specific_time", "start_time", "end_time")
    )
    if specific:
        if starts or ends:
            raise invalid("Specific tiemstamp and time range cannot be given at the same time.")
        if times.specific_time < 0:
            raise invalid("Specific timestamp cannot be less than 0.")
        return times.specific_time, times.specific_time + 1
    if starts != ends:
        raise invalid("Start and end time must be given at the same time.")
    return (times.start_time, times.end_time) if starts else (0, 2**63)
