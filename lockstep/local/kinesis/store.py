"""The store: how the endpoint writes streams, shards and records into its SQLite file.

Guarantees: what a method wrote is on disk when it returns, so neither a kill nor a power failure
loses what was acknowledged (WAL, synchronous=FULL). A consumer's checkpoint, equally durable, is
therefore never ahead of its shard. Each writing method is one transaction. Nothing is kept in
memory between calls.

The caller passes all times, in milliseconds since 1970.
"""

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from lockstep.local.kinesis.consumers import Consumers
from lockstep.local.kinesis.settings import StreamSettings
from lockstep.local.kinesis.transactions import transaction
from lockstep.stream import sequence
from lockstep.stream.kinesis_file import KinesisFile, Mode, StoredShard, StoredStream, first_place
from lockstep.stream.shards import HashRange, Merge, Split, Step, hash_bytes, parts, union


class UnissuedSequenceNumberError(ValueError):
    """`SequenceNumberForOrdering` is not below the number that the record would get."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to store. `above`: its sequence number must exceed this; from the producer."""

    hash_key: bytes
    partition_key: str
    data: bytes
    above: int = 0

    @property
    def size(self) -> int:
        """The size that Kinesis counts: bytes of data and partition key."""
        return len(self.data) + len(self.partition_key.encode())


@dataclass(frozen=True, slots=True)
class Stored:
    """The record is stored in this shard."""

    shard: int
    number: str


@dataclass(frozen=True, slots=True)
class ThroughputExceeded:
    """The record was not stored: its shard is over its limit."""

    shard: int


