"""The operations that write rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lockstep.local.tablestore.capacity import consumed, units
from lockstep.local.tablestore.checks import (
    check_delete,
    check_no_transaction,
    check_put,
    check_table_name,
    check_update,
    check_written,
)
from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.errors import TableStoreError, condition_failed, invalid
from lockstep.local.tablestore.faults import Attempt
from lockstep.local.tablestore.filters import RowFilter, decode_filter, passes
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.plain_buffer import (
    decode_bare_row,
    decode_row,
    encode_bare_row,
    encode_row,
)
from lockstep.local.tablestore.schema import check_fits, check_writable, living, stamped
from lockstep.local.tablestore.store import StoredTable
from lockstep.local.tablestore.updates import updated
from lockstep.local.tablestore.values import TableRow, cells_size, key_size, ordered

MOST_ROWS = 200

type Kind = Literal["PutRow", "UpdateRow", "DeleteRow"]

_KINDS: Mapping[int, Kind] = {pb.PUT: "PutRow", pb.UPDATE: "UpdateRow", pb.DELETE: "DeleteRow"}
_CHECKS = {"PutRow": check_put, "UpdateRow": check_update, "DeleteRow": check_delete}


@dataclass(frozen=True, slots=True)
class Change:
    """What a request does to one row, if the row is as it expects."""

    kind: Kind
    table: str
    row: TableRow
    existence: int
    filter: RowFilter | None
    returns: Any

    @property
    def unconditional(self) -> bool:
        """Whether it expects nothing of the row."""
        return self.existence == pb.IGNORE and self.filter is None

    @property
    def size(self) -> int:
        """The bytes that it writes."""
        return key_size(self.row.key) + cells_size(self.row.cells)


def put_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Replace a row."""
    return _write(endpoint, "PutRow", request, request.row, pb.PutRowResponse)


def update_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Change cells of a row."""
    return _write(endpoint, "UpdateRow", request, request.row_change, pb.UpdateRowResponse)


def delete_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Delete a row."""
    return _write(endpoint, "DeleteRow", request, request.primary_key, pb.DeleteRowResponse)


def batch_write_row(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Write up to 200 rows. What is wrong with the request fails all of them."""
    check_no_transaction(request)
    if not request.tables:
        raise invalid("No row is specified in BatchWriteRow.")
    tables = [(one.table_name, _changes_of(one)) for one in request.tables]
    changes = [change for _, of_table in tables for change in of_table]
    if len(changes) > MOST_ROWS:
        raise invalid(f"Rows count exceeds the upper limit: {MOST_ROWS}.")
    check_written(sum(change.size for change in changes), "BatchWriteRow")
    times = Counter((change.table, ordered(change.row.key)) for change in changes)
    answer = pb.BatchWriteRowResponse()
    with endpoint.store.transaction():
        for name, of_table in tables:
            answered = answer.tables.add(table_name=name)
            for change in of_table:
                repeated = times[name, ordered(change.row.key)] > 1
                _answer_for(endpoint, change, answered.rows.add(), repeated=repeated)
    return answer


def _write(
    endpoint: TableStoreEndpoint, kind: Kind, request: Any, data: bytes, response: Any
) -> Any:
    check_no_transaction(request)
    check_table_name(request.table_name)
    change = _change(kind, request.table_name, data, request)
    check_written(change.size, kind)
    with endpoint.store.transaction():
        after, fault = _apply(endpoint, change)
    if fault is not None:
        raise fault
    return response(consumed=_used(change), row=_returned(change, after))


def _changes_of(message: Any) -> list[Change]:
    check_table_name(message.table_name)
    if not message.rows:
        raise invalid(f"No operation is specified for table: '{message.table_name}'.")
    return [
        _change(_KINDS[row.type], message.table_name, row.row_change, row) for row in message.rows
    ]


def _change(kind: Kind, table: str, data: bytes, message: Any) -> Change:
    row = decode_row(data)
    _CHECKS[kind](row)
    condition = message.condition
    return Change(
        kind,
        table,
        row,
        condition.row_existence,
        decode_filter(condition.column_condition),
        message.return_content,
    )


def _answer_for(
    endpoint: TableStoreEndpoint, change: Change, answer: Any, *, repeated: bool
) -> None:
    try:
        if repeated and not change.unconditional:
            what = "row condition check" if change.filter else "row exist expectation check"
            raise invalid(f"Repeated rows do not support {what} in BatchModify.")
        after, fault = _apply(endpoint, change)
        if fault is not None:
            raise fault
    except TableStoreError as error:
        answer.is_ok = False
        answer.error.code, answer.error.message = error.code, error.message
    else:
        answer.is_ok = True
        answer.consumed.CopyFrom(_used(change))
        answer.row = _returned(change, after)


def _apply(
    endpoint: TableStoreEndpoint, change: Change
) -> tuple[TableRow | None, TableStoreError | None]:
    """The row after the change, and what the answer says although the change took effect."""
    table = endpoint.table(change.table)
    check_fits(table, change.row.key)
    check_writable(table)
    fault = endpoint.faults(Attempt(change.kind, change.table, change.row.key, change.row.cells))
    if fault is not None and not fault.applied:
        raise fault.error
    key = ordered(change.row.key)
    now = endpoint.now()
    stored = endpoint.store.row(table, key)
    before = None if stored is None else living(table, decode_bare_row(stored), now)
    _check_expected(change, before)
    after = _after(table, change, before, now)
    if after is None:
        endpoint.store.delete(table, key)
    else:
        endpoint.store.put(table, key, encode_bare_row(after))
    return after, None if fault is None else fault.error


def _check_expected(change: Change, before: TableRow | None) -> None:
    missing, unexpected = pb.EXPECT_EXIST, pb.EXPECT_NOT_EXIST
    if change.existence == (missing if before is None else unexpected):
        raise condition_failed()
    if not passes(change.filter, before):
        raise condition_failed()


def _after(
    table: StoredTable, change: Change, before: TableRow | None, now: int
) -> TableRow | None:
    match change.kind:
        case "PutRow":
            return TableRow(change.row.key, stamped(table, change.row.cells, now))
        case "UpdateRow":
            return updated(table, change.row, before, now)
        case "DeleteRow":
            return None


def _used(change: Change) -> Any:
    # Reading the row for a condition is counted, too.
    return consumed(read=0 if change.unconditional else 1, write=units(change.size))


def _returned(change: Change, after: TableRow | None) -> bytes:
    match change.returns.return_type:
        case pb.RT_PK:
            return encode_row(TableRow(change.row.key))
        case pb.RT_AFTER_MODIFY if after is not None:
            names = frozenset(change.returns.return_column_names)
            cells = tuple(cell for cell in after.cells if cell.name in names)
            return encode_row(TableRow(change.row.key, cells))
        case _:
            return b""
