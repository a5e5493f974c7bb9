"""A stream of shards: what its readers have in common, for Kinesis and for a table's stream."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """One record as the stream keeps it; `arrived_at` is in milliseconds since 1970."""

    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: int


class ListedShard(msgspec.Struct, frozen=True):
    """One shard of the stream, and the shards that were split or merged into it."""

    shard_id: str
    parents: frozenset[str]
    starting_number: str

    def may_have_issued(self, sequence_number: str) -> bool:
        """Whether a number can be this shard's, and not one of an earlier stream's shard."""
        return int(sequence_number) >= int(self.starting_number)


class TrimHorizon(msgspec.Struct, frozen=True):
    """From the oldest record that the stream still has."""


class AtTimestamp(msgspec.Struct, frozen=True):
    """From the first record that arrived at this time, in seconds since 1970, or later."""

    seconds: float


class AfterSequenceNumber(msgspec.Struct, frozen=True):
    """From the record after this one."""

    sequence_number: str


type Position = TrimHorizon | AtTimestamp | AfterSequenceNumber


class Records(msgspec.Struct, frozen=True):
    """What a read brought.

    `behind`: the shard has more already. `ended`: the shard is closed and this was the last of it.
    """

    records: Sequence[StreamRecord]
    behind: bool
    ended: bool


class StreamUnavailableError(Exception):
    """The stream does not answer now, or asks for patience; trying again later may work."""


class ShardNotFoundError(StreamUnavailableError):
    """The stream, if there is one, has no such shard."""


class PositionLostError(Exception):
    """The stream does not know the position: it was made again, or is an older copy."""


class ShardReader(Protocol):
    """One shard, read in order."""

    def read(self, limit: int) -> Records:
        """The next records, at most so many, perhaps none. After an error, goes on where it was.

        Raises:
            StreamUnavailableError: nothing was read.
            ShardNotFoundError: nothing was read, perhaps because the shard has expired.
            PositionLostError: the shard cannot be read from where it was.
        """
        ...


class Stream(Protocol):
    """A stream of shards."""

    def retention(self) -> float:
        """How long a record is kept, in seconds.

        Raises:
            StreamUnavailableError: not known now.
        """
        ...

    def shards(self) -> Sequence[ListedShard]:
        """All shards that hold records, closed ones too.

        Raises:
            StreamUnavailableError: not known now.
        """
        ...

    def reader(self, shard_id: str, position: Position) -> ShardReader:
        """A reader that starts there; asks nothing of the stream before its first `read`."""
        ...
