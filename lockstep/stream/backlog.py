"""The backlog: how far a consumer is behind, read from the endpoint's file beside the server."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.console.errors import UserError
from lockstep.local.kinesis.store import Store, UnusableDatabaseError, position_after
from lockstep.stream import sequence
from lockstep.stream.shards import shard_id


class UnknownBacklogError(UserError):
    """It cannot be told; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a consumer has not processed.

    `oldest_arrival`: milliseconds since 1970 of the oldest such record, None if there is none.
    """

    records: int
    oldest_arrival: int | None


def backlog(database: Path, stream: str, after: Mapping[str, str]) -> Backlog:
    """The records of a stream behind the positions in `after`.

    `after` maps a shard's id to the sequence number last processed; a shard that is not in it
    was not started. Records that the server has trimmed do not count. Counts by subtraction of
    positions, so it costs one look-up a shard, however many records there are.

    Raises:
        UnknownBacklogError: no such file or stream, the file is damaged, or a position is no
            sequence number.
    """
    try:
        with Store.open_read_only(database) as store, store.snapshot():
            return _backlog(store, stream, after)
    except (UnusableDatabaseError, sequence.InvalidSequenceNumberError) as error:
        raise UnknownBacklogError(f"the backlog cannot be told: {error}") from None
    except sqlite3.DatabaseError as error:
        raise UnknownBacklogError(f"the backlog cannot be told: {database}: {error}") from None


def _backlog(store: Store, stream_name: str, after: Mapping[str, str]) -> Backlog:
    stream = store.find_stream(stream_name)
    if stream is None:
        raise UnknownBacklogError(f"the backlog cannot be told: there is no stream {stream_name}")
    records, arrivals = 0, []
    for shard in store.shards(stream):
        done = after.get(shard_id(shard.number))
        position = shard.first if done is None else position_after(shard, sequence.parse(done))
        if position < shard.next:
            records += shard.next - position
            arrivals.append(store.arrival(shard, position))
    return Backlog(records, min(arrivals, default=None))
