"""The pure core of the event source mapping: decides what to do next with one shard.

It uses no clock, thread, socket or sleep. Its driver asks a `Shard` for the next step, performs it,
and reports the result. The same code therefore runs with real processes and in virtual time.
"""

import math
import zlib
from collections import deque
from collections.abc import Callable

from lockstep.local.mapping.batch import PAYLOAD_BYTES, BatchRecord
from lockstep.local.mapping.lane import Lane, Tail
from lockstep.local.mapping.response import Errored, Returned, Throttled
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import BUSY, Advance, Finished, Read, Step, Turn, Wait
from shared.event import AGGREGATED_MAGIC

# A shard allows five reads a second for all its readers together: two mappings stay below.
IDLE_READ_SECONDS = 0.5
GAP_READ_SECONDS = 0.2
# If the stream says when something arrives. The end of a tumbling window needs a read in time.
QUIET_READ_SECONDS = 5.0
# One read returns several small batches; GetRecords also returns at most 10 MiB.
READ_RECORDS = 1_000


class _Unsettled:
    """The records after the checkpoint that were read, in the shard's order."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._settled: set[str] = set()
        self.bytes = 0  # of the records that are not settled

    def __len__(self) -> int:
        return len(self._order)

    def add(self, entries: list[BatchRecord]) -> None:
        self._order.extend(entry.sequence_number for entry in entries)
        self.bytes += sum(len(entry.json) for entry in entries)

    def settle(self, entries: tuple[BatchRecord, ...]) -> str | None:
        """Settle records; return the new highest number up to which all are settled, if any."""
        self._settled.update(entry.sequence_number for entry in entries)
        self.bytes -= sum(len(entry.json) for entry in entries)
        last = None
        while self._order and self._order[0] in self._settled:
            last = self._order.popleft()
            self._settled.remove(last)
        return last


class Shard:
    """Processes one shard: read, cut batches, invoke, retry, discard, move the checkpoint.

    The driver performs each `next` step and calls the method that the step names before it asks for
    another step. Only invocations and discards may still run when it asks; it calls the method when
    they end.

    A record is settled when its batch succeeded or was discarded. The checkpoint moves with settled
    records only, and never passes a record of any lane that is not settled.

    Args:
        settings: of the mapping.
        retention: how long the stream keeps a record, in seconds; older records have expired,
            whatever the settings are.
        chance: returns random numbers from 0 to 1, for the jitter.
        quiet_seconds: how often an idle shard is read, if `arrived` is called when the stream has
            something new; None: nobody calls it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retention: float,
        chance: Callable[[], float],
        quiet_seconds: float | None = None,
    ) -> None:
        self.retention = retention
        self._settings = settings
        self._read_records = max(settings.batch_size, READ_RECORDS)
        self._lanes = [
            Lane(number, settings, chance) for number in range(settings.parallelization_factor)
        ]
        self._unsettled = _Unsettled()
        self._checkpoint: str | None = None  # not saved yet
        self._read_at = float("-inf")
        self._may_read_at = float("-inf")  # if something arrives before `_read_at`
        self._idle_seconds = IDLE_READ_SECONDS
        if quiet_seconds is not None and not settings.tumbling_seconds:
            self._idle_seconds = quiet_seconds
        self._more_at_once = False  # the last read did not reach the end of the stream
        self._caught_up_at = float("-inf")
        self._ended = False

    def next(self, now: float) -> Step:
        """The next step at this time, in seconds since 1970."""
        if self._checkpoint is not None and not any(lane.holds_back for lane in self._lanes):
            return Advance(self._checkpoint)
        oldest = now - self._lifetime
        tail = Tail(self._more_at_once and self._may_read, self._ended, self._caught_up_at)
        until = math.inf
        for lane in self._lanes:
            step = lane.next(now, oldest=oldest, tail=tail)
            if step is BUSY:
                continue
            if not isinstance(step, Wait):
                return step
            until = min(until, step.until)
        if self._ended:
            return Finished() if all(lane.empty for lane in self._lanes) else Wait(until)
        if self._may_read and any(lane.idle for lane in self._lanes):
            if now >= self._read_at:
                return Read(self._read_records)
            until = min(until, self._read_at)
        return Wait(until)

    def records_read(
        self, entries: list[BatchRecord], *, behind: bool, ended: bool, now: float
    ) -> None:
        """A read returned these; `behind`: there are more; `ended`: there will be no more."""
        self._unsettled.add(entries)
        entries, has_records = self._filtered(entries), bool(entries)
        by_lane: dict[int, list[BatchRecord]] = {}
        for entry in entries:
            by_lane.setdefault(self._lane_of(entry), []).append(entry)
        for number, lane_entries in by_lane.items():
            self._lanes[number].add(lane_entries)
        self._ended = ended
        if not behind:
            self._caught_up_at = now
        self._more_at_once = behind and has_records
        if self._more_at_once:
            self._read_at = now
        else:
            self._read_at = now + (GAP_READ_SECONDS if behind else self._idle_seconds)
        self._may_read_at = min(self._read_at, now + IDLE_READ_SECONDS)

    def arrived(self) -> None:
        """Something may have arrived since the last read."""
        self._read_at = min(self._read_at, self._may_read_at)

    def read_failed(self, *, again: float) -> None:
        """A read failed and is retried at this time; earlier records are processed meanwhile."""
        self._more_at_once = False
        self._read_at = self._may_read_at = again

    def invocation_ended(
        self, answer: Returned | Errored | Throttled, *, request_id: str, now: float, lane: int = 0
    ) -> Turn:
        """The invocation of this lane ended with this result."""
        turn, settled = self._lanes[lane].invocation_ended(answer, request_id, now)
        self._settle(settled)
        return turn

    def discarded(self, *, lane: int = 0) -> None:
        """The lane's failure document is durable, or there is no on-failure destination."""
        self._settle(self._lanes[lane].discarded())

    def discard_failed(self, *, again: float, lane: int) -> None:
        """The lane's failure document was not written; the write is retried at this time."""
        self._lanes[lane].discard_failed(again)

    def checkpoint_saved(self) -> None:
        """The checkpoint is durable."""
        self._checkpoint = None

    def _settle(self, entries: tuple[BatchRecord, ...]) -> None:
        self._checkpoint = self._unsettled.settle(entries) or self._checkpoint

    def _filtered(self, entries: list[BatchRecord]) -> list[BatchRecord]:
        """The records that match the filter criteria; all others are settled."""
        filters = self._settings.filters
        if filters is None:
            return entries
        matching: list[BatchRecord] = []
        others: list[BatchRecord] = []
        for entry in entries:
            data = entry.json if filters.whole_record else entry.data
            (matching if filters.match(data) else others).append(entry)
        self._settle(tuple(others))
        return matching

    def _lane_of(self, entry: BatchRecord) -> int:
        """The lane of a key. Aggregated records contain records of many keys: all use one lane."""
        if entry.data.startswith(AGGREGATED_MAGIC):
            return 0
        lanes = len(self._lanes)
        return zlib.crc32(entry.partition_key.encode()) % lanes if lanes > 1 else 0

    @property
    def _may_read(self) -> bool:
        """Whether to read more records: this limits the memory.

        It also limits how far other lanes get ahead of a lane that is stuck.
        """
        lanes, unsettled = len(self._lanes), self._unsettled
        return (
            len(unsettled) < lanes * self._read_records and unsettled.bytes < lanes * PAYLOAD_BYTES
        )

    @property
    def _lifetime(self) -> float:
        age = self._settings.age_seconds
        return self.retention if age is None else min(age, self.retention)
