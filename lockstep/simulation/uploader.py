"""A program that puts events: through the reader of `lockstep put`, and the producer."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from lockstep.producing.producer import PutError
from lockstep.producing.sources import BadLine
from lockstep.simulation import oracle
from lockstep.simulation.components import STREAM
from lockstep.simulation.events import as_json, draw_image, draw_time, event_of
from lockstep.simulation.oracle import DELETED, Meaning
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError

if TYPE_CHECKING:
    from lockstep.producing.checked import CheckedEvent
    from lockstep.producing.producer import Stamp
    from shared.event import Event, EventType

# A source that counts begins just below a power of ten, so the digits of its numbers grow.
MOST_DIGITS = 15
# How often its numbers go back, as after a restore of its database.
GOES_BACK_SHARE = 0.05
_MOST_BACK = 3


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
    """A program that stamps its events; `made` has what they mean, in order.

    It puts one batch after the other: while it `is_busy`, it cannot put.
    """

    def __init__(self, system: System, skew: Callable[[], float], name: str = "") -> None:
        """Put events onto the stream of this system.

        Args:
            system: the system.
            skew: the error of its clock, in seconds.
            name: begins the names of its images, so that no other program makes the same content.
        """
        self.made: list[Meaning] = []
        self._system = system
        self._name = name
        self._clock = system.producers_clock(skew)
        self._stamps = Stamps(system.components.stamp(self._clock.now), self._clock.now)
        self._waiting: list[Event | CheckedEvent] = []  # not known to be on the stream
        self.is_busy = False

    @property
    def stamps(self) -> bool:
        """Whether its versions must rise."""
        return True

    @property
    def waits(self) -> int:
        """The number of events that it still holds."""
        return len(self._waiting)

    def stamp(self) -> int:
        """The version of an event that it makes now."""
        return self._stamps()

    def put(self, events: Sequence[tuple[str, "EventType"]]) -> None:
        """Put the events that failed before, then new ones: an image and a type for each."""
        chance = self._system.conditions.chance
        self.put_images(
            [
                (
                    image_id,
                    kind,
                    None
                    if kind == DELETED
                    else draw_image(chance, f"{self._name}{image_id} number {len(self.made) + at}"),
                )
                for at, (image_id, kind) in enumerate(events)
            ]
        )

    def put_images(self, events: Sequence[tuple[str, "EventType", Any]]) -> None:
        """Put the events that failed before, then new ones: image id, type and image for each."""
        self.is_busy = True
        read = [self._read(*event) for event in events]
        source = iter([*self._waiting, *read])
        self._waiting = []
        producer = self._system.components.producer(self._system.stream, STREAM, clock=self._clock)
        try:
            producer.put(source)
        except PutError as error:
            self._waiting = [*error.not_put, *source]
        finally:
            self.is_busy = False

    def _read(self, image_id: str, kind: "EventType", image: Any) -> "CheckedEvent":
        """Make an event, and read its line as `lockstep put` does."""
        version, occurred_at = self._version(image_id), self._occurred_at()
        meant = Meaning(image_id, version or 0, kind, occurred_at or "", image)
        line = event_of(meant)
        if version is None:
            del line["version"]
        if occurred_at is None:
            del line["occurred_at"]
        lines = [as_json(self._system.conditions.chance, line)]
        (read,) = self._system.components.read(lines, cast("Stamp", self._stamps))
        if isinstance(read, BadLine):
            raise ViolationError("I1", f"`lockstep put` refuses a valid event: {read.detail}")
        # What the line lacks, the reader takes from the stamp of that moment.
        stamp = self._stamps.last
        meant = Meaning(
            image_id,
            stamp if version is None else version,
            kind,
            oracle.time_of(stamp) if occurred_at is None else occurred_at,
            image,
        )
        self._check_free(image_id, meant.version)
        self.made.append(oracle.as_produced(meant))
        self._system.ledger.note_produced(self.made[-1])
        return read

    def _check_free(self, image_id: str, version: int) -> None:
        """Check that no redrive put an event with this version of its own choice before.

        A choice that was killed before its put took no version.
        """
        if (image_id, version) not in self._system.chosen:
            return
        for accepted in self._system.stream.accepted:
            event = self._system.ledger.event_in(accepted)
            if event is not None and (event.image_id, event.version) == (image_id, version):
                raise ViolationError(
                    "I1", f"a redrive took version {version} of {image_id}, which its source uses"
                )

    def _version(self, _: str) -> int | None:
        """The version of the next event of this image; None: the reader sets it."""
        own = self._system.conditions.chance.random() < 0.5  # noqa: PLR2004 - a coin
        return self._stamps() if own else None

    def _occurred_at(self) -> str | None:
        """The time of the next event; None: the reader sets it."""
        chance = self._system.conditions.chance
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            return None
        return draw_time(chance, self._stamps())


class CountingUploader(Uploader):
    """A program whose source numbers the revisions of each image."""

    def __init__(self, system: System, skew: Callable[[], float]) -> None:
        """Put events onto the stream of this system; `skew` as for an `Uploader`."""
        super().__init__(system, skew, "counted ")
        self._counts: dict[str, int] = {}

    @property
    def stamps(self) -> bool:
        """Whether its versions must rise."""
        return False

    def _version(self, image_id: str) -> int | None:
        chance = self._system.conditions.chance
        count = self._counts.get(image_id)
        if count is None:
            count = max(0, 10 ** chance.randrange(MOST_DIGITS) - chance.randint(1, 2))
        elif chance.random() < GOES_BACK_SHARE:
            count = max(0, count - chance.randint(1, _MOST_BACK))
            self._system.conditions.tally["count goes back"] += 1
        self._counts[image_id] = count + 1
        return count + 1
