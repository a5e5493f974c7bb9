"""The batch: a shard's records, cut by number and by the size of the invocation they make."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from lockstep.local.mapping.settings import Settings

# Lambda's limit on what a synchronous invocation may carry.
PAYLOAD_BYTES = 6 * 1024 * 1024
# What a tumbling window's state may be; beyond it the window ends early.
STATE_BYTES = 1024 * 1024
# What an invocation in such a window carries beside the records: the state, and its frame.
WINDOW_BYTES = STATE_BYTES + 1024

_OPENING, _COMMA, _CLOSING = b'{"Records":[', b",", b"]}"
# What the records and their commas may take; the last one has no comma.
_ROOM = PAYLOAD_BYTES - len(_OPENING) - len(_CLOSING) + len(_COMMA)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record on its way: its place in the shard, and its JSON as the function sees it.

    `arrived_at` is in seconds since 1970; `data` is what the producer put.
    """

    sequence_number: str
    partition_key: str
    arrived_at: float
    json: bytes
    data: bytes = b""


def payload(entries: Iterable[Entry]) -> bytes:
    """The invocation's JSON: these records in a Kinesis event."""
    return _OPENING + _COMMA.join(entry.json for entry in entries) + _CLOSING


class Buffer:
    """Records that were read and are in no batch yet, in the shard's order."""

    def __init__(self, settings: Settings) -> None:
        self._batch_size = settings.batch_size
        self._room = _ROOM - (WINDOW_BYTES if settings.tumbling_seconds else 0)
        self._entries: list[Entry] = []
        self._bytes = 0  # of all entries, each with the comma or bracket that it costs

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entries: Sequence[Entry]) -> None:
        """Put records behind those that are there."""
        self._entries += entries
        self._bytes += sum(len(entry.json) + len(_COMMA) for entry in entries)

    @property
    def full(self) -> bool:
        """Whether nothing more would fit into the next batch."""
        return len(self._entries) >= self._batch_size or self._bytes >= self._room

    @property
    def first(self) -> Entry:
        """The first of the records."""
        return self._entries[0]

    def reaches(self, moment: float) -> bool:
        """Whether there is a record that arrived at this time or later."""
        return any(entry.arrived_at >= moment for entry in self._entries)

    def cut(self, *, before: float = math.inf) -> tuple[Entry, ...]:
        """Take the next batch: as many of the first records as it may hold, at least one.

        All of them arrived before that time.
        """
        count, size = 0, 0
        for entry in self._entries[: self._batch_size]:
            size += len(entry.json) + len(_COMMA)
            if (size > self._room or entry.arrived_at >= before) and count:
                size -= len(entry.json) + len(_COMMA)
                break
            count += 1
        batch = tuple(self._entries[:count])
        del self._entries[:count]
        self._bytes -= size
        return batch
