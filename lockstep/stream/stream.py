"""Streams of shards: what Kinesis streams and streams of tables have in common."""

import datetime as dt
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from shared.shortened import BriefError

# AWS refuses requests from a clock that differs by more (docs/internals/facts.md). So a record that
# arrived this long after a moment of ours certainly arrived after it.
SKEW: Final = dt.timedelta(minutes=15)
# A command reads as many records at a time as the event source mapping does, and no more often: a
# shard allows five reads and 2 MiB a second for all its readers together.
READ_RECORDS: Final = 1_000
READ_EVERY_SECONDS: Final = 0.5


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of a stream; `arrived_at` is in milliseconds since 1970."""

    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: int


class ListedShard(msgspec.Struct, frozen=True):
    """A shard of a stream; `parents` are the shards that were split or merged into it."""

    shard_id: str
    parents: frozenset[str]
    starting_number: str

    def may_have_issued(self, sequence_number: str) -> bool:
        """Whether this shard, not one of an earlier stream, may have issued the number."""
        return int(sequence_number) >= int(self.starting_number)


class TrimHorizon(msgspec.Struct, frozen=True):
    """From the oldest record in the stream."""


class AtTimestamp(msgspec.Struct, frozen=True):
    """From the first record that arrived at this time, in seconds since 1970, or later."""

    seconds: float


class AfterSequenceNumber(msgspec.Struct, frozen=True):
    """From the record after this one."""

    sequence_number: str


type Position = TrimHorizon | AtTimestamp | AfterSequenceNumber


class Records(msgspec.Struct, frozen=True):
    """The result of a read.

    `behind`: the shard has more records. `ended`: the shard is closed and was read to its end.
    """

    records: Sequence[StreamRecord]
    behind: bool
    ended: bool


class StreamUnavailableError(BriefError):
    """The stream is unavailable or throttles; a retry may succeed."""


class StreamDeniedError(StreamUnavailableError):
    """No permission to read the stream, or to use its key; no retry helps until this changes."""


class ShardNotFoundError(StreamUnavailableError):
    """The stream does not exist, or has no such shard."""


class PositionLostError(BriefError):
    """The stream does not have this position: it was created again, or is an older copy."""


class ShardReader(Protocol):
    """Reads one shard in order."""

    def read(self, limit: int) -> Records:
        """Read the next records, at most `limit`, possibly none. An error moves no position.

        Raises:
            StreamUnavailableError: nothing was read.
            ShardNotFoundError: nothing was read, perhaps because the shard has expired.
            PositionLostError: the shard cannot be read from this position.
        """
        ...


class Stream(Protocol):
    """A stream of shards."""

    def retention(self) -> float:
        """The retention of a record in seconds.

        Raises:
            StreamUnavailableError: the stream is unavailable.
        """
        ...

    def shards(self) -> Sequence[ListedShard]:
        """All shards that have records, including closed shards.

        Raises:
            StreamUnavailableError: the stream is unavailable.
        """
        ...

    def reader(self, shard_id: str, position: Position) -> ShardReader:
        """A reader that starts at this position; its first request is in its first `read`."""
        ...
