"""A stream where a given share of requests and records fails. It counts the results.

It uses the simulation's fake of Kinesis, in virtual time, from one seed.
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
from shared.clock import Clock
from shared.event import Event, Image, decode
from shared.stamps import time_of

STREAM = "lockstep-images"

# Virtual time.
ANSWER_SECONDS = 0.02
TIMEOUT_SECONDS = 4.0
LONGEST_ZOMBIE_SECONDS = 60.0
REQUESTS_A_RESHARDING = 50

type Version = tuple[str, int]


class Counts(msgspec.Struct, frozen=True):
    """The results of putting events, counted on the stream.

    `inversions`: first arrivals after a higher version of the same image. `losses`: events that are
    not on the stream. `duplicates`: further arrivals of an event. `unprovoked`: duplicates that
    followed no lost answer.
    """

    records: int
    requests: int
    inversions: int
    losses: int
    duplicates: int
    unprovoked: int


class FaultyConnection:
    """The connection to a stream. Some requests fail, and some records of the other requests.

    If a request fails, it is refused, it is lost, its answer is lost, or it arrives later, when the
    sender does not wait any more.
    """

    def __init__(self, share: float, time: VirtualTime, chance: random.Random) -> None:
        """`share`, from 0 to 1, of the requests fail, and of the records in the others."""
        self.requests = 0
        self.answer_lost = False
        self._share = share
        self._time = time
        self._chance = chance

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """Choose the records that fail; they are not on the stream."""
        chance, share = self._chance, self._share
        if not share:
            return {}
        fails = PartFailure(chance.choice(codes), applied=False)
        return {at: fails for at in range(parts) if chance.random() < share}

    def send[T](self, apply: Callable[[], T]) -> T:
        """Send the request, or let it fail."""
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
        with suppress(AnswerError):  # the sender does not wait for the answer
            apply()


class FaultyStream(Kinesis):
    """A client of a stream that fails, is often resharded, and counts what arrives."""

    def __init__(self, share: float, seed: int) -> None:
        """`share`, from 0 to 1, of the requests and records fail."""
        self.time = VirtualTime()
        self._chance = seeded_random(seed)
        self.faults = FaultyConnection(share, self.time, self._chance)
        self._arrived: dict[Version, int] = {}
        self._newest: dict[str, int] = {}
        self._inversions = 0
        self._unanswered: set[Version] = set()
        super().__init__(STREAM, shards=4, connection=self.faults, now=lambda: self.time.now)

    @property
    def clock(self) -> Clock:
        """The clock for our producer."""
        time = self.time
        return Clock(lambda: time.now, lambda: time.now, time.advance, self._chance.random)

    def put_records(self, **request: Any) -> dict[str, Any]:
        """PutRecords, with failures."""
        if self.faults.requests % REQUESTS_A_RESHARDING == 0:
            self._reshard()
        try:
            return super().put_records(**request)
        finally:
            if self.faults.answer_lost:
                self._unanswered.update(_version(one["Data"]) for one in request["Records"])

    def accept(self, partition_key: str, data: bytes) -> AcceptedRecord:
        """Accept the record, and count it."""
        image_id, number = version = _version(data)
        if version not in self._arrived:
            newest = self._newest.get(image_id, 0)
            self._inversions += number < newest
            self._newest[image_id] = max(number, newest)
        self._arrived[version] = self._arrived.get(version, 0) + 1
        return super().accept(partition_key, data)

    def counts(self, made: Iterable[Event]) -> Counts:
        """The results for these events, after all late requests have arrived."""
        self.time.settle()
        versions = {(event.image_id, event.version) for event in made}
        again = {version: times - 1 for version, times in self._arrived.items() if times > 1}
        return Counts(
            records=len(versions),
            requests=self.faults.requests,
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
        if len(shards) > 4 and at + 1 < len(shards):  # noqa: PLR2004 - keeps about the first number
            self.merge(shards[at], shards[at + 1])
        else:
            hashes = shards[at].hashes
            self.split(shards[at], (hashes.start + hashes.end) // 2 + 1)


def events(count: int, *, images: int, seed: int) -> Iterator[Event]:
    """This many updates of random images; some images change often, others rarely."""
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
