"""The simulated system: both consumers, their stores and the stream, in virtual time."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import opensearchpy

from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.simulation import oracle
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import BUCKET, INDEX, STREAM, TABLE, Components
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Tally
from lockstep.simulation.faulty_network import Conditions, FaultyConnection, StoreName
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Interpretation,
    Poison,
    interpret,
)
from lockstep.simulation.ledger import Ledger
from lockstep.simulation.losses import LossBook
from lockstep.simulation.operators.comparison import said_by_item
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.plan import HistoryPlan, seeded_random
from lockstep.simulation.store_views import IndexView, StoredVersion, StoreView, TableView
from lockstep.simulation.table_changes import Indexed, TableChanges
from shared.clock import Clock
from shared.quarantine import PREFIX
from shared.sink import Sink

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Function = Literal["write_to_dynamodb", "write_to_es"]

STORES: Sequence[StoreName] = ("table", "index", "quarantine", "stream")


class Consumer(msgspec.Struct, frozen=True):
    """One function, its sink, and a view of its store."""

    function: Function
    sink: Sink
    store: StoreView


class Snapshot(msgspec.Struct, frozen=True):
    """What one store and the bucket held at one time."""

    entries: Mapping[str, Any]
    objects: AbstractSet[str]


class Discards(msgspec.Struct):
    """The records that a function's mappings discarded, by sequence number."""

    confirmed: set[str] = msgspec.field(default_factory=set)
    """The records in failure documents whose write is confirmed."""
    attempted: dict[str, AcceptedRecord] = msgspec.field(default_factory=dict)
    """The records in all failure documents; unconfirmed ones may be delivered afterwards."""


