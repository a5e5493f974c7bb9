"""The quarantine: where what can never be applied lies, whole, with its reason and position."""

import base64
from typing import Literal, Protocol

import msgspec

from shared.change import Change
from shared.event import Reason
from shared.record import Holds, Record

PREFIX = "quarantine/"

# The event source mapping gave a whole batch up; redrive takes its records apart.
type SetAsideReason = Reason | Literal["given_up"]


class QuarantinedRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A quarantine object as it is stored: JSON, one object a record.

    Times: `arrived_at` in milliseconds since 1970, `quarantined_at` RFC 3339 in UTC.
    `image_id` and `version` are None when the record could not be decoded. `holds` says what the
    payload is; it is left out for an event.
    """

    function: str
    stream: str
    shard_id: str
    sequence_number: str
    partition_key: str
    arrived_at: int
    image_id: str | None
    version: int | None
    reason: SetAsideReason
    detail: str
    quarantined_at: str
    payload: str
    holds: Holds = "event"

    @property
    def key(self) -> str:
        """The object's key: one record of one consumer has one place, whatever the retries."""
        position = f"{self.stream}/{self.shard_id}/{self.sequence_number}"
        return f"{PREFIX}{self.function}/{position}.json"


def quarantined(
    record: Record,
    *,
    function: str,
    change: Change | None,
    reason: Reason,
    detail: str,
    at: str,
) -> QuarantinedRecord:
    """The record with its whole payload, and why it is set aside; `at` is RFC 3339."""
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
        detail=detail,
        quarantined_at=at,
        payload=base64.b64encode(record.data).decode(),
        holds=record.holds,
    )


class QuarantineError(Exception):
    """The quarantine could not be written: the record must not be acknowledged."""


class Quarantine(Protocol):
    """A durable place. What is already there stays as it is: the first reason counts."""

    @property
    def longest_put(self) -> float:
        """Seconds that one `put` can take at most, its own retries included."""
        ...

    def put(self, record: QuarantinedRecord) -> None:
        """Keep the record; when this returns, it is durable.

        Raises:
            QuarantineError: it is not.
        """
        ...
