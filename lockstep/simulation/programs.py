"""The programs that put events onto the stream, and what they put."""

from collections.abc import Callable, Sequence

from lockstep.simulation import poison
from lockstep.simulation.faults import PoisonKind
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.poller import MEANWHILE_SECONDS
from lockstep.simulation.system import System
from lockstep.simulation.uploader import CountingUploader, Uploader
from shared.event import EventType
from shared.horizon import QUARANTINE_AGE

# The events of other images are old on purpose (operators/ages.py).
IMAGE, COUNTED = "T", "C"
IMAGES = 3
TYPES: Sequence[EventType] = ("image.uploaded", "image.updated", "image.updated", "image.deleted")
MOST_EVENTS = 3
MOST_OF_AN_IMAGE = 4
# The share of the puts of a source that counts that are about images of its own.
OWN_SHARE = 0.8
# Together over 5 MiB. The largest event has 256 KiB.
LARGE_EVENTS, LARGE_TEXTS, LARGE_TEXT = 22, 61, 4_000


class Programs:
    """The programs of one system that put events: `all` of them, one that stamps, one that counts.

    Another one, if there is one, stamps by another clock. Poison comes from programs without our
    producer.
    """

    def __init__(
        self, system: System, other_skew: float | None, *, poll: Callable[[], None]
    ) -> None:
        """Put events onto the stream of this system.

        Args:
            system: the system.
            other_skew: the error of the clock of the other program, in seconds; None: none.
            poll: lets the consumers read.
        """
        self._system = system
        self._poll = poll
        self._conditions, self._time, self._stream = system.conditions, system.time, system.stream
        self.stamping = Uploader(system, lambda: system.skew)
        self.counting = CountingUploader(system, lambda: 0.0)
        self.all = [self.stamping, self.counting]
        if other_skew is not None:
            self.all.append(Uploader(system, lambda: other_skew, "other "))
            tally = self._conditions.tally
            tally["second producer with another clock"] += other_skew != 0.0

    def put_any(self) -> None:
        """Let a producer put some events.

        The images of the source that counts are its own, except for a few.
        """
        chance = self._conditions.chance
        uploader = chance.choice((self.stamping, *self.all))
        if uploader.is_busy:
            return
        counts = uploader is self.counting
        self._conditions.tally["source that counts"] += counts
        own = COUNTED if counts and chance.random() < OWN_SHARE else IMAGE
        uploader.put(
            [
                (f"{own}{chance.randrange(IMAGES)}", chance.choice(TYPES))
                for _ in range(chance.randint(1, MOST_EVENTS))
            ]
        )

    def put_large_batch(self) -> None:
        """Put so much at once that the index's consumer needs more than one request for it."""
        image = {"tags": ["x" * LARGE_TEXT] * LARGE_TEXTS}
        kinds: EventType = "image.uploaded"
        self.stamping.put_images(
            [(f"L{at}", kinds, {"name": f"large {at}", **image}) for at in range(LARGE_EVENTS)]
        )

    def put_any_poison(self) -> None:
        """Put poison of any kind; sometimes the quarantine stops while consumers process it."""
        chance = self._conditions.chance
        kind = chance.choice(poison.KINDS)
        if kind == "poison too_large" and chance.random() < 0.9:  # noqa: PLR2004 - a big one costs time
            kind = "poison schema"
        before = len(self._stream.accepted)
        self.put_poison(kind)
        if len(self._stream.accepted) > before + 1 and chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._time.later(chance.random() * MEANWHILE_SECONDS, self._stop_quarantine)
            self._poll()

    def put_poison(self, kind: PoisonKind) -> str:
        """Put poison records without the producer; return the image id that they claim.

        Several of one image may be in one batch: other versions, other contents of one version, or
        the same record again.
        """
        chance = self._conditions.chance
        taken = self._any_event() if kind == "poison conflict" else None
        image_id = f"{IMAGE}{chance.randrange(IMAGES)}"
        records: list[poison.PoisonRecord] = []
        most = MOST_OF_AN_IMAGE if kind in poison.REACHES_THE_STORE else 1
        for _ in range(chance.randint(1, most)):
            if records and chance.random() < 0.5:  # noqa: PLR2004 - a coin
                records.append(records[-1])
                continue
            version = self.stamping.stamp()
            records.append(
                poison.poison_record(kind, chance, image_id=image_id, version=version, taken=taken)
            )
        for key, data, meant in records:
            self._conditions.tally[kind] += 1
            self._system.ledger.note(data, meant)
            self._stream.accept(key, data)
        return image_id

    def _any_event(self) -> Meaning | None:
        """An event on the stream that is young enough to be redriven."""
        since = self._time.now - QUARANTINE_AGE.total_seconds()
        events = [
            meaning
            for accepted in self._stream.accepted
            if accepted.arrived_at > since
            and accepted.partition_key.startswith((IMAGE, COUNTED))
            and not isinstance(meaning := self._system.interpret(accepted), Poison)
        ]
        return self._conditions.chance.choice(events) if events else None

    def _stop_quarantine(self) -> None:
        """Stop the quarantine for some seconds, in the middle of the records of a batch."""
        if self._conditions.fault_rate:  # the system is not drained yet
            connection = self._system.connections["quarantine"]
            connection.down_until = self._time.now + self._conditions.chance.random() * 60.0
