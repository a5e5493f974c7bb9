"""The store: streams, shards and records in one SQLite file.

Guarantees: what a method wrote is on disk when it returns, so neither a kill nor a power cut takes
what it answered for (WAL, synchronous=FULL): a consumer's checkpoint, as durable, never lies ahead
of its shard. Each writing method is one transaction. Nothing is kept in memory between calls.

Two invariants make every look-up an index look-up. In a shard, records stand at positions without
gaps from `first` (the trim horizon) to `next`, and their arrival times never go down, whatever the
clock does. So a time is found by bisection, and what lies behind a position is a subtraction.

Times are milliseconds since 1970 and always given by the caller.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from lockstep.stream import sequence
from lockstep.stream.sequence import SequenceNumber
from lockstep.stream.shards import (
    HashRange,
    Merge,
    Split,
    Step,
    hash_bytes,
    parts,
    union,
)

type Mode = Literal["PROVISIONED", "ON_DEMAND"]

HOUR_MS = 3_600_000

# A record's rowid is its shard's key and its position: records of a shard lie together in the
# file, in order, and need no second index.
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

# What the constructors of Stream and Shard take; a condition follows.
_STREAMS = "SELECT key, name, created_at, mode, retention_hours, max_record_kib FROM streams WHERE "
_SHARDS = (
    "SELECT key, number, hash_start, hash_end, parent, adjacent_parent, created, opened_at,"
    " closed_at, first, next, last_arrival FROM shards WHERE "
)


class UnusableDatabaseError(Exception):
    """The file cannot be the endpoint's database; the message says why."""


