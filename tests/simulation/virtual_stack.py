"""The event source mapping's own core in virtual time: shards that drain a backlog."""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Returned
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Invoke, Read, Wait

_RETENTION = 7 * 86_400.0
# A shard without a backlog is read twice a second, and a batch may wait for a second.
CAUGHT_UP_S = 1.5
_NO_LANE = -1
_DONE = Returned(b'{"batchItemFailures": []}')


class Store(msgspec.Struct):
    """A store that all shards share. It processes one request after the other.

    Attributes:
        per_second: the records that it takes.
        free_at: when it has processed what it got.
    """

    per_second: float
    free_at: float = 0.0

    def ends(self, now: float, records: int, answer: float) -> float:
        """When a request of so many records, which alone takes `answer` seconds, is answered."""
        self.free_at = max(now, self.free_at) + records / self.per_second
        return max(self.free_at, now + answer)


class Work(msgspec.Struct, frozen=True):
    """What an invocation with a batch costs: seconds of the function, then of the store's answer.

    `written` is the number of records that remain after folding.
    """

    function: float
    answer: float
    written: int


type Worker = Callable[[Sequence[BatchRecord]], Work]


class _Reader:
    """A shard, and where its records are read."""

    def __init__(self, settings: Settings, records: Sequence[BatchRecord]) -> None:
        self.core = Shard(settings, retention=_RETENTION, chance=lambda: 0.5)
        self.records = records
        self.at = 0  # the next record to read
        self.arrived = 0
        self.caught_up_at = math.nan

    @property
    def has_caught_up(self) -> bool:
        """Whether its backlog is gone. Then nobody looks at it any more."""
        return not math.isnan(self.caught_up_at)

    def steps(self, now: float, worker: Worker) -> Iterator[tuple[float, int, Work | None]]:
        """Take the steps of this moment.

        Yields:
            When a function asks the store, its lane and its work; or when to look again.
        """
        while not self.has_caught_up:
            match self.core.next(now):
                case Read(limit):
                    self.read(limit, now)
                case Invoke(entries, lane):
                    work = worker(entries)
                    yield now + work.function, lane, work
                case Advance(sequence_number):
                    self.settled(int(sequence_number), now)
                case Wait(until):
                    if until != math.inf:
                        yield until, _NO_LANE, None
                    return
                case other:
                    raise AssertionError(other)

    def read(self, limit: int, now: float) -> None:
        upto = min(self.at + limit, self._arrived(now))
        entries = list(self.records[self.at : upto])
        self.at = upto
        self.core.records_read(entries, behind=upto < self.arrived, ended=False, now=now)

    def settled(self, upto: int, now: float) -> None:
        """All records up to this one are settled: the backlog may be gone."""
        oldest = self.records[min(upto + 1, len(self.records) - 1)].arrived_at
        if now - oldest <= CAUGHT_UP_S:
            self.caught_up_at = now
        self.core.checkpoint_saved()

    def _arrived(self, now: float) -> int:
        records = self.records
        while self.arrived < len(records) and records[self.arrived].arrived_at <= now:
            self.arrived += 1
        return self.arrived


def catch_up_times(
    settings: Settings, shards: Sequence[Sequence[BatchRecord]], worker: Worker, store: Store
) -> Sequence[float]:
    """When the backlog of each shard is gone, in seconds from 0 on.

    Args:
        settings: of the event source mapping.
        shards: the records of each shard, by arrival. What arrived before 0 is the backlog.
        worker: what an invocation costs.
        store: what all share.
    """
    readers = [_Reader(settings, records) for records in shards]
    order = count()
    # When, in which order, which shard, which lane; with work, its function asks the store.
    due: list[tuple[float, int, _Reader, int, Work | None]] = [
        (0.0, next(order), one, _NO_LANE, None) for one in readers
    ]
    while due:
        now, _, reader, lane, work = heapq.heappop(due)
        if reader.has_caught_up:
            continue
        if work is not None:
            ends = store.ends(now, work.written, work.answer)
            heapq.heappush(due, (ends, next(order), reader, lane, None))
            continue
        if lane != _NO_LANE:
            reader.core.invocation_ended(_DONE, request_id="r", now=now, lane=lane)
        for at, of_lane, asks in reader.steps(now, worker):
            heapq.heappush(due, (at, next(order), reader, of_lane, asks))
    return [one.caught_up_at for one in readers]
