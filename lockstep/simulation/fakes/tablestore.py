"""A Table Store in memory: the endpoint of the local stack, below Alibaba's own SDK.

A request passes through the SDK, which encodes and signs it, over a connection with faults, to the
code of `lockstep/local/tablestore/`, and back. So there is no second implementation of conditions
and limits. The store keeps a journal of every write that took effect.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, override

import msgspec
from tablestore import CapacityUnit, OTSClient, ReservedThroughput, TableMeta, TableOptions
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from functions.write_to_tablestore.connect import REQUEST_SECONDS, connect
from functions.write_to_tablestore.settings import Credentials, ReplicaSettings
from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.faults import Attempt, Fault
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.plain_buffer import decode_bare_row
from lockstep.local.tablestore.server import SignedReply, refusal, reply
from lockstep.local.tablestore.signatures import Account
from lockstep.local.tablestore.store import StoredTable, TableFile
from lockstep.local.tablestore.values import Cell, KeyColumn, ordered
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
    PartFailure,
)

# Errors that one row can get while the others of the request succeed.
PASSING_CODES = (
    "OTSServerBusy",
    "OTSPartitionUnavailable",
    "OTSRowOperationConflict",
    "OTSTimeout",
    "OTSNotEnoughCapacityUnit",
    "OTSInternalServerError",
)
# The codes that faults of all stores share, in the words of Table Store.
_CODES = {"InternalServerError": "OTSInternalServerError"}

type Columns = Mapping[str, Any]
"""The columns of a row without its key, by name."""


class RowWritten(msgspec.Struct, frozen=True):
    """One write that took effect: the row before and after it; None if there was or is none."""

    key: bytes
    before: Columns | None
    after: Columns | None


class _RefusedAsAWholeError(Exception):
    """The whole request is refused because of one of its rows."""


class _JournaledRows(TableFile):
    """The file of the endpoint, in memory; notes each write that takes effect."""

    def note_in(self, journal: list[tuple[bytes, bytes | None, bytes | None]]) -> None:
        """Note the writes from now on: the key, and the row before and after."""
        self._journal = journal

    @override
    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = len(self._journal)
        try:
            with super().transaction():
                yield
        except BaseException:
            del self._journal[before:]
            raise

    @override
    def put(self, table: StoredTable, key: bytes, row: bytes) -> None:
        self._journal.append((key, self.row(table, key), row))
        super().put(table, key, row)

    @override
    def delete(self, table: StoredTable, key: bytes) -> None:
        before = self.row(table, key)
        if before is not None:
            self._journal.append((key, before, None))
        super().delete(table, key)


class TableStore:
    """An instance with one table, and its clients.

    The table refuses a row if `refuses` says so, and the whole request if `condemns` says so for a
    row. Its answers are signed by the time of this machine, because the SDK refuses others.
    """

    def __init__(
        self,
        settings: ReplicaSettings,
        key: Sequence[tuple[str, str]],
        *,
        refuses: Callable[[Columns], bool] = lambda _: False,
        condemns: Callable[[Columns], bool] = lambda _: False,
    ) -> None:
        """Create the table of these settings; `key` has the names and the types of its key."""
        self._file = _JournaledRows.open(None)
        self._written: list[tuple[bytes, bytes | None, bytes | None]] = []
        self._file.note_in(self._written)
        self._endpoint = TableStoreEndpoint(self._file, _now, Account(), self._fault)
        self._settings = settings
        self._refuses, self._condemns = refuses, condemns
        self._failures: Mapping[int, PartFailure] = {}
        self._attempts = 0
        self._columns: dict[bytes, Columns] = {}
        self.on_refused: Callable[..., None] = lambda whole: None  # noqa: ARG005 - nobody counts
        """Called for each row that the table refuses; `whole`: with its request."""
        self.client(PERFECT).create_table(
            TableMeta(settings.table, list(key)),
            TableOptions(),
            ReservedThroughput(CapacityUnit(0, 0)),
        )
        found = self._file.find_table(settings.table)
        if found is None:
            raise AssertionError("the table was created")
        self._stored = found

    def close(self) -> None:
        """Free the memory."""
        self._file.close()

    def client(self, connection: Connection) -> OTSClient:
        """A client of the SDK, made as the function makes it, over this connection."""
        account = self._endpoint.account
        credentials = Credentials(account.key_id, account.secret)
        client = connect(self._settings, credentials, REQUEST_SECONDS)
        client.connection = _Wire(self, connection)
        return client

    def answer(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        failures: Mapping[int, PartFailure],
    ) -> SignedReply:
        """Answer a request; some of its rows fail."""
        self._failures, self._attempts = failures, 0
        try:
            return reply(self._endpoint, path, headers, body)
        except _RefusedAsAWholeError:
            self.on_refused(whole=True)
            return self.refusal(path, headers, "OTSParameterInvalid: a row is invalid")
        finally:
            self._failures = {}

    def refusal(self, path: str, headers: Mapping[str, str], code: str) -> SignedReply:
        """An answer that is an error. `code` may contain a message after a colon."""
        name, _, message = code.partition(": ")
        error = TableStoreError(_CODES.get(name, name), message or name)
        return refusal(self._endpoint, path, headers, error)

    def row(self, key: Sequence[tuple[str, Any]]) -> Columns | None:
        """The columns of a row; None if there is none."""
        stored = self._file.row(self._stored, self.key_bytes(key))
        return None if stored is None else self._read(stored)

    @property
    def writes(self) -> int:
        """How many writes took effect."""
        return len(self._written)

    def journal(self, since: int = 0) -> Iterator[RowWritten]:
        """The writes that took effect, in order."""
        for key, before, after in self._written[since:]:
            yield RowWritten(
                key,
                None if before is None else self._read(before),
                None if after is None else self._read(after),
            )

    def rows(self) -> Mapping[bytes, Columns]:
        """All rows, by the bytes of their keys."""
        latest = {key: after for key, _, after in self._written}
        return {key: self._read(row) for key, row in latest.items() if row is not None}

    @staticmethod
    def key_bytes(key: Sequence[tuple[str, Any]]) -> bytes:
        """The bytes of a key."""
        return ordered(tuple(KeyColumn(name, value) for name, value in key))

    def _read(self, row: bytes) -> Columns:
        found = self._columns.get(row)
        if found is None:
            found = self._columns[row] = _columns(decode_bare_row(row).cells)
        return found

    def _fault(self, attempt: Attempt) -> Fault | None:
        if attempt.key is None:
            return None
        at, self._attempts = self._attempts, self._attempts + 1
        columns = _columns(attempt.cells)
        if self._condemns(columns):
            raise _RefusedAsAWholeError
        failure = self._failures.get(at)
        if failure is not None and not (failure.applied and self._refuses(columns)):
            return Fault(TableStoreError(failure.code, "try again"), applied=failure.applied)
        if self._refuses(columns):
            self.on_refused(whole=False)
            return Fault(TableStoreError("OTSOutOfRowSizeLimit", "The row is too large."))
        return None


class _Wire:
    """The connection of a client of the SDK."""

    def __init__(self, store: TableStore, connection: Connection) -> None:
        self._store, self._connection = store, connection

    def send_receive(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, dict[str, str], bytes]:
        """Send a request, as the SDK's own connection does.

        Raises:
            urllib3.exceptions.HTTPError: there is no answer, or not all of it.
        """
        names = {name.lower(): value for name, value in headers.items()}
        rows = _rows_in(url, bytes(body))
        failures = self._connection.part_failures(rows, PASSING_CODES) if rows else {}
        try:
            answer = self._connection.send(
                lambda: self._store.answer(url, names, bytes(body), failures)
            )
        except NoAnswerInTimeError as error:
            raise ReadTimeoutError(None, url, "Read timed out.") from error  # type: ignore[arg-type]
        except NoAnswerError as error:
            raise ProtocolError("Connection aborted.", error) from error
        except CutOffError as error:
            raise ProtocolError(f"Connection broken: {error}", error) from error
        except AnswerError as error:
            answer = self._store.refusal(url, names, error.code)
        return answer.status, "", dict(answer.headers), answer.body


def _rows_in(path: str, body: bytes) -> int:
    match path.removeprefix("/"):
        case "BatchWriteRow":
            tables = pb.BatchWriteRowRequest.FromString(body).tables
            return sum(len(one.rows) for one in tables)
        case "BatchGetRow":
            tables = pb.BatchGetRowRequest.FromString(body).tables
            return sum(len(one.primary_key) for one in tables)
        case "PutRow" | "DeleteRow":
            return 1
        case _:
            return 0


def _columns(cells: Sequence[Cell]) -> Columns:
    return {cell.name: cell.value for cell in cells}


def _now() -> int:
    return time.time_ns() // 1_000_000
