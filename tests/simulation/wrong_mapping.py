"""Seeded bugs of the event source mapping's core."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, override

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard, _Unsettled
from lockstep.local.mapping.lane import Lane
from lockstep.local.mapping.response import (
    CompleteSuccess,
    Errored,
    Judgement,
    PartialFailure,
    Returned,
    judge,
)
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Finished, Step
from lockstep.simulation.components import Components
from tests.simulation.rewired import rewired


def lane(other: type[Lane]) -> Components:
    class OtherLanes(Shard):
        __init__ = rewired(Shard.__init__, Lane=other)

    return Components(shard=OtherLanes)


class ErrorsAreSuccess(Shard):
    @override
    def invocation_ended(self, answer: Any, **kwargs: Any) -> Any:
        done = Returned(b"") if isinstance(answer, Errored) else answer
        return super().invocation_ended(done, **kwargs)


class ReportsAreIgnored(Shard):
    @override
    def invocation_ended(self, answer: Any, **kwargs: Any) -> Any:
        done = Returned(b"") if isinstance(answer, Returned) else answer
        return super().invocation_ended(done, **kwargs)


def judge_one_further(answer: Any, batch: Sequence[BatchRecord], *, reports: bool) -> Judgement:
    found = judge(answer, batch, reports=reports)
    if not isinstance(found, PartialFailure):
        return found
    after = found.position + 1
    return CompleteSuccess() if after == len(batch) else PartialFailure(after, found.cause)


class ContinuesAfterTheReported(Lane):
    invocation_ended = rewired(Lane.invocation_ended, judge=judge_one_further)


class LosesTheSecondHalf(Lane):
    @override
    def _halve(self, *args: Any) -> Any:
        turn = super()._halve(*args)
        del self._pieces[1]
        return turn


class NeverRetries(Lane):
    @override
    def _retry(self, *args: Any) -> Any:
        turn = super()._retry(*args)
        self._not_before = math.inf
        return turn


class DiscardsWithoutDocument(Shard):
    def __init__(
        self, settings: Settings, *, retention: float, chance: Callable[[], float]
    ) -> None:
        limited = msgspec.structs.replace(settings, retries=5)
        super().__init__(limited, retention=retention, chance=chance)


class ReadIsSettled(Shard):
    @override
    def records_read(self, entries: Any, **kwargs: Any) -> None:
        super().records_read(entries, **kwargs)
        self._settle(tuple(entries))


class ReadToTheEndIsFinished(Shard):
    @override
    def next(self, now: float) -> Step:
        return Finished() if self._ended else super().next(now)


class LanesBySequenceNumber(Shard):
    @override
    def _lane_of(self, entry: BatchRecord) -> int:
        return zlib.crc32(entry.sequence_number.encode()) % len(self._lanes)


class UpToTheFastest(_Unsettled):
    @override
    def settle(self, entries: tuple[BatchRecord, ...]) -> str | None:
        super().settle(entries)
        return entries[-1].sequence_number if entries else None


class CheckpointOfTheFastestLane(Shard):
    __init__ = rewired(Shard.__init__, _Unsettled=UpToTheFastest)


def children_first(parents: Mapping[str, Any], *, ended: Any) -> list[str]:
    return [one for one in sorted(parents, reverse=True) if one not in ended]


def one_parent_is_enough(parents: Mapping[str, Any], *, ended: Any) -> list[str]:
    return [
        shard
        for shard, above in parents.items()
        if shard not in ended and (not above or any(one in ended for one in above))
    ]


WRONG: Mapping[str, Components] = {
    "mapping: errors count as success": Components(shard=ErrorsAreSuccess),
    "mapping: reported failures are ignored": Components(shard=ReportsAreIgnored),
    "mapping: continues after the reported record": lane(ContinuesAfterTheReported),
    "mapping: bisect loses the second half": lane(LosesTheSecondHalf),
    "mapping: never retries": lane(NeverRetries),
    "mapping: discards after five retries without a document": Components(
        shard=DiscardsWithoutDocument
    ),
    "mapping: a record counts as settled when it is read": Components(shard=ReadIsSettled),
    "mapping: a shard is finished when it is read to its end": Components(
        shard=ReadToTheEndIsFinished
    ),
    "mapping: lanes by sequence number, not by key": Components(shard=LanesBySequenceNumber),
    "mapping: checkpoint of the fastest lane": Components(shard=CheckpointOfTheFastestLane),
    "mapping: child shards before their parents": Components(startable=children_first),
    "mapping: child shards after one of two parents": Components(startable=one_parent_is_enough),
}
