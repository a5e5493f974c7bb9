"""Changing images through the stream: read in the table, put under a higher version, checked.

Between the reading and the delivery, somebody else's event of the image may come. The stream cannot
prevent that. So the stores and the events in the stream are looked at afterwards, and an event that
came between is shown: it is never lost silently.
"""

import datetime as dt
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from lockstep.console.errors import UserError
from lockstep.images.events import StreamEvents, shown
from lockstep.images.held import HeldImage
from lockstep.images.outcomes import ChangedImage, Planned, judge, others_in, own_in, version_of
from lockstep.producing.checked import outgoing
from lockstep.stores.readers import StoreUnreadableError
from shared.clock import Clock
from shared.event import Event, InvalidEventError


class StoredImages(Protocol):
    """A store of images."""

    def held(self, image_ids: Collection[str]) -> Mapping[str, HeldImage]:
        """What the store has of these images now; absent ones are left out."""
        ...


class ImageEvents(Protocol):
    """The events of images in the stream."""

    def settled_until(self) -> float:
        """All that arrived before this time, in seconds since 1970, is in the table."""
        ...

    def since(self, image_ids: Collection[str], since: float) -> StreamEvents:
        """The events of these images that arrived since a time, in seconds since 1970."""
        ...


class ImageChangeError(UserError):
    """An image cannot be changed, and nothing was put; the message says why."""


class StoredNow(msgspec.Struct, frozen=True):
    """What each store has of the images, and why one could not be read."""

    held: dict[str, Mapping[str, HeldImage]]
    unread: dict[str, str]


type Decide = Callable[[str, HeldImage], Event | None]
"""The event that changes an image, from what was read; None if the image already is as wanted."""

type DecideAbsent = Callable[[str, HeldImage | None], Event | None]
"""The same of what the table does not have as an image: nothing, a tombstone, a malformed item."""


