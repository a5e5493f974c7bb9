"""The history: the whole system in virtual time, done to it what the plan says, then drained."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import opensearchpy

from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.producer import Clock as ProducerClock
from lockstep.producer import PutError, moment
from lockstep.simulation import invariants, poison
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import Accepted, Kinesis
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Fault, Tally
from lockstep.simulation.meaning import (
    CONDEMNED_BY_TABLE,
    HORIZON,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Meaning,
    Poison,
    meaning_of,
)
from lockstep.simulation.parts import BUCKET, INDEX, REAL, STREAM, TABLE, Parts
from lockstep.simulation.plan import Kind, Plan, dice
from lockstep.simulation.poller import Poller
from lockstep.simulation.stores import SeenIndex, SeenStore, SeenTable
from lockstep.simulation.troubled_line import (
    CrashedError,
    TimedOutError,
    TroubledLine,
    Weather,
)
from lockstep.simulation.violation import ViolationError
from shared.change import digest_of
from shared.deliver import Clock, Delivery
from shared.event import Event, EventType, Image, decode
from shared.quarantine import PREFIX
from shared.sink import MisconfiguredError, Sink

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Function = Literal["write_to_dynamodb", "write_to_es"]

STREAM_ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
IMAGES = 4
MOST_EVENTS = 6
MOST_INVOCATIONS = 3
HOUR = 3_600.0
TYPES: Sequence[EventType] = ("image.uploaded", "image.updated", "image.updated", "image.deleted")
STORES: Sequence[Literal["table", "index", "quarantine", "stream"]] = (
    "table",
    "index",
    "quarantine",
    "stream",
)


class Consumer(msgspec.Struct, frozen=True):
    """One function with what it writes to."""

    function: Function
    sink: Sink
    store: SeenStore


class History:
    """One history on its way."""

    def __init__(self, planned: Plan, parts: Parts = REAL, tally: Tally | None = None) -> None:
        """Set everything up as the plan says; `tally` counts the faults hit."""
        self.time = VirtualTime()
        self.weather = Weather(self.time, Tally() if tally is None else tally, dice(planned.seed))
        self.lines = {store: TroubledLine(store, self.weather) for store in STORES}
        self.stream = Kinesis(
            STREAM, shards=planned.shards, line=self.lines["stream"], now=lambda: self.time.now
        )
        self.table = DynamoDB(
            TABLE,
            line=self.lines["table"],
            refuses=lambda item: _name_in(item) == REFUSED_BY_TABLE,
            condemns=lambda item: _name_in(item) == CONDEMNED_BY_TABLE,
        )
        self.index = OpenSearch(
            INDEX,
            line=self.lines["index"],
            now=lambda: self.time.now,
            refuses=lambda source: source.get("name") == REFUSED_BY_INDEX,
            honours_parameters=planned.honours_parameters,
        )
        self.bucket = S3(BUCKET, line=self.lines["quarantine"])
        self.made: list[Event] = []  # by the producer, in its order
        self.meanings: dict[str, Meaning] = {}  # by sequence number
        self._plan = planned
        self._parts = parts
        self._quarantine = parts.quarantine(self.bucket.put_object)
        self._shown: dict[str, Mapping[str, Any]] = {}
        self._skew = 0.0  # of the producer's clock, and of Lambda's
        self._stamp = parts.stamp(lambda: self.time.now + self._skew)
        self._unput: list[Event] = []
        self.consumers: dict[Function, Consumer] = {
            "write_to_dynamodb": Consumer(
                "write_to_dynamodb",
                parts.table(cast("DynamoDBClient", self.table)),
                SeenTable(self.table),
            ),
            "write_to_es": Consumer(
                "write_to_es",
                parts.index(cast("opensearchpy.OpenSearch", self.index)),
                SeenIndex(self.index),
            ),
        }
        mapped: list[Function] = ["write_to_dynamodb", "write_to_es"]
        if planned.second_mapping is not None:
            mapped.append(planned.second_mapping)
            self._happened("two mappings on one function")
        self._pollers = [self._poller(function) for function in mapped]
        self._steps: Mapping[Kind, Callable[[], None]] = {
            "put": lambda: self._put(self._events()),
            "poll": self._poll,
            "poison": self._put_poison,
            "duplicate": lambda: self._rewind("duplicate delivery", most=1),
            "replay": lambda: self._rewind("replay of a prefix"),
            "full replay": self._rewind_all,
            "late replay": self._replay_after_deletion,
            "restart poller": self._restart_poller,
            "split": self._split,
            "merge": self._merge,
            "store down": self._take_down,
            "alias missing": self._lose_alias,
            "restart OpenSearch": self._restart_index,
            "clock": self._move_clocks,
            "wait": self._wait,
        }
        if not planned.honours_parameters:
            self._happened("parameters in the URL ignored")

    def run(self) -> str:
        """Do all steps, let everything drain, check what must always hold.

        Returns:
            A fingerprint of all that was stored: the same plan gives the same one.

        Raises:
            ViolationError: one of I1 to I8 is broken.
        """
        for step in self._plan.steps:
            self.weather.chance = dice(step.seed)
            self.weather.trouble = self._plan.trouble
            self._steps[step.kind]()
        self._drain()
        invariants.check(self)
        return self._fingerprint()

    def meaning(self, accepted: Accepted) -> Meaning:
        """What a record on the stream means."""
        found = self.meanings.get(accepted.sequence_number)
        if found is None:
            found = meaning_of(accepted)
            self.meanings[accepted.sequence_number] = found
        return found

    def is_durable(self, consumer: Consumer, accepted: Accepted) -> bool:
        """Whether this record is stored, superseded or in quarantine."""
        meaning = self.meaning(accepted)
        if not isinstance(meaning, Poison):
            held = consumer.store.held(meaning.image_id)
            if held is not None and (
                held.version > meaning.version
                or (held.version == meaning.version and held.digest == digest_of(meaning))
            ):
                return True
        return self.quarantine_key(consumer, accepted) in self.bucket.objects

    @staticmethod
    def quarantine_key(consumer: Consumer, accepted: Accepted) -> str:
        """Where DESIGN.md, Formats, says that a record in quarantine lies."""
        position = f"{STREAM}/{accepted.shard_id}/{accepted.sequence_number}"
        return f"{PREFIX}{consumer.function}/{position}.json"

    def _rewind_all(self) -> None:
        self._happened("full replay from TRIM_HORIZON", bool(self.stream.accepted))
        self._any_poller().rewind_all()

    def _restart_poller(self) -> None:
        self._any_poller().restart()

    def _take_down(self) -> None:
        """One store answers nothing, for minutes or hours."""
        line = self.lines[self.weather.chance.choice(STORES)]
        line.down_until = self.time.now + self.weather.chance.random() ** 2 * 6 * HOUR

    def _lose_alias(self) -> None:
        """A broken deployment, until somebody mends it."""
        self.index.missing = True
        self.time.later(self.weather.chance.random() * HOUR, self._mend_alias)

    def _mend_alias(self) -> None:
        self.index.missing = False

    def _restart_index(self) -> None:
        self._happened("OpenSearch restart")
        self.index.restart()

    def _move_clocks(self) -> None:
        self._skew = (self.weather.chance.random() - 0.5) * 4 * HOUR
        self._happened("clock back" if self._skew < 0 else "clock ahead")

    def _wait(self) -> None:
        self.time.advance(self.weather.chance.random() ** 2 * 2 * HOUR)

    def _happened(self, fault: Fault, really: bool = True) -> None:  # noqa: FBT001, FBT002 - reads as one
        """Count a fault that no request met."""
        self.weather.tally[fault] += really

    def _events(self) -> list[Event]:
        chance = self.weather.chance
        events = []
        for _ in range(chance.randint(1, MOST_EVENTS)):
            kind = chance.choice(TYPES)
            events.append(self._event(f"T{chance.randrange(IMAGES)}", kind))
        return events

    def _event(self, image_id: str, kind: EventType) -> Event:
        version = self._stamp()
        image = msgspec.UNSET if kind == "image.deleted" else Image(f"{image_id} at {version}")
        event = Event(kind, image_id, version, moment(version), image)
        self.made.append(event)
        return event

    def _put(self, events: Sequence[Event]) -> None:
        """The producer puts what it could not put before, then these."""
        source = iter([*self._unput, *events])
        clock = ProducerClock(
            monotonic=lambda: self.time.now,
            unix=lambda: self.time.now + self._skew,
            sleep=self.time.advance,
            chance=self.weather.chance.random,
        )
        self._unput = []
        try:
            self._parts.producer(self.stream, STREAM, clock=clock).put(source)
        except PutError as error:
            self._unput = [*error.not_put, *source]

    def _put_poison(self) -> None:
        chance = self.weather.chance
        kind = chance.choice(poison.KINDS)
        if kind == "poison too_large" and chance.random() < 0.8:  # noqa: PLR2004 - a big one costs time
            kind = "poison schema"
        taken = self._any_event() if kind == "poison conflict" else None
        image_id = f"T{chance.randrange(IMAGES)}"
        version = self._stamp()
        records = [
            poison.poisonous(kind, chance, image_id=image_id, version=version, taken=taken)
            for _ in range(chance.randint(1, 2) if kind == "poison conflict" else 1)
        ]
        for key, data in records:
            self._happened(kind)
            self.stream.accept(key, data)

    def _any_event(self) -> Event | None:
        """One of those on the stream."""
        events = [
            accepted
            for accepted in self.stream.accepted
            if not isinstance(self.meaning(accepted), Poison)
        ]
        return decode(self.weather.chance.choice(events).data) if events else None

    def _poll(self) -> None:
        chance = self.weather.chance
        for poller in self._pollers:
            invocations = chance.randint(0, MOST_INVOCATIONS)
            if invocations:
                poller.run(invocations=invocations, seconds=chance.random() * 60.0)

    def _any_poller(self) -> Poller:
        return self.weather.chance.choice(self._pollers)

    def _rewind(self, fault: Fault, most: int | None = None) -> None:
        """A shard is read again, from at most so many records before the checkpoint."""
        poller = self._any_poller()
        if not poller.checkpoints:
            return
        shard_id = self.weather.chance.choice(sorted(poller.checkpoints))
        settled = poller.checkpoints[shard_id]
        back = self.weather.chance.randint(0, settled) if most is None else min(settled, most)
        self._happened(fault, back > 0)
        poller.rewind(shard_id, settled - back)

    def _replay_after_deletion(self) -> None:
        """An image is deleted, that is consumed; much later everything comes again."""
        image_id = f"T{self.weather.chance.randrange(IMAGES)}"
        known = any(event.image_id == image_id for event in self.made)
        self._happened("late replay of a deletion", known)
        self._put([self._event(image_id, "image.deleted")])
        self._poll()
        self.time.advance(self.weather.chance.random() * HOUR)
        for poller in self._pollers:
            poller.rewind_all()
        self._poll()

    def _split(self) -> None:
        chance = self.weather.chance
        shard = chance.choice(self.stream.open_shards)
        self.stream.split(shard, chance.randint(shard.hashes.start + 1, shard.hashes.end))
        self._happened("shard split")

    def _merge(self) -> None:
        shards = self.stream.open_shards
        if len(shards) > 1:
            at = self.weather.chance.randrange(len(shards) - 1)
            self.stream.merge(shards[at], shards[at + 1])
            self._happened("shard merge")

    def _poller(self, function: Function) -> Poller:
        settings = Settings(
            batch_size=self._plan.batch_size,
            window_seconds=self._plan.window_seconds,
            bisect=self._plan.bisect,
            reports_item_failures=True,
        )
        consumer = self.consumers[function]
        return Poller(
            function,
            stream=self.stream,
            settings=settings,
            time=self.time,
            parts=self._parts,
            chance=self.weather.draw,
            invoke=lambda batch: self._invoke(consumer, batch),
        )

    def _invoke(self, consumer: Consumer, batch: Sequence[Accepted]) -> Returned | Errored:
        """One invocation, as the doors do it, and its answer held against the stores."""
        weather, time = self.weather, self.time
        deadline = time.now + self._plan.function_seconds
        weather.deadline = deadline
        before, unknown = weather.hits, weather.unknown
        durable = {one.sequence_number for one in batch if self.is_durable(consumer, one)}
        if consumer.function == "write_to_es" and self.index.missing:
            weather.hit("alias missing")
        clock = Clock(
            remaining=lambda: deadline - time.now,
            now=lambda: time.now + self._skew,
            sleep=time.advance,
            chance=weather.chance.random,
        )
        try:
            delivery = self._parts.deliver(
                [self._as_lambda_shows(one) for one in batch],
                to=consumer.sink,
                quarantine=self._quarantine,
                function=consumer.function,
                horizon=HORIZON,
                clock=clock,
            )
        except CrashedError:
            return Errored("Runtime.ExitError", "the process is gone")
        except TimedOutError:
            time.advance(deadline - time.now)
            return Errored("Sandbox.Timedout", "the invocation was ended")
        except MisconfiguredError as error:
            if weather.hits == before:
                raise ViolationError("I7", f"nothing is wrong, and yet: {error}") from error
            return Errored("MisconfiguredError", str(error))
        except Exception as error:
            raise ViolationError("I7", f"the handler raised {error!r}") from error
        finally:
            weather.deadline = None
        if time.now > deadline:
            raise ViolationError("I6", f"{consumer.function} overran its time")
        self._hold_to(consumer, batch, delivery, troubled=weather.hits > before)
        if weather.unknown == unknown:
            self._hold_to_lowest(consumer, batch, delivery, durable)
        return Returned(msgspec.json.encode(delivery.response()))

    def _hold_to(
        self,
        consumer: Consumer,
        batch: Sequence[Accepted],
        delivery: Delivery,
        *,
        troubled: bool,
    ) -> None:
        """The checkpoint is honest, and as high as it can be."""
        for accepted in batch:
            if accepted.sequence_number == delivery.checkpoint:
                if not troubled:
                    why = dict(delivery.failures)
                    raise ViolationError("I6", f"{consumer.function} settles not: {why}")
                return
            if not self.is_durable(consumer, accepted):
                said = f"{consumer.function} said that {self.meaning(accepted)} is settled"
                raise ViolationError("I8", said)
        if delivery.checkpoint is not None:
            raise ViolationError("I8", f"{delivery.checkpoint} is not of this batch")

    def _hold_to_lowest(
        self,
        consumer: Consumer,
        batch: Sequence[Accepted],
        delivery: Delivery,
        durable: AbstractSet[str],
    ) -> None:
        """No record is reported that this invocation itself settled, knowing it."""
        for accepted in batch:
            number = accepted.sequence_number
            reported = number == delivery.checkpoint and number not in durable
            if reported and self.is_durable(consumer, accepted):
                said = f"{consumer.function} settled {self.meaning(accepted)} and reports it"
                raise ViolationError("I8", said)

    def _as_lambda_shows(self, accepted: Accepted) -> Mapping[str, Any]:
        shown = self._shown.get(accepted.sequence_number)
        if shown is None:
            shown = accepted.as_lambda_shows_it(STREAM_ARN)
            self._shown[accepted.sequence_number] = shown
        return shown

    def _drain(self) -> None:
        """The faults stop; what is on its way lands, what is held back goes out, all is read."""
        self.weather.chance = dice(self._plan.seed)
        self.weather.trouble = 0.0
        self._skew = 0.0
        for line in self.lines.values():
            line.down_until = 0.0
        self.time.settle()
        self._put([])
        if self._unput:
            raise ViolationError("I7", f"the producer keeps {len(self._unput)} events back")
        for poller in self._pollers:
            poller.drain()

    def _fingerprint(self) -> str:
        stored = hashlib.sha256()
        for part in (
            self.stream.accepted,
            self.table.items,
            self.table.journal,
            self.index.documents,
            self.index.journal,
            self.bucket.objects,
        ):
            stored.update(msgspec.msgpack.encode(part))
        return stored.hexdigest()


def _name_in(item: Item) -> str | None:
    name: str | None = item.get("image", {}).get("M", {}).get("name", {}).get("S")
    return name
