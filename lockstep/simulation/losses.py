"""The losses of a history: records that the stream removed before a consumer had read them."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import msgspec

from lockstep.simulation.components import STREAM, Components
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.violation import ViolationError
from lockstep.stream.checkpoints import Gap
from lockstep.stream.gaps import GapFinder, RunTimes
from lockstep.stream.losses import Loss, StoppedConsumer

# The numbers of the fake stream tell the time.
_TOLD = RunTimes(lambda: 0.0, lambda: 0.0)

type Place = tuple[str, str, str]
"""The consumer, the shard, and the last settled record before a gap."""


class Lost(msgspec.Struct, frozen=True):
    """One record that one consumer has lost, and its image; None if it is poison.

    `since`: its arrival, or the creation of its shard, in seconds since 1970. A child is created a
    second after its parents; in virtual time, its records may arrive before.
    """

    consumer: str
    accepted: AcceptedRecord
    image_id: str | None
    since: float


class MappingNotes(msgspec.Struct, frozen=True):
    """Where the mapping of one consumer notes its losses."""

    book: "LossBook"
    consumer: str

    def finder(self, shard_id: str, after: str) -> GapFinder:
        """Finds the gaps of a shard after the last record that was settled."""
        return self.book.finder(shard_id, after)

    def note(self, gap: Gap) -> None:
        """Store a gap; one with a known beginning gets a new end."""
        self.book.note(self.consumer, gap)


class LossBook:
    """What was lost, what the mappings have noted of it, and what an operator has acknowledged.

    `lost` is what the history knows. `noted` is what the product says, through `gap`.
    """

    def __init__(self, components: Components, stream: Kinesis) -> None:
        """Keep the book of the consumers of this stream."""
        self.lost: list[Lost] = []
        self.noted: dict[Place, Loss] = {}
        self.stopped: tuple[StoppedConsumer, ...] = ()
        self._components, self._stream = components, stream
        self._numbers: dict[str, set[str]] = {}
        self._acknowledged: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        """Whether anything was lost, or a consumer is off."""
        return bool(self.lost or self.stopped)

    def lose(self, consumer: str, accepted: AcceptedRecord, image_id: str | None) -> None:
        """A consumer cannot read this record any more."""
        since = max(accepted.arrived_at, self._stream.shards[accepted.shard_id].created)
        self.lost.append(Lost(consumer, accepted, image_id, since))
        self._numbers.setdefault(consumer, set()).add(accepted.sequence_number)

    def is_lost(self, consumer: str, accepted: AcceptedRecord) -> bool:
        """Whether this consumer has lost this record."""
        return accepted.sequence_number in self._numbers.get(consumer, ())

    @property
    def images(self) -> set[str]:
        """The images of which a consumer has lost an event."""
        return {one.image_id for one in self.lost if one.image_id is not None}

    def notes_of(self, consumer: str) -> "MappingNotes":
        """The notes of the mapping of this consumer."""
        return MappingNotes(self, consumer)

    def note(self, consumer: str, gap: Gap) -> None:
        """The mapping of a consumer stores a gap; one with a known beginning gets a new end."""
        loss = self._components.loss_of(gap, consumer=consumer, stream=STREAM)
        self.noted[consumer, gap.shard_id, gap.after] = loss

    def finder(self, shard_id: str, after: str) -> GapFinder:
        """Finds the gaps of a shard of the image stream, as the local mapping does."""
        return self._components.gap_finder(
            shard_id,
            starting_number=self._stream.shards[shard_id].starting_number,
            after=after,
            times=_TOLD,
        )

    def check_noted(self) -> None:
        """Check that each lost record is in a loss that its consumer has noted, and no other.

        Raises:
            ViolationError: one is not, or a loss says that there were more.
        """
        counts = Counter[Place]()
        for one in self.lost:
            places = [place for place, loss in self.noted.items() if _is_in(one, loss)]
            if not places:
                raise ViolationError("O3", f"no loss was noted for {one}: {self.noted}")
            counts[max(places, key=lambda place: int(place[2] or 0))] += 1
        for place, loss in self.noted.items():
            if loss.records != counts[place]:
                raise ViolationError("O3", f"{counts[place]} records were lost, noted is {loss}")

    def acknowledge(self) -> None:
        """An operator has dealt with all that is lost now."""
        self._acknowledged = {(one.consumer, one.accepted.sequence_number) for one in self.lost}

    @property
    def open(self) -> Sequence[Lost]:
        """What is lost, and not acknowledged."""
        return [
            one
            for one in self.lost
            if (one.consumer, one.accepted.sequence_number) not in self._acknowledged
        ]

    @property
    def since(self) -> float | None:
        """The stores may lack what arrived since then; None if nothing is open."""
        return min((one.since for one in self.open), default=None)


def _is_in(one: Lost, loss: Loss) -> bool:
    arrived_at = dt.datetime.fromtimestamp(int(one.since), dt.UTC)
    return (
        (one.consumer, one.accepted.shard_id) == (loss.consumer, loss.shard_id)
        and (not loss.after or int(one.accepted.sequence_number) > int(loss.after))
        and loss.since <= arrived_at <= loss.until
    )