class System:
    """Everything that a history acts on; `skew` is the error of the wrong clocks, in seconds."""

    def __init__(self, planned: HistoryPlan, components: Components, tally: Tally) -> None:
        """Set the system up as the plan says. `tally` counts the faults hit."""
        self.components = components
        self.time = VirtualTime()
        self.skew = 0.0  # of the producer's clock, and of Lambda's
        self.stores_refuse = True  # images with certain names, until the cause ends
        self.have_stores_accepted = False  # since the cause of a refusal ended once
        self.conditions = Conditions(self.time, tally, seeded_random(planned.seed))
        self.connections = {store: FaultyConnection(store, self.conditions) for store in STORES}
        self.stream = Kinesis(
            STREAM,
            shards=planned.shards,
            connection=self.connections["stream"],
            now=lambda: self.time.now,
        )
        self.table = DynamoDB(
            TABLE,
            connection=self.connections["table"],
            refuses=self.table_refuses,
            condemns=self.table_condemns,
        )
        self.index = OpenSearch(
            INDEX,
            connection=self.connections["index"],
            now=lambda: self.time.now,
            refuses=self.index_refuses,
            honours_parameters=planned.honours_parameters,
            shards=planned.index_shards,
        )
        self.bucket = S3(BUCKET, connection=self.connections["quarantine"])
        self.quarantine = components.quarantine(self.bucket.put_object)
        self.consumers: dict[Function, Consumer] = {
            "write_to_dynamodb": Consumer(
                "write_to_dynamodb",
                components.table(cast("DynamoDBClient", self.table)),
                TableView(self.table),
            ),
            "write_to_es": Consumer(
                "write_to_es",
                components.index(cast("opensearchpy.OpenSearch", self.index)),
                IndexView(self.index),
            ),
        }
        self.changes: TableChanges | None = None
        """The changes of the table, if the index may read them."""
        self.purged: dict[Function, set[tuple[str, int]]] = {
            "write_to_dynamodb": set(),
            "write_to_es": set(),
        }
        """The expired tombstones that are purged, or may be: image id and version."""
        self.may_return: set[tuple[str, int]] = set()
        """The events that may come after the end of the tombstone above them: an operator named the
        image, or the stamp was over 90 days old when the event arrived first."""
        self.is_late = False
        """Whether a request to the index is applied now, and its sender does not wait any more."""
        self.removed_late: dict[str, int] = {}
        """The images that a request removed from the index when its sender did not wait any more,
        and how many writes were in the journal then: a purge may take what the table took after it,
        and an answer what was written since."""
        self.connections["index"].around_late = self._note_late_removals
        self.chosen: set[tuple[str, int]] = set()
        """The versions that a redrive took for a choice or a correction: no source may use one."""
        self.given_index: set[tuple[str, StoredVersion]] = set()
        """What an operator may have given the index: the table's content of an image."""
        self.tried_on_index: set[str] = set()
        """The sequence numbers of the records that an operator tried on the index."""
        self.discards: dict[Function, Discards] = {
            "write_to_dynamodb": Discards(),
            "write_to_es": Discards(),
        }
        self.touched: dict[Function, dict[str, int]] = {
            "write_to_dynamodb": {},
            "write_to_es": {},
        }
        """The images whose entry in a store was changed by hand, by a restore or by an answer: how
        many writes were in the journal of that store then. I2 to I4 begin again there."""
        self.first_touched: dict[Function, dict[str, int]] = {
            "write_to_dynamodb": {},
            "write_to_es": {},
        }
        """The same for the first time: from then on, an entry may be of no record."""
        self.forged: set[str] = set()
        """The keys in quarantine at which somebody has forged an object, or may get one."""
        self.replayed_since: list[float] = []
        """The moments since which operators have replayed."""
        self.losses = LossBook(components, self.stream)
        self.ledger = Ledger()
        self._interpretations: dict[str, Interpretation] = {}  # by sequence number

    def accept_all(self) -> None:
        """End the cause of all refusals."""
        self.stores_refuse = False
        self.have_stores_accepted = True

    def table_refuses(self, item: Item) -> bool:
        """Whether the table refuses this item, whichever client sends it."""
        return self.stores_refuse and _name_in(item) == REFUSED_BY_TABLE

    def table_condemns(self, item: Item) -> bool:
        """Whether the table refuses the whole request because of this item."""
        return self.stores_refuse and _name_in(item) == CONDEMNED_BY_TABLE

    def index_refuses(self, source: Mapping[str, Any]) -> bool:
        """Whether the index refuses this document."""
        return self.stores_refuse and source.get("name") == REFUSED_BY_INDEX

    @staticmethod
    def index_ever_refuses(item: Item) -> bool:
        """Whether the index refuses the content of this item as long as stores refuse anything."""
        return _name_in(item) == REFUSED_BY_INDEX

    def interpret(self, accepted: AcceptedRecord) -> Interpretation:
        """What a record on the stream means."""
        found = self._interpretations.get(accepted.sequence_number)
        if found is None:
            found = interpret(self.ledger.meant_by(accepted.data), accepted)
            self._interpretations[accepted.sequence_number] = found
        return found

    def meaning_of(self, item: Item) -> Meaning | None:
        """What the record means that this item names, or what somebody wrote into it by hand."""
        if item["image_id"]["S"] in self.touched["write_to_dynamodb"]:
            return oracle.meaning_in(item)
        number = item["sequence_number"]["S"]
        for accepted in self.stream.accepted:
            if accepted.sequence_number == number:
                meaning = self.interpret(accepted)
                return None if isinstance(meaning, Poison) else meaning
        return None

    def meaning(self, accepted: AcceptedRecord) -> Interpretation | Indexed:
        """What a record means, of the image stream or of a stream of the table's changes."""
        change = None if self.changes is None else self.changes.meaning(accepted)
        return self.interpret(accepted) if change is None else change

    def records(self) -> Iterator[AcceptedRecord]:
        """All records of all streams."""
        yield from self.stream.accepted
        if self.changes is not None:
            yield from self.changes.records

    def put_by_hand(self, image_id: str, item: Item) -> None:
        """Write an item as somebody else; a stream of the table's changes may tell it."""
        if self.changes is None:
            self.table.put_by_hand(image_id, item)
            return
        said = said_by_item(item, whole=True)
        self.changes.put_by_hand(image_id, item, is_ours=said is None or not said.is_malformed)

    @contextmanager
    def _note_late_removals(self) -> Iterator[None]:
        before = len(self.index.journal)
        self.is_late = True
        try:
            yield
        finally:
            self.is_late = False
            for at, one in enumerate(self.index.journal[before:], before):
                if one.version is None:
                    self.removed_late[one.image_id] = at

    def snapshot(self, consumer: Consumer) -> Snapshot:
        """What is durable for this consumer now, for a later `is_durable`."""
        return Snapshot(consumer.store.entries(), self.bucket.objects.keys() | ())

    def is_durable(
        self, consumer: Consumer, accepted: AcceptedRecord, then: Snapshot | None = None
    ) -> bool:
        """Whether this record is stored, superseded, quarantined, settled or discarded.

        `then`: check the state at that time instead of the current one.
        """
        meaning = self.meaning(accepted)
        if not isinstance(meaning, Poison):
            held = consumer.store.stored_version(
                meaning.image_id, None if then is None else then.entries
            )
            if isinstance(meaning, Indexed) and self.changes is not None:
                if self.changes.is_in(meaning, held):
                    return True
                ends = meaning.document is None or self.changes.is_over(
                    meaning.image_id, meaning.version
                )
                if ends and held is not None and self.changes.came_after(accepted, held):
                    return True
                if then is None and self._is_purged_from_live(meaning):
                    return True
            elif held is not None and (
                held.version > meaning.version
                or (held.version == meaning.version and held.digest == meaning.digest)
            ):
                return True
        if accepted.sequence_number in self.discards[consumer.function].confirmed:
            return True
        objects = self.bucket.objects.keys() if then is None else then.objects
        key = self.quarantine_key(consumer, accepted)
        return not {key, redriven_key(key), discarded_key(key)}.isdisjoint(objects)

    def _is_purged_from_live(self, meaning: Indexed) -> bool:
        """Whether this is a purge, and the index behind the alias has nothing of its image.

        A rebuild may still copy a lower version, which the table took after it.
        """
        live = self.index.documents.get(meaning.image_id)
        return meaning.document is None and (live is None or live.source is None)

    @staticmethod
    def quarantine_key(consumer: Consumer, accepted: AcceptedRecord) -> str:
        """The key of a quarantined record (docs/internals/formats.md)."""
        return f"{PREFIX}{consumer.function}/{accepted.position}.json"

    def producers_clock(self, skew: Callable[[], float] | None = None) -> Clock:
        """The clock of a producer; `skew` is its error in seconds, by default the system's."""
        return Clock(
            now=lambda: self.time.now + (self.skew if skew is None else skew()),
            elapsed=lambda: self.time.now,
            sleep=self.time.advance,
            chance=self.conditions.draw,
        )

    def fingerprint(self) -> str:
        """A hash of everything stored. The same history gives the same hash."""
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
