"""Write the failure documents of discarded batches, as Lambda does."""

import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from lockstep.local.mapping.failure import (
    Destination,
    DestinationError,
    FailureDocument,
    failure_document,
)
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.steps import Discard
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import BUCKET, STREAM, STREAM_ARN
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.system import Discards

CONSUMERS: Mapping[str, str] = {
    "write_to_dynamodb": "put",
    "write_to_es": "index",
    "write_to_tablestore": "replicate",
}
"""The Lambda name of each function."""

_PLACE = EventSource(STREAM_ARN, "", "us-east-1", "", "arn:aws:iam::000000000000:role/lockstep")


class DestinationParts(Protocol):
    """The component that writes failure documents."""

    @property
    def destination(self) -> Callable[..., Destination]:
        """The destination on failure."""
        ...


class DiscardingSystem(Protocol):
    """A system whose mappings discard batches."""

    @property
    def components(self) -> DestinationParts:
        """What it runs."""
        ...

    @property
    def bucket(self) -> S3:
        """The bucket of the failure documents."""
        ...

    @property
    def time(self) -> VirtualTime:
        """The time."""
        ...

    @property
    def conditions(self) -> Conditions:
        """The faults, and their counts."""
        ...

    @property
    def discards(self) -> Mapping[Any, Discards]:
        """What was discarded, by function."""
        ...


class DiscardWriter:
    """Writes the failure documents of one function's mappings."""

    def __init__(self, system: DiscardingSystem, function: str, *, name: str = "") -> None:
        """Write to the bucket of this system, over its connection; `name` begins all names."""
        self._system = system
        self._function = function
        numbers = itertools.count()
        self._new_id = lambda: f"{name}{function}-{next(numbers)}"
        self._destination = system.components.destination(
            system.bucket.put_object, BUCKET, mapping_uuid=function, new_id=self._new_id
        )

    def write(self, step: Discard, records: Sequence[AcceptedRecord]) -> bool:
        """Write the failure document of these records; return whether the write is confirmed."""
        system = self._system
        at = dt.datetime.fromtimestamp(system.time.now, dt.UTC)
        document = self.document(step, records, at)
        try:
            self._destination.write(document, at)
        except DestinationError:
            system.conditions.tally["failure document not written"] += 1
            return False
        system.conditions.tally["batch given up"] += 1
        if records[0].stream != STREAM:
            system.conditions.tally["change of the table given up"] += 1
        system.conditions.hidden_effects += 1
        confirmed = system.discards[self._function].confirmed
        confirmed.update(one.sequence_number for one in records)
        return True

    def document(
        self, step: Discard, records: Sequence[AcceptedRecord], at: dt.datetime
    ) -> FailureDocument:
        """The failure document of these records; an operator may redrive them from now on."""
        shard_id = records[0].shard_id
        seen = tuple(
            msgspec.structs.replace(entry, json=_as_seen(record))
            for entry, record in zip(step.entries, records, strict=True)
        )
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{CONSUMERS[self._function]}"
        place = msgspec.structs.replace(
            _PLACE, stream_arn=records[0].stream_arn, shard_id=shard_id, function_arn=arn
        )
        shown = msgspec.structs.replace(step, entries=seen)
        attempted = self._system.discards[self._function].attempted
        attempted.update((one.sequence_number, one) for one in records)
        return failure_document(shown, place, at=at, new_id=self._new_id)


def _as_seen(record: AcceptedRecord) -> bytes:
    return msgspec.json.encode(record.as_lambda_record())
