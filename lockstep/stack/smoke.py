"""The smoke test of a stack: one image goes the whole way, and is removed again.

It uses an id and a word of its own. So nothing else can be found by mistake, and several smoke
tests may run at the same time. Only its tombstone stays.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from lockstep.audit.compare import difference
from lockstep.console.errors import UserError
from lockstep.stores.entry import Entry
from lockstep.stores.readers import EntryLookup
from shared.clock import Clock
from shared.event import Event, EventType, Image
from shared.stamps import stamp_at

# The id of each image begins so.
PREFIX = "lockstep-smoke-"


class SmokeError(UserError):
    """A part of the way does not work; the message says which."""


class Smoke(msgspec.Struct, frozen=True):
    """What a smoke test did: the image, and the seconds of each step, in order."""

    image_id: str
    seconds: Mapping[str, float]


class SmokeTest:
    """Puts an image, finds it, compares both stores, and deletes it."""

    def __init__(
        self,
        put: Callable[[Iterable[Event]], object],
        *,
        stores: Mapping[str, EntryLookup],
        find: Callable[[str], Iterable[str]],
        clock: Clock,
    ) -> None:
        """Make it.

        Args:
            put: puts events onto the stream.
            stores: the table and the index, by name.
            find: asks the search API for a text; returns the ids that it finds.
            clock: gives the time.
        """
        self._put = put
        self._stores = stores
        self._find = find
        self._clock = clock

    def run(self, seconds: float, every: float) -> Smoke:
        """Run it. If it fails, the image is deleted all the same.

        Args:
            seconds: how long to wait for each step.
            every: how many seconds to wait between two looks.

        Raises:
            SmokeError: a step did not end in time, or the stores differ.
            PageError: the search API does not answer.
            StoreUnreadableError: a store could not be read.
        """
        word = uuid.uuid4().hex
        image_id = PREFIX + word
        steps: dict[str, float] = {}

        def step(name: str, is_done: Callable[[], bool]) -> None:
            started = self._clock.elapsed()
            while not is_done():
                if self._clock.elapsed() - started >= seconds:
                    raise SmokeError(f"image {image_id} was not {name} within {seconds:g} s")
                self._clock.sleep(every)
            steps[name] = round(self._clock.elapsed() - started, 1)

        uploaded = self._event("image.uploaded", image_id, Image(name=f"Smoke test {word}"))
        self._put([uploaded])
        try:
            for name in self._stores:
                step(f"written to the {name}", partial(self._has, name, uploaded))
            step("found by the search", lambda: image_id in self._find(word))
            self._compare(image_id)
        finally:
            deleted = self._event("image.deleted", image_id, UNSET)
            self._put([deleted])
        for name in self._stores:
            step(f"deleted from the {name}", partial(self._has, name, deleted))
        step("gone from the search", lambda: image_id not in self._find(word))
        self._compare(image_id)
        return Smoke(image_id, steps)

    def _event(self, kind: EventType, image_id: str, image: Image | UnsetType) -> Event:
        """An event of now. That of a deletion is newer, even if the clock stands still."""
        now = self._clock.now()
        version = stamp_at(now) + (kind == "image.deleted")
        return Event(kind, image_id, version, dt.datetime.fromtimestamp(now, dt.UTC), image)

    def _has(self, store: str, event: Event) -> bool:
        entry = self._entry(store, event.image_id)
        return entry is not None and entry.version == event.version

    def _compare(self, image_id: str) -> None:
        table, index = (self._entry(name, image_id) for name in ("table", "index"))
        found = difference(table, index, now=self._clock.now())
        if found is not None:
            raise SmokeError(f"the table and the index differ in image {image_id}: {found}")

    def _entry(self, store: str, image_id: str) -> Entry | None:
        return self._stores[store].lookup([image_id]).get(image_id)
