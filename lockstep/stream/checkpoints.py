"""The checkpoints of each event source mapping and shard, and its gaps, stored durably."""

import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
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
CREATE TABLE IF NOT EXISTS gaps (
    uuid TEXT NOT NULL, shard_id TEXT NOT NULL, after TEXT NOT NULL, before TEXT NOT NULL,
    since REAL NOT NULL, until REAL NOT NULL, records INTEGER,
    PRIMARY KEY (uuid, shard_id, after)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    uuid TEXT PRIMARY KEY, stopped_at REAL NOT NULL, seen_at REAL NOT NULL
) STRICT;
"""
# How often a mapping stores that it runs.
_SEEN_SECONDS = 60.0
# The shortest retention of a stream.
_DAY_SECONDS = 86_400.0
_GAP = "shard_id, after, before, since, until, records"


class Checkpoint(msgspec.Struct, frozen=True):
    """The progress in one shard; `ended`: all its records are settled.

    The sequence number is that of the last settled record, or the shard's starting number if it
    ended without records. So it identifies the shard even if a stream is created again.
    """

    sequence_number: str
    ended: bool


class Gap(msgspec.Struct, frozen=True):
    """Records of one shard that the stream removed before the mapping read them.

    `after` is the sequence number of the last settled record; empty: the gap begins with the
    shard. `before` is that of the first record that was read after the gap; empty: none was read
    yet. The records arrived from `since` to `until`. `records` counts them; None: unknown. All
    times are in seconds since 1970.
    """

    shard_id: str
    after: str
    before: str
    since: float
    until: float
    records: int | None


class MappingProgress(msgspec.Struct, frozen=True):
    """What the file has about one mapping: its checkpoints by shard, and its gaps.

    It ran until `seen_at`, a minute more or less. Before its present or last run it had stopped at
    `stopped_at`; for its first run that is `created_at`. All times are in seconds since 1970.
    """

    uuid: str
    function: str
    stream_arn: str
    created_at: float
    stopped_at: float
    seen_at: float
    checkpoints: dict[str, str]
    gaps: tuple[Gap, ...]


def covered(gap: Gap, stopped_at: float, others: Iterable[tuple[float, float]]) -> bool:
    """Whether another mapping of the same function has read what a gap stands for.

    A function that is fed from another stream has another mapping: the earlier one stops where the
    later one begins.

    Args:
        gap: the gap.
        stopped_at: when its mapping had stopped, in seconds since 1970.
        others: when each other mapping of the function was created and last ran, in seconds since
            1970. It has read a day more than its life: that much is in every stream.
    """
    return any(
        created_at <= min(gap.until, stopped_at + _DAY_SECONDS) and gap.until <= seen_at
        for created_at, seen_at in others
    )


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
        now = time.time()  # noqa: TID251 - of a process that runs for days
        self._seen_at = now
        try:
            self._database = _open(path)
            with self._lock, self._database:
                self._database.execute(
                    "INSERT INTO mappings VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (uuid, function, stream_arn, now),
                )
                self._database.execute(
                    "INSERT INTO runs VALUES (?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET stopped_at = seen_at, seen_at = excluded.seen_at",
                    (uuid, now, now),
                )
        except sqlite3.DatabaseError as error:
            raise CheckpointsError(f"cannot store checkpoints: {path}: {error}") from None

    def created_at(self) -> float:
        """The time of the mapping's first start, in seconds since 1970: where LATEST begins."""
        query = "SELECT created_at FROM mappings WHERE uuid = ?"
        with self._lock:
            (created_at,) = self._database.execute(query, (self._uuid,)).fetchone()
        return float(created_at)

    def stopped_at(self) -> float:
        """When the mapping had stopped before this run, in seconds since 1970."""
        query = "SELECT stopped_at FROM runs WHERE uuid = ?"
        with self._lock:
            (stopped_at,) = self._database.execute(query, (self._uuid,)).fetchone()
        return float(stopped_at)

    def seen(self, now: float) -> None:
        """Store that the mapping runs at this time; at most once a minute."""
        if now - self._seen_at >= _SEEN_SECONDS:
            self._seen_at = now
            with self._lock, self._database:
                self._database.execute(
                    "UPDATE runs SET seen_at = ? WHERE uuid = ?", (now, self._uuid)
                )

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

    def lost(self, gap: Gap) -> None:
        """Store a gap; one that is known already by its shard and start gets its present end.

        A gap that another mapping of the same function has covered is no loss: see `covered`.
        """
        stopped_at = self.stopped_at()
        others = (
            "SELECT other.created_at, seen_at FROM mappings AS own JOIN mappings AS other "
            "USING (function) JOIN runs ON runs.uuid = other.uuid "
            "WHERE own.uuid = ? AND other.uuid != own.uuid"
        )
        with self._lock, self._database:
            if not covered(gap, stopped_at, self._database.execute(others, (self._uuid,))):
                self._add(gap)

    def forget(self, gap: Gap) -> None:
        """Delete a checkpoint of an earlier shard with the same ID, and store the gap after it.

        Nothing happens if the checkpoint has moved since.
        """
        with self._lock, self._database:
            done = self._database.execute(
                "DELETE FROM checkpoints WHERE uuid = ? AND shard_id = ? AND sequence_number = ?",
                (self._uuid, gap.shard_id, gap.after),
            )
            if done.rowcount:
                self._add(gap)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _add(self, gap: Gap) -> None:
        self._database.execute(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "before = excluded.before, until = excluded.until, records = excluded.records",
            (self._uuid, *msgspec.structs.astuple(gap)),
        )

    def _write(self, statement: str, *values: str) -> None:
        with self._lock, self._database:
            self._database.execute(statement, (self._uuid, *values))


def read_mappings(path: Path) -> list[MappingProgress]:
    """The progress of each mapping, in one consistent state; mappings may run at the same time.

    Without a file there are none.

    Raises:
        CheckpointsError: the file is damaged or cannot be read.
    """
    if not path.exists():
        return []
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        raise CheckpointsError(f"cannot read checkpoints: {path}: {error}") from None


def _read(path: Path) -> list[MappingProgress]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")
        # The last table of the schema: a file that is just being made does not have it yet.
        if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'runs'").fetchone():
            return []
        database.execute("BEGIN")
        mappings = database.execute(
            "SELECT uuid, function, stream_arn, created_at, stopped_at, seen_at "
            "FROM mappings JOIN runs USING (uuid) ORDER BY created_at"
        ).fetchall()
        checkpoints, gaps = (
            database.execute(f"SELECT uuid, {columns} FROM {table}").fetchall()  # noqa: S608
            for columns, table in (("shard_id, sequence_number", "checkpoints"), (_GAP, "gaps"))
        )
    return [
        MappingProgress(
            uuid=uuid,
            function=function,
            stream_arn=stream_arn,
            created_at=created_at,
            stopped_at=stopped_at,
            seen_at=seen_at,
            checkpoints={shard: number for owner, shard, number in checkpoints if owner == uuid},
            gaps=tuple(Gap(*gap) for owner, *gap in gaps if owner == uuid),
        )
        for uuid, function, stream_arn, created_at, stopped_at, seen_at in mappings
    ]


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
