"""Batches: a shard's records, cut by their number and by the size of the invocation's payload."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from lockstep.local.mapping.settings import Settings

# Lambda's limit for the payload of a synchronous invocation.
PAYLOAD_BYTES = 6 * 1024 * 1024
# The maximum state of a tumbling window; beyond it the window ends early.
STATE_BYTES = 1024 * 1024
# What the payload of such an invocation contains beside the records: state and window.
WINDOW_BYTES = STATE_BYTES + 1024

_OPENING, _COMMA, _CLOSING = b'{"Records":[', b",", b"]}"
# For the records and their commas; the last record has none.
_ROOM = PAYLOAD_BYTES - len(_OPENING) - len(_CLOSING) + len(_COMMA)


class BatchRecord(msgspec.Struct, frozen=True, gc=False):
    """A record in a batch; `json` is the record as the function gets it.

    `arrived_at` is in seconds since 1970; `data` is what the producer put.
    """

    sequence_number: str
    partition_key: str
    arrived_at: float
    json: bytes
    data: bytes = b""


def payload(entries: Iterable[BatchRecord]) -> bytes:
    """The payload of an invocation: a Kinesis event with these records."""
    return _OPENING + _COMMA.join(entry.json for entry in entries) + _CLOSING


class Buffer:
    """`entries` are records that were read and are not in a batch yet, in the shard's order."""

    def __init__(self, settings: Settings) -> None:
        self._batch_size = settings.batch_size
        self._room = _ROOM - (WINDOW_BYTES if settings.tumbling_seconds else 0)
        self.entries: list[BatchRecord] = []
        self._bytes = 0  # of all records, each with its comma or bracket

    def add(self, entries: Sequence[BatchRecord]) -> None:
        """Append records."""
        self.entries += entries
        self._bytes += sum(len(entry.json) + len(_COMMA) for entry in entries)

    @property
    def full(self) -> bool:
        """Whether the next batch is full."""
        return len(self.entries) >= self._batch_size or self._bytes >= self._room

    @property
    def first(self) -> BatchRecord:
        """The first record."""
        return self.entries[0]

    def reaches(self, moment: float) -> bool:
        """Whether a record arrived at this time or later."""
        return any(entry.arrived_at >= moment for entry in self.entries)

    def cut(self, *, before: float = math.inf) -> tuple[BatchRecord, ...]:
        """Remove and return the next batch: the first records that fit, at least one.

        All except the first record arrived before `before`.
        """
        count, size = 0, 0
        for entry in self.entries[: self._batch_size]:
            size += len(entry.json) + len(_COMMA)
            if (size > self._room or entry.arrived_at >= before) and count:
                size -= len(entry.json) + len(_COMMA)
                break
            count += 1
        batch = tuple(self.entries[:count])
        del self.entries[:count]
        self._bytes -= size
        return batch
