"""Seeded bugs of the quarantine."""

from collections.abc import Callable, Mapping
from typing import Any, override

import msgspec

from doors.quarantine import BucketQuarantine
from lockstep.simulation.components import BUCKET, QUARANTINE_SECONDS, Components
from shared.quarantine import QuarantinedRecord, QuarantineError


def using(quarantine: Callable[..., BucketQuarantine]) -> Components:
    return Components(
        quarantine=lambda put: quarantine(put, BUCKET, longest_put=QUARANTINE_SECONDS)
    )


class IgnoresFailedWrites(BucketQuarantine):
    @override
    def put(self, record: QuarantinedRecord) -> None:
        try:
            super().put(record)
        except QuarantineError:
            return


class ReplacesTheReason(BucketQuarantine):
    def __init__(self, put_object: Callable[..., Mapping[str, Any]], *args: Any, **kw: Any) -> None:
        def put_over(IfNoneMatch: str, **request: Any) -> Mapping[str, Any]:  # noqa: ARG001, N803 - that is the bug
            return put_object(**request)

        super().__init__(put_over, *args, **kw)


class DropsThePayload(BucketQuarantine):
    @override
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, payload=""))


class IgnoresTheFunction(BucketQuarantine):
    """Both consumers use the same key: the second finds an object there."""

    @override
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, function="write"))


class IgnoresTheShard(BucketQuarantine):
    @override
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, shard_id="shardId-000000000000"))


WRONG: Mapping[str, Components] = {
    "quarantine: a failed write is ignored": using(IgnoresFailedWrites),
    "quarantine: a later reason replaces the first": using(ReplacesTheReason),
    "quarantine: without the payload": using(DropsThePayload),
    "quarantine: one key for both consumers": using(IgnoresTheFunction),
    "quarantine: one key for all shards": using(IgnoresTheShard),
}
