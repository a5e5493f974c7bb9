"""Seeded bugs of the quarantine."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from doors.quarantine import BucketQuarantine
from lockstep.simulation.components import BUCKET, QUARANTINE_SECONDS, Components
from shared.quarantine import QuarantinedRecord, QuarantineError


def quarantine(made: Callable[..., BucketQuarantine]) -> Components:
    return Components(quarantine=lambda put: made(put, BUCKET, longest_put=QUARANTINE_SECONDS))


class AcknowledgesFirst(BucketQuarantine):
    def put(self, record: QuarantinedRecord) -> None:
        try:
            super().put(record)
        except QuarantineError:
            return


class LastReasonCounts(BucketQuarantine):
    def __init__(self, put_object: Callable[..., Mapping[str, Any]], *args: Any, **kw: Any) -> None:
        def put_over(IfNoneMatch: str, **request: Any) -> Mapping[str, Any]:  # noqa: ARG001, N803 - that is the bug
            return put_object(**request)

        super().__init__(put_over, *args, **kw)


class KeepsNoPayload(BucketQuarantine):
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, payload=""))


class ForgetsTheFunction(BucketQuarantine):
    """Both consumers share one place: the second finds it taken."""

    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, function="write"))


class ForgetsTheShard(BucketQuarantine):
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, shard_id="shardId-000000000000"))


WRONG: Mapping[str, Components] = {
    "quarantine: acknowledged before it is written": quarantine(AcknowledgesFirst),
    "quarantine: the last reason counts": quarantine(LastReasonCounts),
    "quarantine: no payload": quarantine(KeepsNoPayload),
    "quarantine: one place for both": quarantine(ForgetsTheFunction),
    "quarantine: one place for all shards": quarantine(ForgetsTheShard),
}
