"""The rows of a replica, read and written as a repair does: each write expects what was read."""

from collections.abc import Callable, Sequence

from tablestore import (
    ComparatorType,
    Condition,
    DeleteRowItem,
    OTSClient,
    PutRowItem,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
)

from functions.write_to_tablestore.names import VERSION
from functions.write_to_tablestore.requests import (
    RowError,
    as_sent,
    read_rows,
    requests_of,
    size_of_change,
    write_error,
    write_rows,
)
from functions.write_to_tablestore.rows import RowRemoval, columns_of
from functions.write_to_tablestore.settings import Deletions
from functions.write_to_tablestore.sink import FAILED_CONDITION, ROWS_PER_WRITE, ReplicaTable
from lockstep.tablestore.repair import Expected, GuardedWrite, NoRow, NoVersion, RowKey, SameVersion
from lockstep.tablestore.stored_row import Cells
from shared.outcome import Applied, Failed, Outcome, Stale
from shared.sink import outcomes_of


class ReplicaRows:
    """The table in Table Store, for a repair."""

    def __init__(
        self,
        sink: ReplicaTable,
        client: OTSClient,
        table: str,
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
            longest_request: seconds; follows from the client's timeouts.
            deletions: what a removal leaves.
            patient: see `ReplicaTable`.
        """
        self._sink = sink
        self._client = client
        self._table = table
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
        return [
            Failed(row.in_table(self._table)) if isinstance(row, RowError) else row
            for row in read_rows(self._client_for(within), self._table, keys)
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