class Store(KinesisFile):
    """The file, opened for writing with `open`; use it as a context manager, or `close` it."""

    def __init__(self, connection: sqlite3.Connection, secret: bytes) -> None:
        super().__init__(connection, secret)
        self.consumers = Consumers(connection)
        self.settings = StreamSettings(connection)

    @classmethod
    def open(cls, database: Path) -> Self:
        """Open the file; create it if it does not exist.

        Raises:
            UnusableDatabaseError: it cannot be opened, or has another layout.
        """
        return cls._open(database, "rwc")

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
        """Create a stream with one open shard for each range and a retention of 24 hours.

        The caller must ensure that no stream has this name.
        """
        with transaction(self._sql):
            stream = self._sql.execute(
                "INSERT INTO streams (name, created_at, mode, retention_hours, max_record_kib)"
                " VALUES (?, ?, ?, 24, ?) RETURNING key",
                (name, now, mode, max_record_kib),
            ).fetchone()[0]
            for each in ranges:
                self._open_shard(stream, each, (), now)
            self._put_tags(stream, tags)

    def delete_stream(self, stream: StoredStream) -> None:
        """Delete a stream at once; `trim` deletes its records."""
        with transaction(self._sql):
            self._sql.execute("DELETE FROM streams WHERE key = ?", (stream.key,))
            self._sql.execute("DELETE FROM tags WHERE stream = ?", (stream.key,))
            self.consumers.delete_of(stream)
            self.settings.delete_of(stream)

    def open_shard_count(self) -> int:
        """The number of open shards of all streams."""
        found: int = self._sql.execute(
            "SELECT count(*) FROM shards WHERE closed_at IS NULL"
            " AND stream IN (SELECT key FROM streams)"
        ).fetchone()[0]
        return found

    def on_demand_stream_count(self) -> int:
        """The number of streams in on-demand mode."""
        found: int = self._sql.execute(
            "SELECT count(*) FROM streams WHERE mode = 'ON_DEMAND'"
        ).fetchone()[0]
        return found

    def set_retention(self, stream: StoredStream, hours: int, now: int) -> None:
        """Change the retention. Records that have already expired stay expired."""
        with transaction(self._sql):
            for shard in self.shards(stream):
                self._raise_horizon(shard, stream.horizon(now))
            self._sql.execute(
                "UPDATE streams SET retention_hours = ? WHERE key = ?", (hours, stream.key)
            )

    def put_tags(self, stream: StoredStream, tags: Mapping[str, str]) -> None:
        """Add tags, or replace their values."""
        with transaction(self._sql):
            self._put_tags(stream.key, tags)

    def remove_tags(self, stream: StoredStream, names: Sequence[str]) -> None:
        """Remove tags; a name without a tag is not an error."""
        with transaction(self._sql):
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

    def reshard(self, stream: StoredStream, steps: Sequence[Step], now: int) -> None:
        """Split and merge open shards in one transaction: close the parents, open the children.

        Raises:
            ValueError: no open shard has the range that a step names, or the step is invalid.
        """
        with transaction(self._sql):
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

    def _close_shard(self, shard: StoredShard, now: int) -> StoredShard:
        closed_at = max(now, shard.last_arrival)
        self._sql.execute("UPDATE shards SET closed_at = ? WHERE key = ?", (closed_at, shard.key))
        return replace(shard, closed_at=closed_at, last_arrival=closed_at)

    def _open_shard(
        self, stream: int, hashes: HashRange, parents: Sequence[StoredShard], now: int
    ) -> StoredShard:
        # A child's sequence numbers and times must not be below those of its parents.
        opened_at = max([now, *(parent.last_arrival for parent in parents)])
        created = max([opened_at // 1000, *(parent.created + 1 for parent in parents)])
        parent, adjacent_parent = [*(each.number for each in parents), None, None][:2]
        (key,) = self._sql.execute(
            "INSERT INTO shards (stream, number, hash_start, hash_end, parent, adjacent_parent,"
            " created, opened_at, last_arrival) VALUES"
            " (:stream, (SELECT ifnull(max(number) + 1, 0) FROM shards WHERE stream = :stream),"
            " :start, :end, :parent, :adjacent, :created, :at, :at) RETURNING key",
            {
                "stream": stream,
                "start": hash_bytes(hashes.start),
                "end": hash_bytes(hashes.end),
                "parent": parent,
                "adjacent": adjacent_parent,
                "created": created,
                "at": opened_at,
            },
        ).fetchone()
        return self._shards("key = ?", key)[0]

    def append(
        self,
        stream: StoredStream,
        entries: Sequence[NewRecord],
        *,
        admits: Callable[[int, int, int], bool],
        now: int,
    ) -> list[Stored | ThroughputExceeded]:
        """Store records in their order, each in the open shard of its hash key.

        A record that `admits(shard, size, now)` rejects is `ThroughputExceeded`. All others are
        stored in one transaction.

        Raises:
            UnissuedSequenceNumberError: a record's `above` is not below its sequence number;
                nothing was stored.
        """
        with transaction(self._sql):
            shards = self.open_shards(stream)
            starts = [shard.hash_start for shard in shards]
            prefixes = [sequence.prefix(shard.created, shard.number) for shard in shards]
            arrivals = [max(now, shard.last_arrival) for shard in shards]
            positions = [shard.next for shard in shards]
            rows: list[tuple[int, int, str, bytes]] = []
            outcomes: list[Stored | ThroughputExceeded] = []
            for entry in entries:
                index = bisect_right(starts, entry.hash_key) - 1
                shard = shards[index]
                if not admits(shard.key, entry.size, now):
                    outcomes.append(ThroughputExceeded(shard.number))
                    continue
                position, arrived_at = positions[index], arrivals[index]
                number = sequence.at(prefixes[index], position, shard.second(arrived_at))
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

    def trim(self, now: int, *, at_most: int = 1_000) -> Iterator[int]:
        """Delete expired records, and the records of deleted streams.

        Yields after each transaction how many records it deleted (up to `at_most`), so that a
        server can answer requests in between.
        """
        keys = [key for (key,) in self._sql.execute("SELECT key FROM shards").fetchall()]
        for key in keys:
            with transaction(self._sql):
                past = self._trimmed_to(key, now)
            while True:
                with transaction(self._sql):
                    deleted = self._sql.execute(
                        "DELETE FROM records WHERE place IN (SELECT place FROM records"
                        " WHERE place >= ? AND place < ? LIMIT ?)",
                        (first_place(key), past, at_most),
                    ).rowcount
                yield deleted
                if deleted < at_most:
                    break
            self._sql.execute(
                "DELETE FROM shards WHERE key = ? AND stream NOT IN (SELECT key FROM streams)",
                (key,),
            )

    def _trimmed_to(self, shard_key: int, now: int) -> int:
        """Store the shard's new horizon; return the place before which records may be deleted."""
        [shard] = self._shards("key = ?", shard_key)
        owners = self._streams("key = (SELECT stream FROM shards WHERE key = ?)", shard_key)
        if not owners:
            return first_place(shard_key + 1)
        return shard.place(self._raise_horizon(shard, owners[0].horizon(now)))

    def _raise_horizon(self, shard: StoredShard, horizon: int) -> int:
        first = self.position_at(shard, horizon)
        if first > shard.first:
            self._sql.execute("UPDATE shards SET first = ? WHERE key = ?", (first, shard.key))
        return first
