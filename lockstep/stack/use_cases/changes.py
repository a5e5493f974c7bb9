"""Changing single images of a stack, through its stream."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import batched
from typing import Any

from msgspec import UNSET, UnsetType, convert

from lockstep.images.changing import Decide, DecideAbsent, ImageChangeError, ImageChanges
from lockstep.images.edits import Edit
from lockstep.images.events import StreamEvents, read_events_of
from lockstep.images.held import HeldImage, held_in_document, held_in_item
from lockstep.images.outcomes import ChangedImage, version_of
from lockstep.images.versions import next_version
from lockstep.producing.producer import Stamp
from lockstep.quarantine.cases import Wanted
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.consumers import table_settled_until
from lockstep.stack.use_cases.get import UNREADABLE
from lockstep.stack.use_cases.put import put
from lockstep.stack.use_cases.quarantine import StackQuarantine
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.readers import LOOKUP, RawLookup
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from shared.event import Event, EventType, Image

# Of each shard. At two reads of 1,000 records a second, this takes a minute.
MOST_RECORDS = 100_000


def update(
    clients: Clients,
    image_id: str,
    edit: Edit,
    *,
    version: int | None,
    seconds: float,
    applies: bool = True,
) -> ChangedImage:
    """Edit an image: read it in the table, put it under a higher version, and check.

    Args:
        clients: the stack's.
        image_id: the image.
        edit: what is changed.
        version: the version of the event; None: from the clock.
        seconds: how long to wait until both stores have it.
        applies: whether the event is put.

    Raises:
        EditError: the rules for events refuse the edited image.
        VersionError: the image cannot get a version, or not this one.
        ImageChangeError: see `ImageChanges.change`.
        PutError: the stream does not take the event.
        StoreUnreadableError: a store could not be read.
    """
    stamp = Stamp(clients.clock.now)

    def decide(_: str, held: HeldImage) -> Event | None:
        was = convert(held.image, Image)
        image = edit.edited(was)
        if image == was:
            return None
        number = next_version(image_id, version_of(held), stamp, version)
        return _event(clients, "image.updated", image_id, number, image)

    (changed,) = _change(clients, [image_id], decide, seconds, applies=applies)
    return changed


def delete(
    clients: Clients,
    image_ids: Sequence[str],
    *,
    version: int | None,
    seconds: float,
    applies: bool = True,
) -> Sequence[ChangedImage]:
    """Delete images: each gets a tombstone with a higher version than the table has.

    The arguments and errors: see `update`.
    """
    stamp = Stamp(clients.clock.now)

    def decide(image_id: str, held: HeldImage) -> Event | None:
        number = next_version(image_id, version_of(held), stamp, version)
        return _event(clients, "image.deleted", image_id, number, UNSET)

    return _change(clients, image_ids, decide, seconds, applies=applies)


def bury(
    clients: Clients,
    image_ids: Sequence[str],
    known: Mapping[str, int],
    *,
    version: int | None,
    seconds: float,
    applies: bool = True,
) -> Sequence[ChangedImage]:
    """See that each image has a tombstone above all that is known of it, in both stores.

    An image that has one already gets no event, and one of which nothing is known neither.

    Args:
        clients: the stack's.
        image_ids: the images.
        known: the highest version of each that its tombstone must exceed, unless the table has a
            tombstone with a higher one; 0: none.
        version: the version of the event; None: from the clock.
        seconds: how long to wait until both stores have it.
        applies: whether the event is put.

    Raises as `update` does.
    """
    if not image_ids:
        return []
    stamp = Stamp(clients.clock.now)

    def decide(image_id: str, held: HeldImage | None) -> Event:
        above = max(version_of(held), known[image_id])
        if above or version is not None:
            number = next_version(image_id, above, stamp, version)
        else:  # nobody knows a version of it
            number = stamp()
        return _event(clients, "image.deleted", image_id, number, UNSET)

    def decide_absent(image_id: str, held: HeldImage | None) -> Event | None:
        if held is not None and held.state == "malformed":
            return decide(image_id, held)
        return decide(image_id, held) if known[image_id] > version_of(held) else None

    return _change(
        clients, image_ids, decide, seconds, applies=applies, decide_absent=decide_absent
    )


def _event(
    clients: Clients, kind: EventType, image_id: str, version: int, image: Image | UnsetType
) -> Event:
    now = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    return Event(kind, image_id, version, now, image)


def _change(
    clients: Clients,
    image_ids: Sequence[str],
    decide: Decide,
    seconds: float,
    *,
    applies: bool,
    decide_absent: DecideAbsent | None = None,
) -> Sequence[ChangedImage]:
    now = clients.clock.now
    changes = ImageChanges(
        stores={
            "table": _Store(table_reader(clients), lambda raw: held_in_item(raw, now=now())),
            "index": _Store(index_reader(clients), lambda raw: held_in_document(raw, now=now())),
        },
        events=_Events(clients),
        put=lambda events: put(clients, events),
        quarantined=lambda image_id, version: _quarantined(clients, image_id, version),
        clock=clients.clock,
    )
    every = 1.0 if clients.stack.state is None else 0.2
    return changes.change(
        image_ids,
        decide,
        seconds=seconds,
        every=every,
        applies=applies,
        decide_absent=decide_absent,
    )


class _Store:
    """A store, as `StoredImages`."""

    def __init__(self, reader: RawLookup, held: Callable[[Mapping[str, Any]], HeldImage]) -> None:
        self._reader = reader
        self._held = held

    def held(self, image_ids: Collection[str]) -> Mapping[str, HeldImage]:
        return {
            image_id: self._held(raw)
            for some in batched(image_ids, LOOKUP)
            for image_id, raw in self._reader.lookup_raw(some).items()
        }


class _Events:
    """The image stream, as `ImageEvents`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._stream = KinesisStream(clients.kinesis, clients.stack.stream)

    def settled_until(self) -> float:
        return table_settled_until(self._clients)

    def since(self, image_ids: Collection[str], since: float) -> StreamEvents:
        try:
            return read_events_of(
                self._stream,
                self._stream.shards_of_each(image_ids),
                since=since,
                at_most=MOST_RECORDS,
                clock=self._clients.clock,
            )
        except StreamUnavailableError as error:
            name = self._clients.stack.stream
            raise ImageChangeError(f"stream {name} could not be read: {error}") from error


def _quarantined(clients: Clients, image_id: str, version: int) -> str | None:
    """Why an event is in quarantine; None if it is not, or if the quarantine cannot be read."""
    try:
        found = StackQuarantine(clients).find(Wanted(image=image_id))
    except UNREADABLE:
        return None
    for case in found.cases:
        if case.version == version:
            return f"{', '.join(case.reasons)}: {case.detail} (lockstep quarantine show {case.id})"
    return None
