"""Seeded bugs of the replay."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, override

import msgspec

from lockstep.replay.replay import Replay
from lockstep.simulation.components import Components
from lockstep.stream.stream import StreamRecord


class SkipsTheLastRecord(Replay):
    """The last record of a page is taken for one that a later page has again."""

    @override
    def _settle(self, shard_id: str, batch: Sequence[StreamRecord], stream_arn: str) -> None:
        super()._settle(shard_id, batch[:-1] if len(batch) > 1 else batch, stream_arn)


class ReadsOldRecords(Replay):
    """It reads all that the stream holds."""

    @override
    def _too_old(self) -> int:
        return 0


class ResumesTooFar(Replay):
    """It saves its progress before the records are settled."""

    @override
    def _settle(self, shard_id: str, batch: Sequence[StreamRecord], stream_arn: str) -> None:
        self._now_reading.advance(shard_id, batch[-1])
        super()._settle(shard_id, batch, stream_arn)


class LeavesTheUnsettled(Replay):
    """A record that is not settled counts as settled."""

    @override
    def _deliver(self, *args: Any) -> Any:
        return msgspec.structs.replace(super()._deliver(*args), unsettled=())


class OnlyTheTable(Replay):
    """It forgets the index."""

    def __init__(self, parts: Any, progress: Any) -> None:
        super().__init__(msgspec.structs.replace(parts, targets=parts.targets[:1]), progress)


def using(replay: Callable[..., Replay]) -> Components:
    return Components(replay=replay)


WRONG: Mapping[str, Components] = {
    "replay: skips the last record of a batch": using(SkipsTheLastRecord),
    "replay: reads records that are over 30 days old": using(ReadsOldRecords),
    "replay: resumes one batch too far": using(ResumesTooFar),
    "replay: a record that is not settled counts as settled": using(LeavesTheUnsettled),
    "replay: writes only the table": using(OnlyTheTable),
}
