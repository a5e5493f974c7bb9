"""Finds the records of one shard that the stream removed before they were read. Pure."""

import datetime as dt
from collections.abc import Callable

import msgspec

from lockstep.stream import sequence
from lockstep.stream.checkpoints import Gap
from lockstep.stream.losses import Loss


class RunTimes(msgspec.Struct, frozen=True):
    """Times of one mapping, in seconds since 1970: for numbers that do not tell a time.

    `created_at`: its first start. `stopped_at`: the end of its run before this one.
    """

    created_at: Callable[[], float]
    stopped_at: Callable[[], float]


class GapFinder:
    """Follows what is read of one shard."""

    def __init__(self, shard_id: str, *, starting_number: str, after: str, times: RunTimes) -> None:
        """Begin to read.

        Args:
            shard_id: the shard.
            starting_number: the shard's starting sequence number.
            after: the number of the last record that was settled; empty: none was.
            times: those of the mapping.
        """
        self._shard_id = shard_id
        self._starting_number = starting_number
        self._after = after
        self._times = times
        self._lost: Gap | None = None  # begins at the checkpoint, and ends at the next read

    @property
    def tells_time(self) -> bool:
        """Whether the numbers of the shard tell the time of their records."""
        return sequence.time_of(self._starting_number) is not None

    def read(self, first: str, arrived_at: float, last: str) -> Gap | None:
        """Some records were read; return the gap before them, if there is one.

        Store the gap before any of them is settled: the checkpoint would pass it.

        Args:
            first: the number of the first of them.
            arrived_at: when that arrived, in seconds since 1970.
            last: the number of the last of them.
        """
        records = sequence.skipped(self._after, first)
        found = None
        if self._lost is not None or records:
            found = msgspec.structs.replace(
                self.unread(until=arrived_at),
                before=first,
                records=None if self._lost else records,
            )
        self._lost = None
        self._after = last
        return found

    def position_lost(self, *, now: float) -> Gap:
        """The stream does not know the last record: what came after it until now is a gap."""
        self._lost = self.unread(until=now)
        return self._lost

    def unread(self, *, until: float) -> Gap:
        """What arrived after the last record that was read, until this time."""
        if self._after:
            return gap_after(self._after, self._shard_id, self._times, until=until)
        since = sequence.time_of(self._starting_number)
        since = self._times.created_at() if since is None else since
        return Gap(self._shard_id, "", "", min(since, until), until, None)


def gap_after(number: str, shard_id: str, times: RunTimes, *, until: float) -> Gap:
    """A gap of unknown size after the record with this number."""
    since = sequence.time_of(number)
    since = times.stopped_at() if since is None else since
    return Gap(shard_id, number, "", min(since, until), until, None)


def loss_of(gap: Gap, *, consumer: str, stream: str) -> Loss:
    """A gap as a loss of its consumer, in whole seconds, as people type them."""
    return Loss(
        consumer=consumer,
        since=_moment(gap.since),
        until=_moment(max(gap.since, gap.until)),
        records=gap.records,
        stream=stream,
        shard_id=gap.shard_id,
        after=gap.after,
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
