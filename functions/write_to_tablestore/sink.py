"""The sink of a table in Table Store: one BatchWriteRow for a batch, with version checks.

Each row has its own condition: the version in the row is lower, or there is none. What fails it is
looked up. Rules: docs/internals/invariants.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
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

from functions.write_to_tablestore.connect import sink_errors
from functions.write_to_tablestore.names import AT, VERSION
from functions.write_to_tablestore.requests import (
    RowError,
    as_sent,
    read_rows,
    requests_of,
    size_of_change,
    write_error,
    write_rows,
)
from functions.write_to_tablestore.rows import RowChange, RowPut, RowRemoval, columns_of
from functions.write_to_tablestore.settings import Deletions
from shared.outcome import Applied, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
)

# At most 200 rows are written, and 100 are read, in one request
# (https://www.alibabacloud.com/help/en/tablestore/limits-on-widecolumn-model).
ROWS_PER_WRITE: Final = 200
ROWS_PER_READ: Final = 100
# DescribeTable, BatchWriteRow, two BatchGetRow for its rows, and BatchWriteRow for missing rows.
REQUESTS_PER_SEND: Final = 5
_NO_EXPIRY: Final = -1
FAILED_CONDITION: Final = "OTSConditionCheckFail"
_UNSTEADY: Final = Failed(f"the row appears and disappears, or it has no {VERSION}")
_KINDS: Final[Mapping[type, str]] = {str: "STRING", int: "INTEGER", bytes: "BINARY"}


class _FailedCondition(msgspec.Struct, frozen=True):
    """The row did not meet the condition. Only the stored row shows why."""


class _Missing(msgspec.Struct, frozen=True):
    """There is no such row, or it has no version."""


class ReplicaTable:
    """The sink of a table in Table Store. A strictly higher version wins.

    After a failure it may be unknown whether a change was written. That is harmless: a retry then
    returns `Duplicate`. Before the first request, the sink checks the table.
    """

    def __init__(
        self,
        client: OTSClient,
        table: str,
        key_columns: Sequence[str],
        *,
        longest_request: float,
        deletions: Deletions = "tombstone",
        patient: Callable[[float], OTSClient] | None = None,
    ) -> None:
        """Set up the sink.

        Args:
            client: the client. It must not retry.
            table: the name of the table.
            key_columns: the columns of its key, in their order.
            longest_request: seconds; follows from the client's timeouts.
            deletions: what a removal leaves.
            patient: makes a client whose requests may take so many seconds; by default, the same
                client is used, because the SDK cannot set the timeout of one request.
        """
        self._client = client
        self._table = table
        self._key_columns = [*key_columns]
        self._longest_request = longest_request
        self._deletions = deletions
        self._patient = patient
        self._rows = ROWS_PER_WRITE
        self._kinds: Sequence[str] | None = None  # of the key's columns; None before `check`

    @property
    def longest_send(self) -> float:
        """The longest time of one `send` or `check`, in seconds."""
        return REQUESTS_PER_SEND * self._longest_request

    def requests(self, changes: Sequence[RowChange]) -> Iterable[Sequence[RowChange]]:
        """Split the changes, in order, into requests; most batches fit one.

        After a timeout, requests are smaller; with each answer in time, they grow again.
        """
        return requests_of(changes, size_of_change, lambda: self._rows)

    def send(self, changes: Sequence[RowChange], within: float | None = None) -> Sequence[Outcome]:
        """Write changes of different rows; after failed conditions, also read the rows.

        Raises:
            RequestTimedOutError: the first write did not end in its time.
            RequestFailedError: it is unknown whether anything was written.
            RequestRefusedError: the whole request was refused; nothing is written.
            MisconfiguredError: no permission, no table, or a table with another key.
        """
        client = self._client
        if within is not None and self._patient is not None:
            client = self._patient(within / REQUESTS_PER_SEND)
        if self._kinds is None:
            self.check()
        for change in changes:
            self._need_its_key(change)
        answers = self._write(client, changes, RowExistenceExpectation.IGNORE)
        unclear = _where(answers, _FailedCondition)
        if not unclear:
            return _decided(answers)
        try:
            self._look_up(client, changes, answers, unclear)
        except (RequestFailedError, RequestRefusedError) as error:
            # The outcomes of the other changes stay valid.
            for at in [*_where(answers, _FailedCondition), *_where(answers, _Missing)]:
                answers[at] = Failed(str(error))
        return _decided(answers)

    def check(self) -> None:
        """Compare the table with what this consumer needs.

        Raises:
            MisconfiguredError: there is no such table, it has another key, an auto-increment
                column, or a time to live.
            RequestFailedError: the table could not be read this time.
        """
        try:
            with sink_errors(self._table):
                found = self._client.describe_table(self._table)
        except RequestRefusedError as error:  # the name is invalid
            raise MisconfiguredError(str(error)) from error
        schema = found.table_meta.schema_of_primary_key
        names = [name for name, *_ in schema]
        if names != self._key_columns:
            raise MisconfiguredError(
                f"table {self._table}: its key is {', '.join(names)}, and PRIMARY_KEY makes it "
                f"{', '.join(self._key_columns)}"
            )
        for name, _, *option in schema:
            if option and option != [None]:
                raise MisconfiguredError(
                    f"table {self._table}: {name} of its key is auto-increment: create the table "
                    "without it, because each replay would make another row"
                )
        expiry = found.table_options.time_to_live
        if expiry != _NO_EXPIRY:
            raise MisconfiguredError(
                f"table {self._table}: its time to live is {expiry} s: set it to {_NO_EXPIRY}, "
                "because it deletes rows that do not change"
            )
        self._kinds = [kind for _, kind, *_ in schema]

    def _need_its_key(self, change: RowChange) -> None:
        """Check the types of a key. Otherwise, the whole request would be refused.

        Raises:
            MisconfiguredError: the table has other types.
        """
        for (name, cell), kind in zip(change.key, self._kinds or (), strict=True):
            if _KINDS[type(cell)] != kind:
                raise MisconfiguredError(
                    f"table {self._table}: {name} of its key is {kind}, and that of the source is "
                    f"{_KINDS[type(cell)]}"
                )

    def _write(
        self, client: OTSClient, changes: Sequence[RowChange], expected: str
    ) -> list[Outcome | _FailedCondition | _Missing]:
        """Send one BatchWriteRow. Returns one answer for each change."""
        items = [self._item(change, expected) for change in changes]
        try:
            answers = write_rows(client, self._table, items)
        except RequestTimedOutError:
            if client is self._client and len(changes) > 1:
                self._rows = len(changes) // 2
            raise
        if client is self._client:
            self._rows = min(ROWS_PER_WRITE, self._rows + 1)
        return [Applied() if error is None else self._read_error(error) for error in answers]

    def _item(self, change: RowChange, expected: str) -> PutRowItem | DeleteRowItem:
        # Never without a condition: the SDK sends none as IGNORE, which is no version check.
        lower = SingleColumnCondition(
            VERSION, change.version, ComparatorType.LESS_THAN, pass_if_missing=True
        )
        if expected == RowExistenceExpectation.IGNORE:
            condition = Condition(expected, lower)
        else:
            condition = Condition(expected)
        key = as_sent(change.key)
        match change:
            case RowRemoval() if self._deletions == "row":
                return DeleteRowItem(Row(key), condition)
            case RowPut() | RowRemoval():
                return PutRowItem(Row(key, as_sent(columns_of(change))), condition)

    def _read_error(self, error: RowError) -> Outcome | _FailedCondition:
        """What the error of one row means."""
        if error.code == FAILED_CONDITION:
            return _FailedCondition()
        return write_error(self._table, error)

    def _look_up(
        self,
        client: OTSClient,
        changes: Sequence[RowChange],
        answers: list[Outcome | _FailedCondition | _Missing],
        unclear: Sequence[int],
    ) -> None:
        """Replace each failed condition by its outcome."""
        for start in range(0, len(unclear), ROWS_PER_READ):
            some = unclear[start : start + ROWS_PER_READ]
            compared = self._compared(client, [changes[at] for at in some])
            for at, outcome in zip(some, compared, strict=True):
                answers[at] = outcome
        missing = _where(answers, _Missing)
        if not missing:
            return
        # Perhaps the service does not let a condition pass on a row that does not exist.
        again = self._write(
            client, [changes[at] for at in missing], RowExistenceExpectation.EXPECT_NOT_EXIST
        )
        for at, answer in zip(missing, again, strict=True):
            answers[at] = answer

    def _compared(
        self, client: OTSClient, changes: Sequence[RowChange]
    ) -> Sequence[Outcome | _Missing]:
        """Read rows, and compare the changes with them."""
        rows = read_rows(client, self._table, [change.key for change in changes], [VERSION, AT])
        return [
            Failed(row.in_table(self._table))
            if isinstance(row, RowError)
            else self._compare(change, row or {})
            for change, row in zip(changes, rows, strict=True)
        ]

    def _compare(self, change: RowChange, stored: Mapping[str, object]) -> Outcome | _Missing:
        if VERSION not in stored:
            if isinstance(change, RowRemoval) and self._deletions == "row":
                return Applied()
            return _Missing()
        version, at = stored[VERSION], stored.get(AT)
        if not isinstance(version, str):
            return Refused(
                f"table {self._table}: {VERSION} of the row is no text, {version!r}: correct or "
                "delete that row"
            )
        if version == change.version:
            return Duplicate()
        if version > change.version:
            return Stale(out_of_order=isinstance(at, int) and change.at > at)
        return Failed(f"table {self._table}: the row has the lower version {version} meanwhile")


def _where(answers: Sequence[Outcome | _FailedCondition | _Missing], kind: type) -> Sequence[int]:
    return [at for at, answer in enumerate(answers) if isinstance(answer, kind)]


def _decided(answers: Iterable[Outcome | _FailedCondition | _Missing]) -> Sequence[Outcome]:
    return [_UNSTEADY if isinstance(one, _FailedCondition | _Missing) else one for one in answers]
