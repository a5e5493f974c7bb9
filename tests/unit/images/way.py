"""A stack in memory: a stream, and two stores that take its events some seconds later."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from functions.write_to_es.document import document_from
from lockstep.images.changing import ImageChangeError, ImageChanges
from lockstep.images.events import StreamEvents, read_events_of
from lockstep.images.held import HeldImage, held_in_document, held_in_item
from lockstep.images.outcomes import ChangedImage
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stream.kinesis import KeyShards
from shared.change import Change, change_from
from shared.event import Event, InvalidEventError, encode
from shared.item import item_from
from shared.record import Record, event_in
from tests.unit.replay.memory_stream import START, MemoryStream, MovingClock

SECONDS = 60.0


class Way:
    """Both stores take an event `lag` seconds after it arrived.

    A `broken` store takes none that a change puts; an `unreadable` one does not answer after that.
    """

    def __init__(
        self, *, lag: float = 3.0, broken: str = "", page: int = 1_000, most: int = 1_000
    ) -> None:
        self.time = MovingClock()
        self.time.now = START
        self.stream = MemoryStream(self.time, page=page)
        self.lag = lag
        self.broken = broken
        self.settled = START
        self.put: list[Event] = []
        self.quarantine: dict[tuple[str, int], str] = {}
        self.before_put: Callable[[], None] = lambda: None
        self.after_put: Callable[[], None] = lambda: None
        self.most = most
        self.unreadable_after_put = False
        self.unreadable = ""
        self.unreadable_from_the_start = False
        self.loses_ours = False

    def rival(self, version: int, image_id: str = "i-1", **fields: Any) -> None:
        """Somebody else's event arrives now."""
        self.stream.put(image_id, version, **fields)

    def run(self, decide: Any, *image_ids: str, applies: bool = True) -> list[ChangedImage]:
        changes = ImageChanges(
            stores={"table": Store(self, "table"), "index": Store(self, "index")},
            events=self,
            put=self._put,
            quarantined=lambda image_id, version: self.quarantine.get((image_id, version)),
            clock=self.time.clock,
        )
        ids = image_ids or ("i-1",)
        return list(changes.change(ids, decide, seconds=SECONDS, every=1.0, applies=applies))

    def settled_until(self) -> float:
        return self.settled

    def since(self, image_ids: Collection[str], since: float) -> StreamEvents:
        if self.unreadable_after_put and self.put:
            raise ImageChangeError("the stream could not be read")
        found = read_events_of(
            self.stream,
            {one: KeyShards(self.stream.shards(), 1.0) for one in image_ids},
            since=since,
            at_most=self.most,
            clock=self.time.clock,
        )
        if not self.loses_ours:
            return found
        ours = {event.version for event in self.put}
        seen = {
            name: [one for one in some if one.event.version not in ours]
            for name, some in found.of.items()
        }
        return StreamEvents(seen, complete=True)

    def arrived(self) -> Mapping[str, Change]:
        """The change with the highest version of each image, of what a store has taken by now."""
        found: dict[str, Change] = {}
        for shard_id, shard in self.stream.kinesis.shards.items():
            for one in shard.records:
                if one.arrived_at > self.time.now - self.lag:
                    continue
                place = (shard_id, one.sequence_number, one.partition_key)
                record = Record("s", *place, round(one.arrived_at * 1000), one.data)
                try:
                    event = event_in(record)
                except InvalidEventError:
                    continue
                stored = found.get(event.image_id)
                if stored is None or stored.version < event.version:
                    found[event.image_id] = change_from(event, record)
        return found

    def _put(self, events: Iterable[Event]) -> None:
        self.before_put()
        for event in events:
            self.put.append(event)
            self.stream.put_raw(encode(event), event.image_id)
        self.after_put()


class Store:
    """One of the stores."""

    def __init__(self, way: Way, name: str) -> None:
        self._way = way
        self._name = name

    def held(self, image_ids: Collection[str]) -> Mapping[str, HeldImage]:
        found = {
            image_id: one for image_id, one in self._way.arrived().items() if image_id in image_ids
        }
        is_on = bool(self._way.put) or self._way.unreadable_from_the_start
        if is_on and self._way.unreadable == self._name:
            raise StoreUnreadableError(f"the {self._name} does not answer")
        if self._way.broken == self._name:
            last = {event.image_id: event.version for event in self._way.put}
            found = {
                name: one for name, one in found.items() if one.version < last.get(name, 1 << 60)
            }
        now = self._way.time.now
        if self._name == "table":
            return {name: held_in_item(item_from(one), now=now) for name, one in found.items()}
        return {name: held_in_document(_document(one), now=now) for name, one in found.items()}


def _document(one: Change) -> dict[str, Any]:
    source = msgspec.json.decode(msgspec.json.encode(document_from(one)))
    return {"_id": one.image_id, "_version": one.version, "_source": source}