class UnissuedSequenceNumberError(ValueError):
    """`SequenceNumberForOrdering` is not below the number that the record would get."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream. `key` is the store's own and never given to another stream."""

    key: int
    name: str
    created_at: int
    mode: Mode
    retention_hours: int
    max_record_kib: int

    def horizon(self, now: int) -> int:
        """The trim horizon: what arrived before it is no longer served."""
        return now - self.retention_hours * HOUR_MS


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard, open while `closed_at` is None.

    `key` is the store's own, `number` the one in its id. Records stand at the positions from
    `first` up to but not including `next`. `created` is the second in its sequence numbers.
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
        """The hash keys it takes."""
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
        second = max(self.closed_at // 1000, self.created)
        return SequenceNumber(self.created, sequence.LAST_POSITION, second, self.number)

    def expired(self, horizon: int) -> bool:
        """Whether it was closed before the horizon: all its records are gone, and so is it."""
        return self.closed_at is not None and self.closed_at < horizon

    def place(self, position: int) -> int:
        """The rowid of the record at a position."""
        return self.key << _POSITION_BITS | min(position, _MAX_POSITION)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to put. `above`: the number that its own must exceed, if the producer said one."""

    hash_key: bytes
    partition_key: str
    data: bytes
    above: int = 0

    @property
    def size(self) -> int:
        """Bytes as Kinesis counts them: data and partition key."""
        return len(self.data) + len(self.partition_key.encode())


@dataclass(frozen=True, slots=True)
class Stored:
    """The record is in its shard."""

    shard: int
    number: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The record's shard takes no more at the moment; nothing was stored."""

    shard: int


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is read."""

    number: str
    arrived_at: int
    partition_key: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Records that follow each other.

    `next` is the position to read on from, `next_arrival` the arrival of the record there
    (None if there is none yet), `size` the bytes read.
    """

    records: list[StoredRecord]
    next: int
    next_arrival: int | None
    size: int


class Store:
    """Opened with `Store.open`; use as a context manager, or `close` it."""

    def __init__(self, connection: sqlite3.Connection, secret: bytes) -> None:
        self._sql = connection
        self.secret = secret
        """What seals this database's tokens."""

    @classmethod
    def open(cls, database: Path) -> Self:
        """Open the file, making it if there is none.

        Raises:
            UnusableDatabaseError: it cannot be opened, or is somebody else's.
        """
        return cls._open(database, "rwc")

    @classmethod
    def open_read_only(cls, database: Path) -> Self:
        """Open the file for reading alone, also while a server writes to it.

        Raises:
            UnusableDatabaseError: there is none, it cannot be opened, or is somebody else's.
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
        """What is read inside is of one moment, whatever others write."""
        self._sql.execute("BEGIN")
        try:
            yield
        finally:
            self._sql.execute("ROLLBACK")

    # Streams

    def create_stream(
        self,
        name: str,
        ranges: Sequence[HashRange],
        *,
        mode: Mode,
        max_record_kib: int,
        tags: Mapping[str, str],
        now: int,
    ) -> None:
        """Make a stream with one open shard for each range, retaining 24 hours.

        The caller has looked that there is none of that name.
        """
        with self._transaction():
            stream = self._sql.execute(
                "INSERT INTO streams (name, created_at, mode, retention_hours, max_record_kib)"
                " VALUES (?, ?, ?, 24, ?) RETURNING key",
                (name, now, mode, max_record_kib),
            ).fetchone()[0]
            for each in ranges:
                self._open_shard(stream, each, (), now)
            self._put_tags(stream, tags)

    def find_stream(self, name: str) -> Stream | None:
        """The stream of that name, if there is one."""
        return next(iter(self._streams("name = ?", name)), None)

    def find_stream_of_key(self, key: int) -> Stream | None:
        """The stream with the store's key, if it still exists."""
        return next(iter(self._streams("key = ?", key)), None)

    def list_streams(self, *, after: str, limit: int) -> list[Stream]:
        """The streams named above `after`, by name."""
        return self._streams("name > ? ORDER BY name LIMIT ?", after, limit)

    def _streams(self, condition: str, *values: str | int) -> list[Stream]:
        return [Stream(*row) for row in self._sql.execute(_STREAMS + condition, values)]

    def delete_stream(self, stream: Stream) -> None:
        """Forget a stream at once; `trim` frees what its records took."""
        with self._transaction():
            self._sql.execute("DELETE FROM streams WHERE key = ?", (stream.key,))
            self._sql.execute("DELETE FROM tags WHERE stream = ?", (stream.key,))

    def set_retention(self, stream: Stream, hours: int, now: int) -> None:
        """Retain records for so long. What is past the horizon now does not come back."""
        with self._transaction():
            for shard in self.shards(stream):
                self._raise_horizon(shard, stream.horizon(now))
            self._sql.execute(
                "UPDATE streams SET retention_hours = ? WHERE key = ?", (hours, stream.key)
            )

    # Tags

    def tags(self, stream: Stream) -> dict[str, str]:
        """A stream's tags, by name."""
        rows = self._sql.execute(
            "SELECT name, value FROM tags WHERE stream = ? ORDER BY name", (stream.key,)
        )
        return dict(rows.fetchall())

    def put_tags(self, stream: Stream, tags: Mapping[str, str]) -> None:
        """Add tags, or change their values."""
        with self._transaction():
            self._put_tags(stream.key, tags)

    def remove_tags(self, stream: Stream, names: Sequence[str]) -> None:
        """Take tags away; one that is not there is no error."""
        with self._transaction():
            self._sql.executemany(
                "DELETE FROM tags WHERE stream = ? AND name = ?",
                [(stream.key, name) for name in names],
            )

    def _put_tags(self, stream: int, tags: Mapping[str, str]) -> None:
        self._sql.executemany(
            "INSERT INTO tags (stream, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value",
            [(stream, name, value) for name, value in tags.items()],
        )

    # Shards

    def shards(self, stream: Stream) -> list[Shard]:
        """All shards a stream ever had, by number."""
        return self._shards("stream = ? ORDER BY number", stream.key)

    def open_shards(self, stream: Stream) -> list[Shard]:
        """The shards that take records, by hash key; together they take every key."""
        return self._shards("stream = ? AND closed_at IS NULL ORDER BY hash_start", stream.key)

    def find_shard(self, stream: Stream, number: int) -> Shard | None:
        """A shard of the stream by its number, if there was one."""
        return next(iter(self._shards("stream = ? AND number = ?", stream.key, number)), None)

    def find_shard_of_key(self, key: int) -> Shard | None:
        """A shard by the store's key, if there is one."""
        return next(iter(self._shards("key = ?", key)), None)

    def children(self, stream: Stream, shard: Shard) -> list[Shard]:
        """The shards that took over a closed shard's keys."""
        return self._shards(
            "stream = ? AND ? IN (parent, adjacent_parent) ORDER BY number",
            stream.key,
            shard.number,
        )

    def reshard(self, stream: Stream, steps: Sequence[Step], now: int) -> None:
        """Split and merge open shards, all or nothing. Parents close, children open.

        Raises:
            ValueError: a range that a step names is no open shard's, or it cannot be cut so.
        """
        with self._transaction():
            open_shards = {shard.range: shard for shard in self.open_shards(stream)}
            for step in steps:
                match step:
                    case Split(whole):
                        wanted, children = [whole], list(parts(step))
                    case Merge(left, right):
                        wanted, children = [left, right], [union(step)]
                missing = [each for each in wanted if each not in open_shards]
                if missing:
                    raise ValueError(f"no open shard has the range {missing[0]}")
                parents = [self._close_shard(open_shards.pop(each), now) for each in wanted]
                for each in children:
                    open_shards[each] = self._open_shard(stream.key, each, parents, now)

    def _close_shard(self, shard: Shard, now: int) -> Shard:
        closed_at = max(now, shard.last_arrival)
        self._sql.execute("UPDATE shards SET closed_at = ? WHERE key = ?", (closed_at, shard.key))
        return replace(shard, closed_at=closed_at, last_arrival=closed_at)

    def _open_shard(
        self, stream: int, hashes: HashRange, parents: Sequence[Shard], now: int
    ) -> Shard:
        # Neither the numbers nor the times of a child may be below those of its parents.
        opened_at = max([now, *(parent.last_arrival for parent in parents)])
        created = max([opened_at // 1000, *(parent.created + 1 for parent in parents)])
        parent, adjacent_parent = [*(each.number for each in parents), None, None][:2]
        (key,) = self._sql.execute(
            "INSERT INTO shards (stream, number, hash_start, hash_end, parent, adjacent_parent,"
            " created, opened_at, last_arrival) VALUES"
            " (?1, (SELECT ifnull(max(number) + 1, 0) FROM shards WHERE stream = ?1),"
            " ?2, ?3, ?4, ?5, ?6, ?7, ?7) RETURNING key",
            (
                stream,
                hash_bytes(hashes.start),
                hash_bytes(hashes.end),
                parent,
                adjacent_parent,
                created,
                opened_at,
            ),
        ).fetchone()
        return self._shards("key = ?", key)[0]

    def _shards(self, condition: str, *values: int) -> list[Shard]:
        return [Shard(*row) for row in self._sql.execute(_SHARDS + condition, values)]

    # Records

    def append(
        self,
        stream: Stream,
        entries: Sequence[Entry],
        *,
        admits: Callable[[int, int, int], bool],
        now: int,
    ) -> list[Stored | Throttled]:
        """Put records, in their order, each into the open shard that takes its hash key.

        `admits(shard, size, now)` is asked for each one; what it does not admit is `Throttled`.
        All that is stored is stored together.

        Raises:
            UnissuedSequenceNumberError: an entry's `above` is not below its number; none stored.
        """
        with self._transaction():
            shards = self.open_shards(stream)
            starts = [shard.hash_start for shard in shards]
            prefixes = [sequence.prefix(shard.created, shard.number) for shard in shards]
            arrivals = [max(now, shard.last_arrival) for shard in shards]
            positions = [shard.next for shard in shards]
            rows: list[tuple[int, int, str, bytes]] = []
            outcomes: list[Stored | Throttled] = []
            for entry in entries:
                index = bisect_right(starts, entry.hash_key) - 1
                shard = shards[index]
                if not admits(shard.key, entry.size, now):
                    outcomes.append(Throttled(shard.number))
                    continue
                position, arrived_at = positions[index], arrivals[index]
                number = sequence.at(prefixes[index], position, _second(shard, arrived_at))
                if entry.above >= number:
                    raise UnissuedSequenceNumberError(f"{entry.above} is not below {number}")
                rows.append((shard.place(position), arrived_at, entry.partition_key, entry.data))
                outcomes.append(Stored(shard.number, str(number)))
                positions[index] = position + 1
            self._sql.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
            self._sql.executemany(
                "UPDATE shards SET next = ?, last_arrival = ? WHERE key = ?",
                [
                    (position, arrived_at, shard.key)
                    for shard, position, arrived_at in zip(shards, positions, arrivals, strict=True)
                    if position > shard.next
                ],
            )
        return outcomes

    def read(
        self, shard: Shard, position: int, *, horizon: int, limit: int, max_bytes: int
    ) -> Page:
        """Records from a position on, or from the trim horizon if that is later.

        At most `limit` of them and `max_bytes` of data and keys, but one record at least if
        there is one.
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
                return Page(records, begin + len(records), arrived_at, size)
            size = size_after
            second = _second(shard, arrived_at)
            number = str(sequence.at(prefix, begin + len(records), second))
            records.append(StoredRecord(number, arrived_at, partition_key, data))
        return Page(records, begin + len(records), None, size)

    def position_at(self, shard: Shard, time: int) -> int:
        """The position of the first record that arrived at a time or later.

        `shard.next` if there is none.
        """
        positions = range(shard.first, shard.next)
        return shard.first + bisect_left(
            positions, time, key=lambda position: self.arrival(shard, position)
        )

    def arrival(self, shard: Shard, position: int) -> int:
        """When the record at a position arrived; there must be one."""
        found: int = self._sql.execute(
            "SELECT arrived_at FROM records WHERE place = ?", (shard.place(position),)
        ).fetchone()[0]
        return found

    # Trimming

    def trim(self, now: int, *, at_most: int = 1_000) -> Iterator[int]:
        """Delete what is past its stream's horizon, and what deleted streams left.

        Yields after each transaction how many records that one deleted (up to `at_most`), so
        that a server may answer in between.
        """
        keys = [key for (key,) in self._sql.execute("SELECT key FROM shards").fetchall()]
        for key in keys:
            with self._transaction():
                past = self._trimmed_to(key, now)
            while True:
                with self._transaction():
                    deleted = self._sql.execute(
                        "DELETE FROM records WHERE place IN (SELECT place FROM records"
                        " WHERE place >= ? AND place < ? LIMIT ?)",
                        (key << _POSITION_BITS, past, at_most),
                    ).rowcount
                yield deleted
                if deleted < at_most:
                    break
            self._sql.execute(
                "DELETE FROM shards WHERE key = ? AND stream NOT IN (SELECT key FROM streams)",
                (key,),
            )

    def _trimmed_to(self, shard_key: int, now: int) -> int:
        """The place before which a shard's records may be deleted, its horizon written down."""
        [shard] = self._shards("key = ?", shard_key)
        owners = self._streams("key = (SELECT stream FROM shards WHERE key = ?)", shard_key)
        if not owners:
            return (shard_key + 1) << _POSITION_BITS
        return shard.place(self._raise_horizon(shard, owners[0].horizon(now)))

    def _raise_horizon(self, shard: Shard, horizon: int) -> int:
        first = self.position_at(shard, horizon)
        if first > shard.first:
            self._sql.execute("UPDATE shards SET first = ? WHERE key = ?", (first, shard.key))
        return first

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")


def position_after(shard: Shard, number: SequenceNumber) -> int:
    """Where a reader stands who has processed the record of this number.

    A number that this shard did not issue counts as nothing read: the stream was deleted and made
    again, or its file is an older copy.
    """
    if (number.created, number.shard) != (shard.created, shard.number):
        return shard.first
    if number.position >= shard.next:
        return shard.first
    return max(shard.first, number.position + 1)


def _second(shard: Shard, arrived_at: int) -> int:
    """The second in a number: of the arrival, but not below the shard's (clocks may go back)."""
    return max(arrived_at // 1000, shard.created)


def _prepare(connection: sqlite3.Connection, *, writable: bool) -> bytes:
    """Check whose file it is, lay it out if it is new, and return its secret."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (application, layout) != (_APPLICATION_ID, _LAYOUT) and (tables or not writable):
        raise UnusableDatabaseError("this is no database of the Kinesis endpoint: use another file")
    connection.execute("PRAGMA busy_timeout = 10000")
    if writable:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        connection.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA application_id = {_APPLICATION_ID};"
            f"PRAGMA user_version = {_LAYOUT};COMMIT;"
        )
    (secret,) = connection.execute("SELECT value FROM secret").fetchone()
    return bytes(secret)
