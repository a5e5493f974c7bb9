"""The system under the simulation: both consumers, their stores and the stream, in virtual time."""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import opensearchpy

from lockstep.quarantine.bucket import redriven_key
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import Accepted, Kinesis
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Tally
from lockstep.simulation.meaning import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Meaning,
    Poison,
    meaning_of,
)
from lockstep.simulation.parts import BUCKET, INDEX, STREAM, TABLE, Parts
from lockstep.simulation.plan import Plan, dice
from lockstep.simulation.stores import SeenIndex, SeenStore, SeenTable
from lockstep.simulation.troubled_line import StoreName, TroubledLine, Weather
from shared.change import digest_of
from shared.clock import Clock
from shared.quarantine import PREFIX
from shared.sink import Sink

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Function = Literal["write_to_dynamodb", "write_to_es"]

STORES: Sequence[StoreName] = ("table", "index", "quarantine", "stream")


class Consumer(msgspec.Struct, frozen=True):
    """One function with what it writes to."""

    function: Function
    sink: Sink
    store: SeenStore


class Moment(msgspec.Struct, frozen=True):
    """What one store and the bucket held once."""

    entries: Mapping[str, Any]
    objects: AbstractSet[str]


class GivenUp(msgspec.Struct):
    """What a function's mappings gave up, by sequence numbers."""

    kept: set[str] = msgspec.field(default_factory=set)
    """What a failure document is known to hold."""
    tried: dict[str, Accepted] = msgspec.field(default_factory=dict)
    """That, and what one may hold that nobody knows of; it may have been delivered afterwards."""


class System:
    """Everything that a history happens to; `skew` is what wrong clocks are wrong by."""

    def __init__(self, planned: Plan, parts: Parts, tally: Tally) -> None:
        """Set it up as the plan says; `tally` counts the faults hit."""
        self.parts = parts
        self.time = VirtualTime()
        self.skew = 0.0  # of the producer's clock, and of Lambda's
        self.stores_refuse = True  # some images, by their names, until somebody mends the stores
        self.weather = Weather(self.time, tally, dice(planned.seed))
        self.lines = {store: TroubledLine(store, self.weather) for store in STORES}
        self.stream = Kinesis(
            STREAM, shards=planned.shards, line=self.lines["stream"], now=lambda: self.time.now
        )
        self.table = DynamoDB(
            TABLE,
            line=self.lines["table"],
            refuses=lambda item: self.stores_refuse and _name_in(item) == REFUSED_BY_TABLE,
            condemns=lambda item: self.stores_refuse and _name_in(item) == CONDEMNED_BY_TABLE,
        )
        self.index = OpenSearch(
            INDEX,
            line=self.lines["index"],
            now=lambda: self.time.now,
            refuses=lambda source: self.stores_refuse and source.get("name") == REFUSED_BY_INDEX,
            honours_parameters=planned.honours_parameters,
        )
        self.bucket = S3(BUCKET, line=self.lines["quarantine"])
        self.quarantine = parts.quarantine(self.bucket.put_object)
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
        self.purged: dict[Function, set[tuple[str, int]]] = {
            "write_to_dynamodb": set(),
            "write_to_es": set(),
        }
        """The tombstones that are gone after their time, or may be: image id and version."""
        self.given_up: dict[Function, GivenUp] = {
            "write_to_dynamodb": GivenUp(),
            "write_to_es": GivenUp(),
        }
        self._meanings: dict[str, Meaning] = {}  # by sequence number

    def meaning(self, accepted: Accepted) -> Meaning:
        """What a record on the stream means."""
        found = self._meanings.get(accepted.sequence_number)
        if found is None:
            found = meaning_of(accepted)
            self._meanings[accepted.sequence_number] = found
        return found

    def moment(self, consumer: Consumer) -> Moment:
        """What is durable of this consumer right now, for `is_durable` to look at later."""
        return Moment(consumer.store.entries(), self.bucket.objects.keys() | ())

    def is_durable(
        self, consumer: Consumer, accepted: Accepted, then: Moment | None = None
    ) -> bool:
        """Whether this record is stored, superseded, set aside or redriven from there.

        `then`: whether it was so at that moment.
        """
        meaning = self.meaning(accepted)
        if not isinstance(meaning, Poison):
            held = consumer.store.held(meaning.image_id, None if then is None else then.entries)
            if held is not None and (
                held.version > meaning.version
                or (held.version == meaning.version and held.digest == digest_of(meaning))
            ):
                return True
        if accepted.sequence_number in self.given_up[consumer.function].kept:
            return True
        objects = self.bucket.objects.keys() if then is None else then.objects
        key = self.quarantine_key(consumer, accepted)
        return key in objects or redriven_key(key) in objects

    @staticmethod
    def quarantine_key(consumer: Consumer, accepted: Accepted) -> str:
        """The key of a quarantined record (docs/internals/formats.md)."""
        position = f"{STREAM}/{accepted.shard_id}/{accepted.sequence_number}"
        return f"{PREFIX}{consumer.function}/{position}.json"

    def producers_clock(self) -> Clock:
        """The clock of whoever puts events now."""
        return Clock(
            now=lambda: self.time.now + self.skew,
            elapsed=lambda: self.time.now,
            sleep=self.time.advance,
            chance=self.weather.draw,
        )

    def fingerprint(self) -> str:
        """Of all that was stored: the same history gives the same one."""
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
    image = item.get("image")
    return None if image is None else image["M"]["name"]["S"]
