"""A program that puts events: through the reader of `lockstep put`, and the producer."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from lockstep.producing.producer import PutError
from lockstep.producing.sources import BadLine
from lockstep.simulation import oracle
from lockstep.simulation.components import STREAM
from lockstep.simulation.events import as_json, draw_image
from lockstep.simulation.oracle import DELETED, Meaning
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError

if TYPE_CHECKING:
    from lockstep.producing.producer import Stamp
    from shared.event import Event, EventType


class Stamps:
    """The stamps of one program; `last` is the latest one."""

    def __init__(self, stamp: Callable[[], int], unix: Callable[[], float]) -> None:
        """Take stamps from `stamp`; `unix` is the clock, in seconds since 1970."""
        self.unix = unix
        self.last = 0
        self._stamp = stamp

    def __call__(self) -> int:
        """The next stamp."""
        self.last = self._stamp()
        return self.last


class Uploader:
    """One program; `made` has what its events mean, in order.

    It puts one batch after the other: while it `is_busy`, it cannot put.
    """

    def __init__(self, system: System) -> None:
        """Put events onto the stream of this system."""
        self.made: list[Meaning] = []
        self._system = system
        self._clock = system.producers_clock()
        self._stamps = Stamps(system.components.stamp(self._clock.now), self._clock.now)
        self._waiting: list[Event] = []  # not known to be on the stream
        self.is_busy = False

    @property
    def waits(self) -> int:
        """The number of events that it still holds."""
        return len(self._waiting)

    def stamp(self) -> int:
        """The version of an event that it makes now."""
        return self._stamps()

    def put(self, events: Sequence[tuple[str, "EventType"]]) -> None:
        """Put the events that failed before, then new ones: an image and a type for each."""
        self.is_busy = True
        read = [self._read(image_id, kind) for image_id, kind in events]
        source = iter([*self._waiting, *read])
        self._waiting = []
        producer = self._system.components.producer(self._system.stream, STREAM, clock=self._clock)
        try:
            producer.put(source)
        except PutError as error:
            self._waiting = [*error.not_put, *source]
        finally:
            self.is_busy = False

    def _read(self, image_id: str, kind: "EventType") -> "Event":
        """Make an event, and read its line as `lockstep put` does.

        Half of the lines leave version and time to the reader.
        """
        chance = self._system.conditions.chance
        number = f"{image_id} number {len(self.made)}"
        image = None if kind == DELETED else draw_image(chance, number)
        stamped = chance.random() < 0.5  # noqa: PLR2004 - a coin
        version = self._stamps() if stamped else 0
        line = as_json(Meaning(image_id, version, kind, oracle.time_of(version), image))
        if not stamped:
            del line["version"], line["occurred_at"]
        lines = [json.dumps(line).encode()]
        (read,) = self._system.components.read(lines, cast("Stamp", self._stamps))
        if isinstance(read, BadLine):
            raise ViolationError("I1", f"`lockstep put` refuses a valid event: {read.detail}")
        if not stamped:
            version = self._stamps.last
        meant = Meaning(image_id, version, kind, oracle.time_of(version), image)
        self.made.append(oracle.as_produced(meant))
        self._system.ledger.note_produced(self.made[-1])
        return read
