"""The requests of Table Store for many rows at once: one answer for each row, in their order."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from tablestore import (
    BatchGetRowRequest,
    BatchWriteRowRequest,
    OTSClient,
    RowItem,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
)

from functions.write_to_tablestore.connect import MISCONFIGURED, REFUSED, meaning, sink_errors
from functions.write_to_tablestore.conversion import MAX_REQUEST_BYTES, size_of
from functions.write_to_tablestore.rows import Column, RowChange, columns_of
from functions.write_to_tablestore.values import Cell
from shared.outcome import Failed, Refused
from shared.shortened import shortened
from shared.sink import RequestFailedError


class RowError(msgspec.Struct, frozen=True):
    """Table Store did not write, or read, this row."""

    code: str
    message: str | None

    def in_table(self, table: str) -> str:
        """The error in one short line."""
        return shortened(f"table {table}: {self.code}: {self.message or 'no message'}")


def requests_of[C](
    changes: Iterable[C], size: Callable[[C], int], most: Callable[[], int]
) -> Iterator[Sequence[C]]:
    """Cut changes of rows, in order, into requests that Table Store accepts.

    Args:
        changes: the changes.
        size: the bytes of a change in a request, at most.
        most: the number of rows in a request, at most; asked for each row.
    """
    request: list[C] = []
    room = MAX_REQUEST_BYTES
    for change in changes:
        its_size = size(change)
        if request and (len(request) >= most() or its_size > room):
            yield request
            request, room = [], MAX_REQUEST_BYTES
        request.append(change)
        room -= its_size
    if request:
        yield request


def size_of_change(change: RowChange) -> int:
    """The bytes of a change in a request, at most."""
    return size_of([*change.key, *columns_of(change)])


def write_rows(
    client: OTSClient, table: str, items: Sequence[RowItem]
) -> Sequence[RowError | None]:
    """Send one BatchWriteRow. Returns one answer for each row; None: it is written.

    Raises:
        SinkError: the whole request failed, see `sink_errors`.
    """
    request = BatchWriteRowRequest()
    request.add(TableInBatchWriteRowItem(table, [*items]))
    with sink_errors(table):
        answer = client.batch_write_row(request)
        rows = [
            *answer.table_of_put.get(table, ()),
            *answer.table_of_delete.get(table, ()),
        ]
    rows.sort(key=lambda row: row.index)
    if [row.index for row in rows] != [*range(len(items))]:
        raise RequestFailedError(f"table {table}: {len(rows)} answers for {len(items)} rows")
    return [None if row.is_ok else RowError(row.error_code, row.error_message) for row in rows]


def write_error(table: str, error: RowError) -> Refused | Failed:
    """What it means that a row was not written.

    Raises:
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    if error.code in MISCONFIGURED:
        raise meaning(table, error.code, error.message)
    detail = error.in_table(table)
    return Refused(detail) if error.code in REFUSED else Failed(detail)


def read_rows(
    client: OTSClient, table: str, keys: Sequence[Iterable[Column]], columns: Sequence[str] = ()
) -> Sequence[Mapping[str, Any] | RowError | None]:
    """Send one BatchGetRow. Returns the columns of each row; None: there is no such row.

    Args:
        client: the client.
        table: the table.
        keys: the keys of the rows.
        columns: return only these columns. A row that has none of them counts as missing.

    Raises:
        SinkError: the whole request failed, see `sink_errors`.
    """
    request = BatchGetRowRequest()
    request.add(
        TableInBatchGetRowItem(table, [as_sent(key) for key in keys], [*columns], max_version=1)
    )
    with sink_errors(table):
        rows = client.batch_get_row(request).get_result_by_table(table) or ()
    if len(rows) != len(keys):
        raise RequestFailedError(f"table {table}: {len(rows)} rows for {len(keys)} keys")
    return [_read(row) for row in rows]


def as_sent(columns: Iterable[Column]) -> list[tuple[str, Cell | bytearray]]:
    """The columns for the SDK, which sends bytes as a String, and only a bytearray as a Binary."""
    return [(name, bytearray(cell) if isinstance(cell, bytes) else cell) for name, cell in columns]


def columns_read(columns: Iterable[Sequence[Any]]) -> Mapping[str, Any]:
    """The columns that the SDK has read, with binaries as bytes."""
    return {
        str(name): bytes(cell) if isinstance(cell, bytearray) else cell
        for name, cell, *_ in columns
    }


def _read(row: Any) -> Mapping[str, Any] | RowError | None:
    if not row.is_ok:
        return RowError(row.error_code, row.error_message)
    return columns_read(row.row.attribute_columns) if row.row else None
