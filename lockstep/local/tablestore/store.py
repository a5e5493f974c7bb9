"""The file of the endpoint: its tables and rows in a SQLite file, or in memory.

Guarantees: what a transaction wrote is on disk when it ends, so neither a kill nor a power failure
loses what was acknowledged (WAL, synchronous=FULL). The key of a row is stored as bytes that have
the order of keys, so a range is a scan of the index.

The caller passes all times, in milliseconds since 1970.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lockstep.local.tablestore.messages import tables as pb
from shared.shortened import BriefError

# SQLite's application_id ("OTS1" in ASCII) and the layout's version.
_APPLICATION_ID = 0x4F545331
_LAYOUT = 1

_SCHEMA = """
CREATE TABLE tables (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    meta BLOB NOT NULL,
    options BLOB NOT NULL,
    reads INTEGER NOT NULL,
    writes INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
);
CREATE TABLE rows (
    of_table INTEGER NOT NULL,
    key BLOB NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (of_table, key)
) WITHOUT ROWID;
"""


class UnusableTableFileError(BriefError):
    """The file cannot be used as the endpoint's database; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table. `meta` and `options` are messages; the capacity is what a client reserved."""

    key: int
    meta: Any
    options: Any
    reads: int
    writes: int
    changed_at: int


class TableFile:
    """The file, opened with `open`; use it as a context manager, or `close` it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    @classmethod
    def open(cls, database: Path | None) -> Self:
        """Open the file; create it if it does not exist. None: in memory.

        Raises:
            UnusableTableFileError: it cannot be opened, or has another layout.
        """
        named = ":memory:" if database is None else str(database)
        try:
            connection = sqlite3.connect(named, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise UnusableTableFileError(f"{named}: {error}") from None
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside, or nothing if an exception is raised."""
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")

    def table_names(self) -> list[str]:
        """The names of all tables, sorted."""
        return [name for (name,) in self._sql.execute("SELECT name FROM tables ORDER BY name")]

    def find_table(self, name: str) -> StoredTable | None:
        """The table with this name."""
        found = self._sql.execute(
            "SELECT key, meta, options, reads, writes, changed_at FROM tables WHERE name = ?",
            (name,),
        ).fetchone()
        if found is None:
            return None
        key, meta, options, reads, writes, changed_at = found
        return StoredTable(
            key,
            pb.TableMeta.FromString(meta),
            pb.TableOptions.FromString(options),
            reads,
            writes,
            changed_at,
        )

    def create_table(self, meta: Any, options: Any, reads: int, writes: int, now: int) -> None:
        """Create an empty table. The caller must ensure that no table has this name."""
        self._sql.execute(
            "INSERT INTO tables (name, meta, options, reads, writes, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                meta.table_name,
                meta.SerializeToString(),
                options.SerializeToString(),
                reads,
                writes,
                now,
            ),
        )

    def update_table(
        self, table: StoredTable, options: Any, reads: int, writes: int, now: int
    ) -> None:
        """Change the settings of a table."""
        self._sql.execute(
            "UPDATE tables SET options = ?, reads = ?, writes = ?, changed_at = ? WHERE key = ?",
            (options.SerializeToString(), reads, writes, now, table.key),
        )

    def delete_table(self, table: StoredTable) -> None:
        """Delete a table with its rows."""
        self._sql.execute("DELETE FROM rows WHERE of_table = ?", (table.key,))
        self._sql.execute("DELETE FROM tables WHERE key = ?", (table.key,))

    def row(self, table: StoredTable, key: bytes) -> bytes | None:
        """The row with this ordered key."""
        found = self._sql.execute(
            "SELECT row FROM rows WHERE of_table = ? AND key = ?", (table.key, key)
        ).fetchone()
        return None if found is None else bytes(found[0])

    def put(self, table: StoredTable, key: bytes, row: bytes) -> None:
        """Write a row; it replaces the one with this key."""
        self._sql.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (table.key, key, row))

    def delete(self, table: StoredTable, key: bytes) -> None:
        """Delete the row with this key, if there is one."""
        self._sql.execute("DELETE FROM rows WHERE of_table = ? AND key = ?", (table.key, key))

    def forward(self, table: StoredTable, start: bytes, end: bytes) -> Iterator[bytes]:
        """The rows from `start` up to but not including `end`, in ascending order."""
        return self._rows("key >= ? AND key < ? ORDER BY key", table, start, end)

    def backward(self, table: StoredTable, start: bytes, end: bytes) -> Iterator[bytes]:
        """The rows from `start` down to but not including `end`, in descending order."""
        return self._rows("key <= ? AND key > ? ORDER BY key DESC", table, start, end)

    def _rows(self, which: str, table: StoredTable, start: bytes, end: bytes) -> Iterator[bytes]:
        found = self._sql.execute(
            f"SELECT row FROM rows WHERE of_table = ? AND {which}",  # noqa: S608 - constants
            (table.key, start, end),
        )
        return (bytes(row) for (row,) in found)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
            f" PRAGMA user_version = {_LAYOUT}; COMMIT"
        )
        return
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    if (found, layout) != (_APPLICATION_ID, _LAYOUT):
        raise sqlite3.DatabaseError("it is not the file of a Table Store of this machine")
