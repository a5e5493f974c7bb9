"""The local Kinesis endpoint's file: its layout, and how to read it.

Anybody may read the file while the endpoint writes to it (`lockstep.local.kinesis.store`).

Two invariants make every lookup an index lookup. In a shard, records have positions without gaps
from `first` (the trim horizon) up to but not including `next`, and their arrival times never
decrease, whatever the clock does. So a bisection finds a time, and a subtraction counts the
records after a position.

Times are milliseconds since 1970.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from lockstep.stream import sequence
from lockstep.stream.sequence import SequenceNumber
from lockstep.stream.shards import HashRange
from shared.shortened import BriefError

type Mode = Literal["PROVISIONED", "ON_DEMAND"]

HOUR_MS = 3_600_000

# A record's rowid combines its shard's key and its position, so a shard's records are adjacent and
# ordered in the file and need no second index.
_POSITION_BITS = 40
_MAX_POSITION = (1 << _POSITION_BITS) - 1

# SQLite's application_id ("KINE" in ASCII) and the layout's version.
_APPLICATION_ID = 0x4B494E45
_LAYOUT = 1

_SCHEMA = """
CREATE TABLE secret (value BLOB NOT NULL);
INSERT INTO secret VALUES (randomblob(32));
CREATE TABLE streams (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    mode TEXT NOT NULL,
    retention_hours INTEGER NOT NULL,
    max_record_kib INTEGER NOT NULL
);
CREATE TABLE tags (
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (stream, name)
) WITHOUT ROWID;
CREATE TABLE shards (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash_start BLOB NOT NULL,
    hash_end BLOB NOT NULL,
    parent INTEGER,
    adjacent_parent INTEGER,
    created INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    first INTEGER NOT NULL DEFAULT 1,
    next INTEGER NOT NULL DEFAULT 1,
    last_arrival INTEGER NOT NULL,
    UNIQUE (stream, number)
);
CREATE INDEX open_shards ON shards (stream, hash_start) WHERE closed_at IS NULL;
CREATE TABLE records (
    place INTEGER PRIMARY KEY,
    arrived_at INTEGER NOT NULL,
    partition_key TEXT NOT NULL,
    data BLOB NOT NULL
);
"""

# Tables that a file of release 0.1.0 does not have; that release ignores them. A row of
# `encryption` holds from its time on; `key_id` is NULL while the stream is not encrypted.
_ADDED_SCHEMA = """
CREATE TABLE IF NOT EXISTS consumers (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deregistered_at INTEGER,
    UNIQUE (stream, name)
);
CREATE TABLE IF NOT EXISTS consumer_tags (
    consumer INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (consumer, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS encryption (
    stream INTEGER NOT NULL,
    since INTEGER NOT NULL,
    key_id TEXT,
    PRIMARY KEY (stream, since)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mode_changes (
    stream INTEGER NOT NULL,
    at INTEGER NOT NULL
);
"""

# The fields of StoredStream and StoredShard in their order; a condition follows.
_STREAMS = "SELECT key, name, created_at, mode, retention_hours, max_record_kib FROM streams WHERE "
_SHARDS = (
    "SELECT key, number, hash_start, hash_end, parent, adjacent_parent, created, opened_at,"
    " closed_at, first, next, last_arrival FROM shards WHERE "
)


class UnusableDatabaseError(BriefError):
    """The file cannot be used as the endpoint's database; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream. `key` is internal to the file and never reused."""

    key: int
    name: str
    created_at: int
    mode: Mode
    retention_hours: int
    max_record_kib: int

    def horizon(self, now: int) -> int:
        """The trim horizon: records that arrived earlier are no longer served."""
        return now - self.retention_hours * HOUR_MS


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard, open while `closed_at` is None.

    `key` is internal to the file, `number` is the number in the shard's ID. Records have the
    positions from `first` up to but not including `next`. `created` is the second in the shard's
    sequence numbers.
    """

    key: int
    number: int
    hash_start: bytes
    hash_end: bytes
    parent: int | None
    adjacent_parent: int | None
    created: int
    opened_at: int
    closed_at: int | None
    first: int
    next: int
    last_arrival: int

    @property
    def range(self) -> HashRange:
        """The hash keys of the shard."""
        return HashRange(int.from_bytes(self.hash_start), int.from_bytes(self.hash_end))

    @property
    def starting_number(self) -> SequenceNumber:
        """Below the number of each of its records."""
        return SequenceNumber(self.created, 0, self.created, self.number)

    @property
    def ending_number(self) -> SequenceNumber | None:
        """Above the number of each of its records; None while it is open."""
        if self.closed_at is None:
            return None
        second = self.second(self.closed_at)
        return SequenceNumber(self.created, sequence.LAST_POSITION, second, self.number)

    def second(self, arrived_at: int) -> int:
        """The second in a sequence number: the arrival's, or `created` if the clock went back."""
        return max(arrived_at // 1000, self.created)

    def expired(self, horizon: int) -> bool:
        """Whether it was closed before the horizon, so that it holds no records any more."""
        return self.closed_at is not None and self.closed_at < horizon

    def place(self, position: int) -> int:
        """The rowid of the record at a position."""
        return first_place(self.key) | min(position, _MAX_POSITION)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record that was read."""

    number: str
    arrived_at: int
    partition_key: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Consecutive records.

    `next` is the position after them, `next_arrival` the arrival time of the record there (None if
    there is none yet), `size` the bytes read.
    """

    records: list[StoredRecord]
    next: int
    next_arrival: int | None
    size: int


class KinesisFile:
    """The file, opened with `open_read_only`; use it as a context manager, or `close` it."""

    def __init__(self, connection: sqlite3.Connection, secret: bytes) -> None:
        self._sql = connection
        self.secret = secret
        """The key that seals the endpoint's tokens."""

    @classmethod
    def open_read_only(cls, database: Path) -> Self:
        """Open the file for reading, also while the endpoint writes to it.

        Raises:
            UnusableDatabaseError: it does not exist, cannot be opened, or has another layout.
        """
        return cls._open(database, "ro")

    @classmethod
    def _open(cls, database: Path, mode: str) -> Self:
        try:
            with ExitStack() as opened:
                uri = f"{database.absolute().as_uri()}?mode={mode}"
                connection = sqlite3.connect(uri, uri=True, isolation_level=None)
                opened.callback(connection.close)
                store = cls(connection, _prepare(connection, writable=mode != "ro"))
                opened.pop_all()
                return store
        except (sqlite3.DatabaseError, UnusableDatabaseError) as error:
            raise UnusableDatabaseError(f"{database}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one consistent state of the file."""
        self._sql.execute("BEGIN")
        try:
            yield
        finally:
            self._sql.execute("ROLLBACK")

    def find_stream(self, name: str) -> StoredStream | None:
        """The stream of that name, if there is one."""
        return next(iter(self._streams("name = ?", name)), None)

    def find_stream_of_key(self, key: int) -> StoredStream | None:
        """The stream with this internal key, if it still exists."""
        return next(iter(self._streams("key = ?", key)), None)

    def list_streams(self, *, after: str, limit: int) -> list[StoredStream]:
        """The streams whose name is greater than `after`, sorted by name."""
        return self._streams("name > ? ORDER BY name LIMIT ?", after, limit)

    def _streams(self, condition: str, *values: str | int) -> list[StoredStream]:
        return [StoredStream(*row) for row in self._sql.execute(_STREAMS + condition, values)]

    def tags(self, stream: StoredStream) -> dict[str, str]:
        """A stream's tags, sorted by name."""
        rows = self._sql.execute(
            "SELECT name, value FROM tags WHERE stream = ? ORDER BY name", (stream.key,)
        )
        return dict(rows.fetchall())

    def shards(self, stream: StoredStream) -> list[StoredShard]:
        """All shards that the stream ever had, sorted by number."""
        return self._shards("stream = ? ORDER BY number", stream.key)

    def open_shards(self, stream: StoredStream) -> list[StoredShard]:
        """The open shards, sorted by hash key; together they cover every hash key."""
        return self._shards("stream = ? AND closed_at IS NULL ORDER BY hash_start", stream.key)

    def find_shard(self, stream: StoredStream, number: int) -> StoredShard | None:
        """The stream's shard with this number, if there is one."""
        return next(iter(self._shards("stream = ? AND number = ?", stream.key, number)), None)

    def find_shard_of_key(self, key: int) -> StoredShard | None:
        """The shard with this internal key, if there is one."""
        return next(iter(self._shards("key = ?", key)), None)

    def children(self, stream: StoredStream, shard: StoredShard) -> list[StoredShard]:
        """The shards that a closed shard was split or merged into."""
        return self._shards(
            "stream = ? AND ? IN (parent, adjacent_parent) ORDER BY number",
            stream.key,
            shard.number,
        )

    def _shards(self, condition: str, *values: int) -> list[StoredShard]:
        return [StoredShard(*row) for row in self._sql.execute(_SHARDS + condition, values)]

    def read(
        self, shard: StoredShard, position: int, *, horizon: int, limit: int, max_bytes: int
    ) -> RecordPage:
        """Read records from a position, or from the trim horizon if that is later.

        Returns at most `limit` records and `max_bytes` of data and keys, but at least one record
        if there is one.
        """
        begin = max(position, self.position_at(shard, horizon))
        rows = self._sql.execute(
            "SELECT arrived_at, partition_key, data FROM records"
            " WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
            (shard.place(begin), shard.place(shard.next), limit + 1),
        )
        prefix = sequence.prefix(shard.created, shard.number)
        records: list[StoredRecord] = []
        size = 0
        for arrived_at, partition_key, data in rows:
            size_after = size + len(data) + len(partition_key.encode())
            if len(records) == limit or (records and size_after > max_bytes):
                rows.close()
                return RecordPage(records, begin + len(records), arrived_at, size)
            size = size_after
            second = shard.second(arrived_at)
            number = str(sequence.at(prefix, begin + len(records), second))
            records.append(StoredRecord(number, arrived_at, partition_key, data))
        return RecordPage(records, begin + len(records), None, size)

    def size(self, shard: StoredShard, position: int) -> tuple[int, int]:
        """The number of records from a position on, and the bytes of their data and keys."""
        count, size = self._sql.execute(
            "SELECT count(*), sum(length(data) + length(partition_key)) FROM records"
            " WHERE place >= ? AND place < ?",
            (shard.place(position), shard.place(shard.next)),
        ).fetchone()
        return count, size or 0

    def position_at(self, shard: StoredShard, time: int) -> int:
        """The position of the first record that arrived at `time` or later, else `shard.next`."""
        positions = range(shard.first, shard.next)
        return shard.first + bisect_left(
            positions, time, key=lambda position: self.arrival(shard, position)
        )

    def arrival(self, shard: StoredShard, position: int) -> int:
        """The arrival time of the record at this position, which must exist."""
        found: int = self._sql.execute(
            "SELECT arrived_at FROM records WHERE place = ?", (shard.place(position),)
        ).fetchone()[0]
        return found


def first_place(shard_key: int) -> int:
    """The lowest rowid of a shard's records."""
    return shard_key << _POSITION_BITS


def position_after(shard: StoredShard, number: SequenceNumber) -> int:
    """The position after the record with this sequence number.

    A number that this shard did not issue means that nothing was read: the stream was deleted and
    created again, or the file is an older copy.
    """
    if (number.created, number.shard) != (shard.created, shard.number):
        return shard.first
    if number.position >= shard.next:
        return shard.first
    return max(shard.first, number.position + 1)


def _prepare(connection: sqlite3.Connection, *, writable: bool) -> bytes:
    """Check the file's layout, create it in a new file, and return the file's secret."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (application, layout) != (_APPLICATION_ID, _LAYOUT) and (tables or not writable):
        raise UnusableDatabaseError("not a database of the Kinesis endpoint: use another file")
    connection.execute("PRAGMA busy_timeout = 10000")
    if writable:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        connection.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA application_id = {_APPLICATION_ID};"
            f"PRAGMA user_version = {_LAYOUT};COMMIT;"
        )
    if writable:
        connection.executescript(f"BEGIN IMMEDIATE;{_ADDED_SCHEMA}COMMIT;")
    (secret,) = connection.execute("SELECT value FROM secret").fetchone()
    return bytes(secret)