class ImageChanges:
    """Changes images of one stack."""

    def __init__(
        self,
        *,
        stores: Mapping[str, StoredImages],
        events: ImageEvents,
        put: Callable[[Iterable[Event]], object],
        quarantined: Callable[[str, int], str | None],
        clock: Clock,
    ) -> None:
        """Set it up.

        Args:
            stores: the `table` and the `index`.
            events: the events in the stream.
            put: puts events onto the stream.
            quarantined: why an event of this image and version is in quarantine; None if it is not.
            clock: the time.
        """
        self._stores = stores
        self._events = events
        self._put = put
        self._quarantined = quarantined
        self._clock = clock

    def change(
        self,
        image_ids: Sequence[str],
        decide: Decide,
        *,
        seconds: float,
        every: float,
        applies: bool = True,
        decide_absent: DecideAbsent | None = None,
    ) -> Sequence[ChangedImage]:
        """Change images. Nothing is put if one of them cannot be changed, but for absent ones.

        Args:
            image_ids: the images.
            decide: decides on the event of each image.
            seconds: how long to wait until the stores have it.
            every: how many seconds to wait between two looks.
            applies: whether the events are put.
            decide_absent: decides on the event of an image that the table does not have; None:
                there is none.

        Raises:
            ImageChangeError: an image is malformed in the table, its last event is not in the table
                in time, the stream cannot be read, or the consumers would refuse an event.
            StoreUnreadableError: a store could not be read, and nothing was put.
            PutError: the stream does not take the events.
        """
        ends = self._clock.elapsed() + seconds
        # Whoever may not read a store must know it before anything is put.
        self._stores["index"].held(image_ids)
        since, held = self._read(image_ids, ends, every)
        ended: dict[str, ChangedImage] = {}
        planned: dict[str, Planned] = {}
        for image_id in image_ids:
            match self._decided(image_id, held.get(image_id), decide, decide_absent):
                case Planned() as one:
                    planned[image_id] = one
                case ChangedImage() as one:
                    ended[image_id] = one
        if not applies:
            ended |= {
                image_id: ChangedImage(
                    image_id, "not_put", "a dry run puts nothing", one.read, shown(one.event)
                )
                for image_id, one in planned.items()
            }
        elif planned:
            self._put([one.event for one in planned.values()])
            ended |= self._checked(planned, since, ends, every)
        return [ended[image_id] for image_id in image_ids]

    def _read(
        self, image_ids: Sequence[str], ends: float, every: float
    ) -> tuple[float, Mapping[str, HeldImage]]:
        """What the table has of the images, when it has all events that are on the stream.

        Returns:
            The time, in seconds since 1970, from which on an event may not be in it; what it has.
        """
        while True:
            # Before the table, so that each event is in the one or in the other.
            since = self._events.settled_until()
            held = self._stores["table"].held(image_ids)
            found = self._events.since(image_ids, _from(since, held, image_ids))
            if not found.complete:
                raise ImageChangeError(
                    "the stream has too many records that may not be in the table yet: nothing is "
                    "put. Wait with `lockstep status --wait 600`, then try again"
                )
            waiting = [
                (image_id, one.event.version)
                for image_id, some in found.of.items()
                for one in some
                if one.event.version > version_of(held.get(image_id))
            ]
            if not waiting:
                return since, held
            if self._clock.elapsed() >= ends:
                image_id, version = waiting[-1]
                raise ImageChangeError(
                    f"version {version} of image {image_id} is on the stream and not in the table "
                    f"yet: nothing is put. Look at `lockstep get {image_id}`, then try again"
                )
            self._clock.sleep(every)

    def _decided(
        self,
        image_id: str,
        held: HeldImage | None,
        decide: Decide,
        decide_absent: DecideAbsent | None,
    ) -> Planned | ChangedImage:
        if held is not None and held.state == "image":
            event = decide(image_id, held)
        elif decide_absent is not None:
            event = decide_absent(image_id, held)
        elif held is not None and held.state == "malformed":
            raise ImageChangeError(
                f"the item of image {image_id} in the table is malformed ({held.malformed}): put "
                "the whole image with `lockstep put`"
            )
        else:
            was = "the table has no such image"
            if held is not None:
                was = f"it is deleted, at version {held.version}"
            return ChangedImage(image_id, "absent", was, held)
        if event is None:
            return ChangedImage(image_id, "unchanged", "it already is so; nothing is put", held)
        try:
            data = outgoing(event, self._clock.now()).data
        except InvalidEventError as invalid:
            raise ImageChangeError(f"image {image_id}: {invalid.detail}") from None
        return Planned(held, event, data)

    def _checked(
        self, planned: Mapping[str, Planned], since: float, ends: float, every: float
    ) -> Mapping[str, ChangedImage]:
        """Wait until both stores have the events, then look what came between."""
        stored = self._delivered(planned, ends, every)
        found = self._came(planned, since, ends, every)
        return {
            image_id: self._judged(image_id, one, stored, found)
            for image_id, one in planned.items()
        }

    def _delivered(self, planned: Mapping[str, Planned], ends: float, every: float) -> StoredNow:
        """What the stores have when all have the events, or at the end."""
        while True:
            stored = StoredNow({}, {})
            for name, store in self._stores.items():
                try:
                    stored.held[name] = store.held([*planned])
                except StoreUnreadableError as error:
                    # The events are on the stream: what became of them must be shown.
                    stored.held[name], stored.unread[name] = {}, str(error)
            if all(
                version_of(held.get(image_id)) >= one.event.version
                for image_id, one in planned.items()
                for held in stored.held.values()
            ):
                return stored
            if self._clock.elapsed() >= ends:
                return stored
            self._clock.sleep(every)

    def _came(
        self, planned: Mapping[str, Planned], since: float, ends: float, every: float
    ) -> StreamEvents:
        """The events since the reading, up to ours if they can be read in time."""
        known = {name: one.read for name, one in planned.items() if one.read is not None}
        start = _from(since, known, [*planned])
        while True:
            try:
                found = self._events.since([*planned], start)
            except ImageChangeError:
                return StreamEvents({}, complete=False)
            if not found.complete or all(
                own_in(found.of[image_id], one) is not None for image_id, one in planned.items()
            ):
                return found
            if self._clock.elapsed() >= ends:
                return found
            # A record that was just put may not be readable yet.
            self._clock.sleep(every)

    def _judged(
        self, image_id: str, one: Planned, stored: StoredNow, found: StreamEvents
    ) -> ChangedImage:
        ours, events = one.event.version, found.of.get(image_id, ())
        others, own = others_in(events, one), own_in(events, one)
        held = {name: its.get(image_id) for name, its in stored.held.items()}
        checked = found.complete and own is not None
        result, detail = judge(one.event, held, others, checked=checked)
        if result == "not_delivered":
            why = self._quarantined(image_id, ours)
            if why is not None:
                result, detail = "quarantined", f"version {ours} is in quarantine: {why}"
        unread = [f"; the {name} could not be read: {why}" for name, why in stored.unread.items()]
        return ChangedImage(
            image_id,
            result,
            detail + "".join(unread),
            one.read,
            shown(one.event, None if own is None else own.arrived_at),
            held["table"],
            held["index"],
            others,
        )


def _from(since: float, held: Mapping[str, HeldImage], image_ids: Collection[str]) -> float:
    """The time from which on events must be read, in seconds since 1970.

    The records of an image are processed in order. So what arrived before the stored record of an
    image is in the table, too.
    """
    intact = [held[one] for one in image_ids if one in held and held[one].malformed is None]
    if len(intact) < len(image_ids):
        return since
    arrivals = [dt.datetime.fromisoformat(one.arrived_at).timestamp() for one in intact]
    return max(since, min(arrivals, default=-math.inf))
