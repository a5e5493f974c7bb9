"""What consumers have processed and have not, read from the file of the endpoint."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockstep.console.errors import UserError
from lockstep.stream import sequence
from lockstep.stream.checkpoints import Gap
from lockstep.stream.kinesis_file import (
    KinesisFile,
    StoredShard,
    StoredStream,
    UnusableDatabaseError,
    position_after,
)
from lockstep.stream.shards import shard_id


class UnknownBacklogError(UserError):
    """The backlog is unknown; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The records that a consumer has not processed.

    `oldest_arrival`: the oldest one's arrival in milliseconds since 1970, None if there is none.
    """

    records: int
    oldest_arrival: int | None


def backlog(database: Path, stream: str, after: Mapping[str, str]) -> Backlog:
    """Count the records of a stream after the sequence numbers in `after`.

    `after` maps a shard's ID to the last processed sequence number; a shard that is missing from
    it was not started. Records that the endpoint has trimmed do not count. Each shard takes one
    lookup, because records are counted by subtraction.

    Raises:
        UnknownBacklogError: the file or the stream does not exist, the file is damaged, or
            `after` has an invalid sequence number.
    """
    with _opened(database, stream) as (file, found):
        return _backlog(file, found, after)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """How many records there were since a stream was made.

    `arrived`: by shard, of all shards that the stream ever had. `open_shards`: those that accept
    records. `processed`: by consumer; records that were removed before it read them count, too.
    """

    arrived: Mapping[str, int]
    open_shards: tuple[str, ...]
    processed: Mapping[str, int]


def counts(database: Path, stream: str, after: Mapping[str, Mapping[str, str]]) -> StreamCounts:
    """Count what has arrived on a stream, and what consumers have processed of it.

    It reads no record: positions are subtracted.

    Args:
        database: the endpoint's file.
        stream: the name of the stream.
        after: of each consumer, the last settled sequence number of each shard, see `backlog`.

    Raises:
        UnknownBacklogError: see `backlog`.
    """
    with _opened(database, stream) as (file, found):
        shards = file.shards(found)
        return StreamCounts(
            arrived={shard_id(shard.number): shard.next - 1 for shard in shards},
            open_shards=tuple(shard_id(one.number) for one in shards if one.closed_at is None),
            processed={
                consumer: sum(_position(shard, done) - 1 for shard in shards)
                for consumer, done in after.items()
            },
        )


def gaps(database: Path, stream: str, after: Mapping[str, str], *, now: float) -> list[Gap]:
    """The records after the sequence numbers in `after` that the stream has removed by now.

    It is exact, also for a shard that has expired as a whole. A mapping that reads on moves its
    checkpoint: it stores such a gap first (`Checkpoints.lost`).

    Args:
        database: the endpoint's file.
        stream: the name of the stream.
        after: the last settled sequence number of each shard, see `backlog`.
        now: in seconds since 1970.

    Raises:
        UnknownBacklogError: see `backlog`.
    """
    with _opened(database, stream) as (file, found):
        each = [
            _gap(file, found, shard, after.get(shard_id(shard.number)), now)
            for shard in file.shards(found)
        ]
    return [gap for gap in each if gap is not None]


def stored(
    database: Path, stream: str, shards: Collection[str], *, since: float | None, now: float
) -> tuple[int, int]:
    """How many records some shards hold, and their bytes.

    Args:
        database: the endpoint's file.
        stream: the name of the stream.
        shards: the IDs of the shards.
        since: count what arrived then or later, in seconds since 1970; None: all.
        now: in seconds since 1970.

    Raises:
        UnknownBacklogError: see `backlog`.
    """
    records = size = 0
    with _opened(database, stream) as (file, found):
        oldest = found.horizon(round(now * 1000))
        oldest = oldest if since is None else max(oldest, round(since * 1000))
        for shard in file.shards(found):
            if shard_id(shard.number) in shards:
                counted = file.size(shard, file.position_at(shard, oldest))
                records, size = records + counted[0], size + counted[1]
    return records, size


@contextmanager
def _opened(database: Path, stream: str) -> Iterator[tuple[KinesisFile, StoredStream]]:
    """The file, in one consistent state, and the stream in it."""
    try:
        with KinesisFile.open_read_only(database) as file, file.snapshot():
            found = file.find_stream(stream)
            if found is None:
                raise UnknownBacklogError(f"the backlog is unknown: there is no stream {stream}")
            yield file, found
    except (UnusableDatabaseError, sequence.InvalidSequenceNumberError) as error:
        raise UnknownBacklogError(f"the backlog is unknown: {error}") from None
    except sqlite3.DatabaseError as error:
        raise UnknownBacklogError(f"the backlog is unknown: {database}: {error}") from None


def _backlog(file: KinesisFile, stream: StoredStream, after: Mapping[str, str]) -> Backlog:
    records, arrivals = 0, []
    for shard in file.shards(stream):
        position = _position(shard, after)
        if position < shard.next:
            records += shard.next - position
            arrivals.append(file.arrival(shard, position))
    return Backlog(records, min(arrivals, default=None))


def _position(shard: StoredShard, after: Mapping[str, str]) -> int:
    """The position of the first record that is not processed."""
    done = after.get(shard_id(shard.number))
    return shard.first if done is None else position_after(shard, sequence.parse(done))


def _gap(
    file: KinesisFile, stream: StoredStream, shard: StoredShard, done: str | None, now: float
) -> Gap | None:
    """The records of a shard after this number that are removed; None if there are none."""
    number = shard.starting_number if done is None else sequence.parse(done)
    if (number.created, number.shard) != (shard.created, shard.number):
        # Of an earlier stream: the mapping begins again with this one.
        done, number = None, shard.starting_number
    if number.position >= shard.next:
        return None  # the file is an older copy: its records were processed
    first = max(shard.first, file.position_at(shard, stream.horizon(round(now * 1000))))
    records = first - number.position - 1
    if records <= 0:
        return None
    until, before = shard.last_arrival, ""
    if first < shard.next:
        until = file.arrival(shard, first)
        prefix = sequence.prefix(shard.created, shard.number)
        before = str(sequence.at(prefix, first, shard.second(until)))
    return Gap(
        shard_id=shard_id(shard.number),
        after="" if done is None or number.position == 0 else done,
        before=before,
        since=float(number.second),
        until=until / 1000,
        records=records,
    )
