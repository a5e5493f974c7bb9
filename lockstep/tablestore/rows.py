"""The rows of a replica, for audits and repairs: each write expects what was read."""

from collections.abc import Callable, Sequence

from tablestore import (
    INF_MAX,
    INF_MIN,
    ComparatorType,
    Condition,
    DeleteRowItem,
    OTSClient,
    PutRowItem,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
)

from functions.write_to_tablestore.connect import sink_errors
from functions.write_to_tablestore.keys import key_as_text, key_in
from functions.write_to_tablestore.names import VERSION
from functions.write_to_tablestore.requests import (
    RowError,
    as_sent,
    columns_read,
    read_rows,
    requests_of,
    size_of_change,
    write_error,
    write_rows,
)
from functions.write_to_tablestore.rows import RowRemoval, columns_of
from functions.write_to_tablestore.settings import Deletions
from functions.write_to_tablestore.sink import FAILED_CONDITION, ROWS_PER_WRITE, ReplicaTable
from lockstep.tablestore.readers import RowPage
from lockstep.tablestore.repair import Expected, GuardedWrite, NoRow, NoVersion, RowKey, SameVersion
from lockstep.tablestore.stored_row import Cells
from shared.outcome import Applied, Failed, Outcome, Stale
from shared.sink import outcomes_of


class ReplicaRows:
    """The table in Table Store, for audits and repairs."""

    def __init__(
        self,
        sink: ReplicaTable,
        client: OTSClient,
        table: str,
        key_columns: Sequence[str],
        *,
        longest_request: float,
        deletions: Deletions,
        patient: Callable[[float], OTSClient] | None = None,
    ) -> None:
        """Set up the access.

        Args:
            sink: checks the table.
            client: the client. It must not retry.
            table: the name of the table.
            key_columns: the columns of its key, in their order.
            longest_request: seconds; follows from the client's timeouts.
            deletions: what a removal leaves.
            patient: see `ReplicaTable`.
        """
        self._sink = sink
        self._client = client
        self._table = table
        self._key_columns = [*key_columns]
        self._longest_request = longest_request
        self._deletions = deletions
        self._patient = patient

    @property
    def longest_request(self) -> float:
        """See `GuardedRows.longest_request`."""
        return self._longest_request

    def check(self) -> None:
        """See `SinkOf.check`."""
        self._sink.check()

    def read(
        self, keys: Sequence[RowKey], within: float | None = None
    ) -> Sequence[Cells | Failed | None]:
        """See `GuardedRows.read`.

        Raises:
            SinkError: the whole request failed.
        """
        return self._read(self._client_for(within), keys)

    def page(self, position: str | None, columns: Sequence[str], most: int | None) -> RowPage:
        """See `ReadableRows.page`.

        Raises:
            SinkError: the whole request failed.
        """
        names = self._key_columns
        start = [(name, INF_MIN) for name in names]
        if position is not None:
            start = as_sent(key_in(position))
        with sink_errors(self._table):
            _, after, rows, _ = self._client.get_range(
                self._table,
                "FORWARD",
                start,
                [(name, INF_MAX) for name in names],
                # A row that has none of the columns is found by its key.
                columns_to_get=[*names, *columns] if columns else None,
                limit=most,
                max_version=1,
            )
            return RowPage(
                [
                    (
                        tuple(columns_read(row.primary_key).items()),
                        columns_read(row.attribute_columns),
                    )
                    for row in rows
                ],
                None if after is None else key_as_text(columns_read(after).items()),
            )

    def some(
        self, keys: Sequence[RowKey], columns: Sequence[str]
    ) -> Sequence[Cells | Failed | None]:
        """See `ReadableRows.some`.

        Raises:
            SinkError: the whole request failed.
        """
        return self._read(self._client, keys, [*self._key_columns, *columns] if columns else ())

    def _read(
        self, client: OTSClient, keys: Sequence[RowKey], columns: Sequence[str] = ()
    ) -> Sequence[Cells | Failed | None]:
        return [
            Failed(row.in_table(self._table)) if isinstance(row, RowError) else row
            for row in read_rows(client, self._table, keys, columns)
        ]

    def write(
        self, writes: Sequence[GuardedWrite], within: float | None = None
    ) -> Sequence[Outcome]:
        """See `GuardedRows.write`.

        Raises:
            MisconfiguredError: no request can succeed until the deployment is corrected.
        """
        client = self._client_for(within)

        def send(request: Sequence[GuardedWrite]) -> Sequence[Outcome]:
            items = [self._item(one) for one in request]
            return [self._outcome(error) for error in write_rows(client, self._table, items)]

        return [
            outcome
            for request in requests_of(writes, _size, lambda: ROWS_PER_WRITE)
            for outcome in outcomes_of(request, send)
        ]

    def _client_for(self, within: float | None) -> OTSClient:
        if within is None or self._patient is None:
            return self._client
        return self._patient(within)

    def _item(self, write: GuardedWrite) -> PutRowItem | DeleteRowItem:
        condition, change = _condition(write.expected), write.change
        key = as_sent(change.key)
        if isinstance(change, RowRemoval) and self._deletions == "row":
            return DeleteRowItem(Row(key), condition)
        return PutRowItem(Row(key, as_sent(columns_of(change))), condition)

    def _outcome(self, error: RowError | None) -> Outcome:
        if error is None:
            return Applied()
        return Stale() if error.code == FAILED_CONDITION else write_error(self._table, error)


def _size(write: GuardedWrite) -> int:
    return size_of_change(write.change)


def _condition(expected: Expected) -> Condition:
    match expected:
        case NoRow():
            return Condition(RowExistenceExpectation.EXPECT_NOT_EXIST)
        case NoVersion(below):
            compared = SingleColumnCondition(
                VERSION, below, ComparatorType.LESS_THAN, pass_if_missing=True
            )
        case SameVersion(version):
            [(_, cell)] = as_sent([(VERSION, version)])
            compared = SingleColumnCondition(
                VERSION, cell, ComparatorType.EQUAL, pass_if_missing=False
            )
    return Condition(RowExistenceExpectation.EXPECT_EXIST, compared)
