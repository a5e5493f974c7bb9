"""The notes of redrives: which records were moved, and when their events first arrived.

A redrive writes one note about up to 100 records, before it puts or moves one of them, and so does
who discards records. So a record without a note was never moved, and an event without a note was
never put again. A record with a note may still be in quarantine: the command may have been
interrupted.

A redriven record that is quarantined again has a new arrival time. But its age counts from the
first arrival, because that decides whether the tombstones that should stop it still exist.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import Executor
from itertools import batched
from typing import Annotated

import msgspec
from msgspec import Meta

from lockstep.quarantine.bucket import AT_ONCE, REDRIVEN
from lockstep.stores.objects import Objects
from shared.event import Event

NOTES = f"{REDRIVEN}notes/"
_NAME_LENGTH = 32


class NotedEvent(msgspec.Struct, frozen=True):
    """An event that a redrive puts, and its first arrival in milliseconds since 1970."""

    image_id: str
    version: int
    arrived_at: Annotated[int, Meta(ge=0)]


class NotedRecord(msgspec.Struct, frozen=True):
    """The keys of a record's objects under `quarantine/`; None: no event, or a new one, is put."""

    keys: tuple[str, ...]
    event: NotedEvent | None


class Note(msgspec.Struct, frozen=True):
    """An object under `redriven/notes/`."""

    records: tuple[NotedRecord, ...]

    @property
    def encoded(self) -> bytes:
        """The object."""
        return msgspec.json.encode(self)


def note_key(body: bytes) -> str:
    """The key of a note. It follows from its content: after an interruption, it is the same."""
    return f"{NOTES}{hashlib.sha256(body).hexdigest()[:_NAME_LENGTH]}.json"


class DamagedNote(msgspec.Struct, frozen=True):
    """An object under `redriven/notes/` that is not a note."""

    key: str
    why: str


class Notes:
    """The notes in a bucket; they are read once, and only the new ones after that."""

    def __init__(self, objects: Objects, executor: Executor) -> None:
        """Take the notes from `objects`; `executor` reads several at the same time."""
        self._objects = objects
        self._executor = executor
        self._read: set[str] = set()
        self._moved: set[str] = set()
        self._arrivals: dict[tuple[str, int], int] = {}
        self.damaged: list[DamagedNote] = []

    def refresh(self) -> None:
        """Read the notes that were written since the last call."""
        unread = [key for key in self._objects.keys(NOTES) if key not in self._read]
        for keys in batched(unread, AT_ONCE):
            for key, body in zip(keys, self._executor.map(self._objects.read, keys), strict=True):
                self._read.add(key)
                if body is not None:  # deleted after it was listed
                    self._take(key, body)

    def may_be_moved(self, key: str) -> bool:
        """Whether a note names this key of `quarantine/`: it was moved, or somebody began to."""
        return bool(self.damaged) or key in self._moved

    def first_arrival(self, event: Event, arrived_at: int) -> int | None:
        """The first arrival of the event of a record, in milliseconds since 1970.

        Args:
            event: the event.
            arrived_at: the arrival of the record.

        Returns:
            None if a note is damaged: it may have been about this event.
        """
        if self.damaged:
            return None
        return min(self._arrivals.get((event.image_id, event.version), arrived_at), arrived_at)

    def write(self, records: Iterable[NotedRecord]) -> None:
        """Write one note about all these records."""
        body = Note(tuple(records)).encoded
        self._objects.write(note_key(body), body)

    def _take(self, key: str, body: bytes) -> None:
        try:
            note = msgspec.json.decode(body, type=Note)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.damaged.append(DamagedNote(key, f"not a note of a redrive: {error}"))
            return
        for one in note.records:
            self._moved.update(one.keys)
            if one.event is not None:
                event = one.event.image_id, one.event.version
                known = self._arrivals.get(event, one.event.arrived_at)
                self._arrivals[event] = min(known, one.event.arrived_at)
