"""The backlog: the records that a consumer has not processed, read from the endpoint's file."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.console.errors import UserError
from lockstep.stream import sequence
from lockstep.stream.kinesis_file import KinesisFile, UnusableDatabaseError, position_after
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
    try:
        with KinesisFile.open_read_only(database) as file, file.snapshot():
            return _backlog(file, stream, after)
    except (UnusableDatabaseError, sequence.InvalidSequenceNumberError) as error:
        raise UnknownBacklogError(f"the backlog is unknown: {error}") from None
    except sqlite3.DatabaseError as error:
        raise UnknownBacklogError(f"the backlog is unknown: {database}: {error}") from None


def _backlog(file: KinesisFile, stream_name: str, after: Mapping[str, str]) -> Backlog:
    stream = file.find_stream(stream_name)
    if stream is None:
        raise UnknownBacklogError(f"the backlog is unknown: there is no stream {stream_name}")
    records, arrivals = 0, []
    for shard in file.shards(stream):
        done = after.get(shard_id(shard.number))
        position = shard.first if done is None else position_after(shard, sequence.parse(done))
        if position < shard.next:
            records += shard.next - position
            arrivals.append(file.arrival(shard, position))
    return Backlog(records, min(arrivals, default=None))
