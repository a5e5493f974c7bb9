"""The checkpoints of each event source mapping and shard, stored durably."""

import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from lockstep.console.errors import UserError

_BUSY_SECONDS = 30.0
_RETRY_SECONDS = 0.05
_SCHEMA = """
CREATE TABLE IF NOT EXISTS mappings (
    uuid TEXT PRIMARY KEY, function TEXT NOT NULL, stream_arn TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
    uuid TEXT NOT NULL, shard_id TEXT NOT NULL, sequence_number TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (uuid, shard_id)
) STRICT, WITHOUT ROWID;
"""


class Checkpoint(msgspec.Struct, frozen=True):
    """The progress in one shard; `ended`: all its records are settled.

    The sequence number is that of the last settled record, or the shard's starting number if it
    ended without records. So it identifies the shard even if a stream is created again.
    """

    sequence_number: str
    ended: bool


class CheckpointsError(UserError):
    """The file cannot be used; the message says which file and why, in one line."""


class Checkpoints:
    """The checkpoints of one mapping, in a database that several mappings share.

    Several threads may use it. A write is durable when its method returns.
    """

    def __init__(self, path: Path, *, uuid: str, function: str, stream_arn: str) -> None:
        """Open the file; create it if it does not exist.

        Raises:
            CheckpointsError: it is damaged or cannot be opened.
        """
        self._uuid = uuid
        self._lock = threading.Lock()
        try:
            self._database = _open(path)
            with self._lock, self._database:
                self._database.execute(
                    "INSERT INTO mappings VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (uuid, function, stream_arn, time.time()),
                )
        except sqlite3.DatabaseError as error:
            raise CheckpointsError(f"cannot store checkpoints: {path}: {error}") from None

    def created_at(self) -> float:
        """The time of the mapping's first start, in seconds since 1970: where LATEST begins."""
        query = "SELECT created_at FROM mappings WHERE uuid = ?"
        with self._lock:
            (created_at,) = self._database.execute(query, (self._uuid,)).fetchone()
        return float(created_at)

    def all(self) -> Mapping[str, Checkpoint]:
        """The checkpoints by shard; a shard without settled records has none."""
        query = "SELECT shard_id, sequence_number, ended FROM checkpoints WHERE uuid = ?"
        with self._lock:
            rows = self._database.execute(query, (self._uuid,)).fetchall()
        return {shard: Checkpoint(number, bool(ended)) for shard, number, ended in rows}

    def advance(self, shard_id: str, sequence_number: str) -> None:
        """Store that all records of the shard up to this sequence number are settled."""
        self._write(
            "INSERT INTO checkpoints (uuid, shard_id, sequence_number) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET sequence_number = excluded.sequence_number",
            shard_id,
            sequence_number,
        )

    def end(self, shard_id: str, starting_number: str) -> None:
        """Store that the shard with this starting number is closed and all records are settled."""
        self._write(
            "INSERT INTO checkpoints VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET ended = 1",
            shard_id,
            starting_number,
        )

    def forget(self, shard_id: str, sequence_number: str) -> None:
        """Delete a checkpoint of an earlier shard with this ID, unless it has moved since."""
        self._write(
            "DELETE FROM checkpoints WHERE uuid = ? AND shard_id = ? AND sequence_number = ?",
            shard_id,
            sequence_number,
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _write(self, statement: str, *values: str) -> None:
        with self._lock, self._database:
            self._database.execute(statement, (self._uuid, *values))


def read_checkpoints(path: Path) -> dict[str, dict[str, str]]:
    """The last settled sequence number by function and shard; mappings may run at the same time.

    A shard without settled records is missing. Without a file there are no functions.

    Raises:
        CheckpointsError: the file is damaged or cannot be read.
    """
    if not path.exists():
        return {}
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        raise CheckpointsError(f"cannot read checkpoints: {path}: {error}") from None


def _read(path: Path) -> dict[str, dict[str, str]]:
    query = (
        "SELECT function, shard_id, sequence_number FROM mappings LEFT JOIN checkpoints USING "
        "(uuid)"
    )
    found: dict[str, dict[str, str]] = {}
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
        if not database.execute(
            "SELECT 1 FROM sqlite_schema WHERE name = 'checkpoints'"
        ).fetchone():
            return {}
        for function, shard_id, sequence_number in database.execute(query):
            shards = found.setdefault(function, {})
            if sequence_number is not None:
                shards[shard_id] = sequence_number
    return found


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        opened.callback(database.close)
        _write_ahead(database)
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        opened.pop_all()
        return database


def _write_ahead(database: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite's timeout does not cover two mappings that open a new file."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
