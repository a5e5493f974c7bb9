"""The quarantine: records that can never be applied, with payload, reason and provenance."""

import base64
from typing import Literal, Protocol

import msgspec

from shared.change import Change
from shared.event import Reason
from shared.record import Holds, Record
from shared.shortened import BriefError, shortened

PREFIX = "quarantine/"
# Where Lambda writes failure documents (docs/internals/facts.md, Failure document).
FAILURE_DOCUMENTS = "aws/lambda/"
# The consumers: their folders under functions/, and their prefixes in quarantine.
CONSUMERS = TABLE_CONSUMER, INDEX_CONSUMER = "write_to_dynamodb", "write_to_es"

# `given_up`: the event source mapping discarded the batch; a redrive takes its records from it.
type QuarantineReason = Reason | Literal["given_up"]


class QuarantinedRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A quarantine object as it is stored: JSON, one object per record.

    `arrived_at` is in milliseconds since 1970, `quarantined_at` in RFC 3339, UTC. `image_id` and
    `version` are None if the record could not be decoded. `holds` tells what the payload is; it is
    absent for an event.
    """

    function: str
    stream: str
    shard_id: str
    sequence_number: str
    partition_key: str
    arrived_at: int
    image_id: str | None
    version: int | None
    reason: QuarantineReason
    detail: str
    quarantined_at: str
    payload: str
    holds: Holds = "event"

    @property
    def key(self) -> str:
        """The object's key: always the same for one record of one consumer."""
        return record_key(self.function, self.stream, self.shard_id, self.sequence_number)


def record_key(function: str, stream: str, shard_id: str, sequence_number: str) -> str:
    """The key of the object of a record in quarantine."""
    return f"{PREFIX}{function}/{stream}/{shard_id}/{sequence_number}.json"


def quarantined(
    record: Record,
    *,
    function: str,
    change: Change | None,
    reason: Reason,
    detail: str,
    at: str,
) -> QuarantinedRecord:
    """Make the quarantine object of a record; `at` is in RFC 3339."""
    return QuarantinedRecord(
        function=function,
        stream=record.stream,
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
        partition_key=record.partition_key,
        arrived_at=record.arrived_at,
        image_id=None if change is None else change.image_id,
        version=None if change is None else change.version,
        reason=reason,
        detail=shortened(detail),
        quarantined_at=at,
        payload=base64.b64encode(record.data).decode(),
        holds=record.holds,
    )


class QuarantineError(BriefError):
    """The quarantine could not be written. The record must not be acknowledged."""


class Quarantine(Protocol):
    """A durable store of quarantined records. The first reason of each record is kept."""

    @property
    def longest_put(self) -> float:
        """The longest time of one `put` in seconds, with its retries."""
        ...

    def put(self, record: QuarantinedRecord) -> None:
        """Store the record, unless it is stored already. Once this returns, it is durable.

        Raises:
            QuarantineError: it is unknown whether the record is durable.
        """
        ...
