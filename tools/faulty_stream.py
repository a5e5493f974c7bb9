"""A producer under fire: PutRecords fails as often as is said, and what came of it is counted.

In virtual time, on the simulation's fake of Kinesis, from one seed.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from lockstep.simulation.clock import START, VirtualTime
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.fakes.network import AnswerError, NoAnswerError, PartFailure
from lockstep.simulation.plan import seeded_random
from lockstep.stores.stamps import time_of
from shared.clock import Clock
from shared.event import Event, Image, decode

STREAM = "lockstep-images"

# All of this is virtual time.
ANSWER_SECONDS = 0.02
TIMEOUT_SECONDS = 4.0
LONGEST_ZOMBIE_SECONDS = 60.0
REQUESTS_A_RESHARDING = 50

type Version = tuple[str, int]


class Toll(msgspec.Struct, frozen=True):
    """What came of putting events, counted on the stream.

    `inversions`: first arrivals below a version of their image that was there before. `losses`:
    events that are not on the stream. `duplicates`: further arrivals of an event. `unprovoked`:
    those of them that followed no lost answer.
    """

    records: int
    requests: int
    inversions: int
    losses: int
    duplicates: int
    unprovoked: int


class Fire:
    """The line to a stream: each request, and each record of those that arrive, may fail.

    A request that fails is refused, or lost on its way there, or on its way back, or lands while
    nobody waits for it any more.
    """

    def __init__(self, share: float, time: VirtualTime, chance: random.Random) -> None:
        """Args: `share` of the requests fail, and that of the records in the others."""
        self.requests = 0
        self.answer_lost = False
        self._share = share
        self._time = time
        self._chance = chance

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """That share of the records is throttled, or fails, and is not on the stream."""
        chance, share = self._chance, self._share
        if not share:
            return {}
        fails = PartFailure(chance.choice(codes), applied=False)
        return {at: fails for at in range(parts) if chance.random() < share}

    def send[T](self, apply: Callable[[], T]) -> T:
        """The answer, unless the request is one of those that fail."""
        self.requests += 1
        self.answer_lost = False
        if self._chance.random() >= self._share:
            self._time.advance(ANSWER_SECONDS)
            return apply()
        match self._chance.choice(("refused", "failed", "lost", "answer lost", "zombie")):
            case "refused":
                raise AnswerError(400, "LimitExceededException")
            case "failed":
                raise AnswerError(500, "InternalFailure")
            case "answer lost":
                self.answer_lost = True
                apply()
            case "zombie":
                self.answer_lost = True
                self._time.later(
                    TIMEOUT_SECONDS + self._chance.random() * LONGEST_ZOMBIE_SECONDS,
                    lambda: self._land(apply),
                )
            case _:
                pass
        self._time.advance(TIMEOUT_SECONDS)
        raise NoAnswerError("no answer")

    @staticmethod
    def _land(apply: Callable[[], object]) -> None:
        with suppress(AnswerError):  # nobody is there to hear it
            apply()


class FaultyStream(Kinesis):
    """A client of a stream that fails, reshards all the time, and counts what arrives."""

    def __init__(self, share: float, seed: int) -> None:
        """Args: `share` of requests and of records that fail, 0 to 1."""
        self.time = VirtualTime()
        self._chance = seeded_random(seed)
        self.fire = Fire(share, self.time, self._chance)
        self._arrived: dict[Version, int] = {}
        self._newest: dict[str, int] = {}
        self._inversions = 0
        self._unanswered: set[Version] = set()
        super().__init__(STREAM, shards=4, connection=self.fire, now=lambda: self.time.now)

    @property
    def clock(self) -> Clock:
        """For a producer of ours."""
        time = self.time
        return Clock(lambda: time.now, lambda: time.now, time.advance, self._chance.random)

    def put_records(self, **request: Any) -> dict[str, Any]:
        """Kinesis's PutRecords, under fire."""
        if self.fire.requests % REQUESTS_A_RESHARDING == 0:
            self._reshard()
        try:
            return super().put_records(**request)
        finally:
            if self.fire.answer_lost:
                self._unanswered.update(_version(one["Data"]) for one in request["Records"])

    def accept(self, partition_key: str, data: bytes) -> AcceptedRecord:
        """Take the record, and count it."""
        image_id, number = version = _version(data)
        if version not in self._arrived:
            newest = self._newest.get(image_id, 0)
            self._inversions += number < newest
            self._newest[image_id] = max(number, newest)
        self._arrived[version] = self._arrived.get(version, 0) + 1
        return super().accept(partition_key, data)

    def toll(self, made: Iterable[Event]) -> Toll:
        """What came of these events, after everything that is still on its way has landed."""
        self.time.settle()
        versions = {(event.image_id, event.version) for event in made}
        again = {version: times - 1 for version, times in self._arrived.items() if times > 1}
        return Toll(
            records=len(versions),
            requests=self.fire.requests,
            inversions=self._inversions,
            losses=len(versions - self._arrived.keys()),
            duplicates=sum(again.values()),
            unprovoked=sum(
                times for version, times in again.items() if version not in self._unanswered
            ),
        )

    def _reshard(self) -> None:
        shards = self.open_shards
        at = self._chance.randrange(len(shards))
        if len(shards) > 4 and at + 1 < len(shards):  # noqa: PLR2004 - about as many as at first
            self.merge(shards[at], shards[at + 1])
        else:
            hashes = shards[at].hashes
            self.split(shards[at], (hashes.start + hashes.end) // 2 + 1)


def events(count: int, *, images: int, seed: int) -> Iterator[Event]:
    """So many updates, of images drawn by chance: some often, some hardly ever."""
    chance = seeded_random(seed)
    stamp = int(START * 1_000_000)
    for number in range(count):
        image_id = f"T{int(images * chance.random() ** 2):05}"
        version = stamp + number
        image = Image(f"{image_id} at {number}")
        yield Event("image.updated", image_id, version, time_of(version), image)


def _version(data: bytes) -> Version:
    event = decode(data)
    return event.image_id, event.version
