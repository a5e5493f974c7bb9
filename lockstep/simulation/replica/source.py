"""The source: a table of DynamoDB in memory, and its streams.

Each write becomes a record of the stream. What it means is noted here as plain data, so the oracle
decodes nothing.
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import msgspec

from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.table_stream import FakeTableStream, ItemChange
from lockstep.simulation.replica import oracle

TABLE = "any-table"
# Sequence numbers have 21 to 40 digits. After ten records of this one, they get longer.
FIRST_NUMBERS = (999_999_999_999_999_999_990, 7 * 10**21, 10**39)


class KnownChange(msgspec.Struct, frozen=True):
    """What a record of a stream means: the item after the change; None if it was removed.

    `version` is that of its row, and `at` when it changed, in milliseconds since 1970.
    """

    key: str
    keys: Item
    item: Item | None
    version: str
    at: int

    def __str__(self) -> str:
        """The change in a few words: an item may be long."""
        what = "removed" if self.item is None else f"with {', '.join(sorted(self.item))[:80]!r}"
        return f"{self.key} {what}, version {self.version}"


class SourceTable:
    """The items of a table by key, its streams, and what each of their records means."""

    def __init__(self, time: VirtualTime) -> None:
        """Begin with an empty table without a stream."""
        self.items: dict[str, Item] = {}
        self.ever: set[str] = set()
        """The keys of all items that there ever were."""
        self.streams: list[FakeTableStream] = []
        self.is_enabled = False
        """Whether the newest stream gets the changes."""
        self.has_untold = False
        """Whether there were changes while no stream was enabled."""
        self.told: dict[tuple[str, str], KnownChange] = {}
        """By stream and sequence number."""
        self.labels: list[str] = []
        """The labels in the versions of all streams, in order."""
        self.label = ""
        """The label in the versions of the newest stream."""
        self._time = time
        self._changes = 0

    @property
    def stream(self) -> FakeTableStream:
        """The stream that is enabled."""
        return self.streams[-1]

    def enable_stream(
        self,
        at: float,
        *,
        first_number: int,
        label: str | None = None,
    ) -> FakeTableStream:
        """Enable a new stream.

        Args:
            at: the time in its own label, in seconds since 1970.
            first_number: the sequence number of its first record.
            label: the label in the versions of its records; None: its own.
        """
        own = label_of(at)
        self.label = label or own
        self.labels.append(self.label)
        stream = FakeTableStream(
            f"{TABLE}/stream/{own}", now=lambda: self._time.now, first_number=first_number
        )
        self.streams.append(stream)
        self.is_enabled = True
        return stream

    def put(self, keys: Item, item: Item) -> None:
        """Write an item; the same one again is no change."""
        self._change(keys, item)

    def remove(self, keys: Item) -> None:
        """Remove an item."""
        self._change(keys, None)

    def meaning(self, record: AcceptedRecord) -> KnownChange:
        """What a record means."""
        return self.told[record.stream, record.sequence_number]

    def last_of(self, key: str) -> KnownChange | None:
        """The last change of this key; None if there was none."""
        return next((one for one in reversed(self.told.values()) if one.key == key), None)

    def of_key(self, key: str) -> Iterator[KnownChange]:
        """All changes of this key, of all streams."""
        return (one for one in self.told.values() if one.key == key)

    def records(self) -> Iterator[AcceptedRecord]:
        """All records of all streams."""
        for stream in self.streams:
            yield from stream.accepted

    def _change(self, keys: Item, new: Item | None) -> None:
        key = key_text(keys)
        old = self.items.get(key)
        if old == new:
            return
        if new is None:
            del self.items[key]
        else:
            self.items[key] = new
            self.ever.add(key)
        if not self.is_enabled:
            self.has_untold = True
            return
        change = ItemChange(
            number=self._changes,
            image_id=key,
            old=old,
            new=new,
            at=self._time.now,
            keys=keys,
        )
        self._changes += 1
        record = self.stream.tell(change)
        self.told[record.stream, record.sequence_number] = KnownChange(
            key=key,
            keys=keys,
            item=new,
            version=oracle.version(self.label, record.sequence_number),
            at=round(record.arrived_at * 1000),
        )


def key_text(keys: Mapping[str, object]) -> str:
    """The key of an item as text, always the same for one item."""
    return repr(sorted(keys.items()))


def label_of(at: float) -> str:
    """The label of a stream that was enabled at this time."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%S}.{int(at * 1000) % 1000:03d}"
