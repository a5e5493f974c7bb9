"""The checkpoints: how far each mapping is in each shard, on disk before it counts."""

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
    """How far a shard is; `ended`: no more come.

    The sequence number is the last settled record's, or the shard's first if it ended without any:
    so it always tells which shard is meant, where a stream made again has one of the same id.
    """

    sequence_number: str
    ended: bool


class CheckpointsError(UserError):
    """The file cannot be used; the message says which and why, in one line."""


class Checkpoints:
    """One mapping's checkpoints in a database that it shares with other mappings.

    Several threads may use it. When a method returns, what it wrote survives a power cut.
    """

    def __init__(self, path: Path, *, uuid: str, function: str, stream_arn: str) -> None:
        """Open the file, making it if there is none.

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
            raise CheckpointsError(f"the checkpoints cannot be kept: {path}: {error}") from None

    def created_at(self) -> float:
        """When this mapping was first started, in seconds since 1970: where LATEST begins."""
        query = "SELECT created_at FROM mappings WHERE uuid = ?"
        with self._lock:
            (created_at,) = self._database.execute(query, (self._uuid,)).fetchone()
        return float(created_at)

    def all(self) -> Mapping[str, Checkpoint]:
        """The checkpoints by shard; a shard that was never settled has none."""
        query = "SELECT shard_id, sequence_number, ended FROM checkpoints WHERE uuid = ?"
        with self._lock:
            rows = self._database.execute(query, (self._uuid,)).fetchall()
        return {shard: Checkpoint(number, bool(ended)) for shard, number, ended in rows}

    def advance(self, shard_id: str, sequence_number: str) -> None:
        """Everything in the shard up to this sequence number is settled."""
        self._write(
            "INSERT INTO checkpoints (uuid, shard_id, sequence_number) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET sequence_number = excluded.sequence_number",
            shard_id,
            sequence_number,
        )

    def end(self, shard_id: str, starting_number: str) -> None:
        """The shard that starts with this number is closed and all of it is settled."""
        self._write(
            "INSERT INTO checkpoints VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET ended = 1",
            shard_id,
            starting_number,
        )

    def forget(self, shard_id: str, sequence_number: str) -> None:
        """The checkpoint is none of the shard that has this id now; one that moved since stays."""
        self._write(
            "DELETE FROM checkpoints WHERE uuid = ? AND shard_id = ? AND sequence_number = ?",
            shard_id,
            sequence_number,
        )

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _write(self, statement: str, *values: str) -> None:
        with self._lock, self._database:
            self._database.execute(statement, (self._uuid, *values))


def read_checkpoints(path: Path) -> dict[str, dict[str, str]]:
    """The last settled sequence number by function and shard, also while mappings run.

    A shard of which nothing is settled yet is not there; no file means no function at all.

    Raises:
        CheckpointsError: the file is damaged or cannot be read.
    """
    if not path.exists():
        return {}
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        raise CheckpointsError(f"the checkpoints cannot be read: {path}: {error}") from None


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
    """Switch to WAL; two mappings that meet on a new file are not queued by SQLite's timeout."""
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
