"""The tools of an operator: the product's readers, sinks and corrections, over the fakes.

All are created on demand, because most histories need few of them.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import msgspec
import opensearchpy
from botocore.exceptions import BotoCoreError, ClientError

from lockstep import quarantine
from lockstep.quarantine.cases import Case, FoundCases
from lockstep.simulation.clock import START
from lockstep.simulation.components import BUCKET, INDEX, STREAM_ARN, TABLE
from lockstep.simulation.fakes.kinesis_reads import KinesisReads
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faulty_network import CrashedError, StoreName
from lockstep.simulation.operators.clients import (
    OperatorsConnection,
    OwnJournal,
    index_client,
    table_client,
)
from lockstep.simulation.poller import Poller
from lockstep.simulation.system import STORES, System
from lockstep.simulation.uploader import Uploader
from lockstep.stores.corrections import Corrections, TableCorrections
from lockstep.stores.index import IndexReader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import TableReader
from shared.clock import Clock
from shared.quarantine import FAILURE_DOCUMENTS, TABLE_CONSUMER, QuarantinedRecord
from shared.sink import Sink, SinkError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

# The share of an operator's commands whose requests have faults, too.
FAULTY_SHARE = 0.4
KILLED_SHARE = 0.4
# Something else happens before one of so many requests of a command: about all of a small one.
MOST_REQUESTS = 6
# Half the time it is the fifth: a repair has decided by then, after two reads of each store.
REQUESTS = (*range(1, MOST_REQUESTS + 1), 5, 5, 5, 5)
# What ends a command before its end: the operator repeats it.
BREAKS_OFF = (
    CrashedError,
    BotoCoreError,
    ClientError,
    SinkError,
    StoreUnreadableError,
    opensearchpy.OpenSearchException,
)


class Surroundings(msgspec.Struct, frozen=True):
    """What a history lets an operator's step do with the rest of the system."""

    meanwhile: Callable[..., None]
    """Lets a producer put events, mostly one of an image, and a consumer work for a moment."""
    drain: Callable[[], None]
    """Stops the faults, and lets both consumers process everything."""
    oldest_unread: Callable[[], float | None]
    """The arrival of the oldest record that a consumer has not settled, in seconds; or none."""
    replay: Callable[[], None]
    """Delivers all that the stream still holds again, to both consumers, without faults."""
    replays: bool
    """Whether it does: mappings that discard old records would discard them again."""
    put: Callable[[str], None]
    """Puts a new event of this image onto the stream, as its producer."""
    delete: Callable[[str], None]
    """Puts its deletion."""
    resume: Callable[[], None]
    """Makes faults possible again after `drain`."""
    purge: Callable[[], object]
    """Lets the stores and an operator remove expired tombstones."""
    redrive: Callable[[], None]
    """Lets an operator redrive."""
    redrive_pointers: Callable[[Sequence[bytes]], FoundCases]
    """Lets an operator redrive what these failure documents without records point at."""
    quarantined: Callable[[], Sequence[Case]]
    """All cases in quarantine."""
    fetched: Callable[[], Mapping[str, QuarantinedRecord]]
    """The records of these cases that only the stream holds."""
    put_poison: Callable[[], object]
    """Puts records that no consumer accepts, or that a store refuses, of any kind."""
    choose: Callable[[str], None]
    """Lets an operator decide about what is in quarantine of this image."""
    stamping: Uploader
    counting: Uploader
    """A source that stamps its events, and one that counts the revisions of each image."""
    rewind: Callable[[], None]
    """Makes the consumers read the whole stream again."""
    reads_events: bool
    """Whether the index always reads the image stream: else it has no role of its own to forge
    with, and no records of that stream to lose."""
    pollers: Sequence[Poller]
    """All event source mappings."""
    batch_size: int
    """The size of the batches of the consumers."""
    put_refused: Callable[[], object]
    """Puts an event that the index refuses, and the table does not."""


class Tools:
    """The tools of the operators of one system."""

    def __init__(self, system: System, *, may_refuse: bool = False) -> None:
        """Prepare tools for this system.

        `may_refuse`: the stores refuse what they refuse of a consumer, until the cause ends.
        """
        self.system = system
        self._may_refuse = may_refuse
        self.is_running = False
        self.commands = 0
        """Whether a command runs, and how many ran: set by `Promises.kept`."""
        self._is_interleaved = False
        self._meanwhile: Callable[[], None] | None = None
        self._requests_left, self._before_write = 0, False
        self._may_die = False
        self._connections: dict[StoreName, OperatorsConnection] = {
            store: OperatorsConnection(store, system, self._on_request) for store in STORES
        }
        self.clock = Clock(self._now, self._now, system.time.advance, self._draw)

    def interleave(
        self, meanwhile: Callable[[], None], seconds: float, *, is_running: bool = False
    ) -> None:
        """Do this in the middle of the command that comes next, after at most so many seconds.

        `is_running`: in the middle of the command that runs now.
        """
        conditions, command = self.system.conditions, self.commands + (not is_running)

        def begin() -> None:
            # Once, and not in the middle of itself: a producer puts one batch after the other.
            if self.is_running and self.commands == command and not self._is_interleaved:
                self._is_interleaved = True
                conditions.tally["others at work during a command"] += 1
                conditions.interleave(meanwhile)
                self._is_interleaved = False

        conditions.time.later(conditions.chance.random() * seconds, begin)

    def before_request(self, meanwhile: Callable[[], None]) -> None:
        """Do this in the middle of the command that comes next: before one of its requests.

        Half the time that is its first write, after what it read.
        """
        chance = self.system.conditions.chance
        self._before_write = chance.random() < 0.5  # noqa: PLR2004 - a coin
        self._requests_left = chance.choice(REQUESTS)
        self._meanwhile = meanwhile

    def begin(self, *, faulty: bool | None = None) -> bool:
        """Begin a command; choose whether its requests have faults, and return that."""
        system = self.system
        if faulty is None:
            faulty = system.conditions.chance.random() < FAULTY_SHARE
        for one in self._connections.values():
            one.faulty = faulty
        return faulty

    def may_die(self, most: int = MOST_REQUESTS) -> None:
        """Sometimes kill the process of the command that comes next, at one of `most` requests."""
        conditions = self.system.conditions
        if conditions.chance.random() < KILLED_SHARE:
            self._may_die = True
            conditions.kill_in = conditions.chance.randint(1, most)

    def end(self) -> None:
        """The command has ended."""
        self.is_running = False
        self._meanwhile = None
        if self._may_die:
            conditions, self._may_die = self.system.conditions, False
            conditions.tally["operator killed"] += conditions.kill_in is None
            conditions.kill_in = None

    def _on_request(self, *, writes: bool) -> None:
        """Before each request of an operator: something else may happen, once."""
        if self._meanwhile is None or not self.is_running:
            return
        self._requests_left -= not writes
        if writes if self._before_write else self._requests_left <= 0:
            meanwhile, self._meanwhile = self._meanwhile, None
            self.system.conditions.tally["others at work during a command"] += 1
            self.system.conditions.interleave(meanwhile)

    def connection(self, store: StoreName) -> OperatorsConnection:
        """The operator's connection to a store."""
        return self._connections[store]

    @cached_property
    def _table(self) -> Any:
        return table_client(self.system, self._connections["table"], may_refuse=self._may_refuse)

    @cached_property
    def _index(self) -> Any:
        return index_client(self.system, self._connections["index"], may_refuse=self._may_refuse)

    @property
    def table_client(self) -> "DynamoDBClient":
        """The operator's client of the table."""
        return cast("DynamoDBClient", self._table[0])

    @property
    def index_client(self) -> opensearchpy.OpenSearch:
        """The operator's client of the index."""
        return cast("opensearchpy.OpenSearch", self._index[0])

    @property
    def own_in_table(self) -> OwnJournal:
        """What operators wrote to the table."""
        journal: OwnJournal = self._table[1]
        return journal

    @property
    def own_in_index(self) -> OwnJournal:
        """What operators wrote to the index."""
        journal: OwnJournal = self._index[1]
        return journal

    def table_reader(self, *, whole: bool = False) -> TableReader:
        """The reader of the table; `whole` as of `audit --values`."""
        return self.system.components.table_reader(self.table_client, TABLE, whole=whole)

    def index_reader(self, *, whole: bool = False) -> IndexReader:
        """The reader of the index; `whole` as of `audit --values`."""
        return self.system.components.index_reader(self.index_client, INDEX, whole=whole)

    @cached_property
    def table_sink(self) -> Sink:
        """The sink of the table, for an operator."""
        return self.system.components.table(self.table_client)

    @cached_property
    def index_sink(self) -> Sink:
        """The sink of the index, for an operator."""
        return self.system.components.index(self.index_client)

    @cached_property
    def corrections(self) -> Corrections:
        """The corrections of the index."""
        return self.system.components.corrections(self.index_client, INDEX)

    @cached_property
    def table_corrections(self) -> TableCorrections:
        """The corrections of the table."""
        return TableCorrections(self.table_client, TABLE)

    @cached_property
    def bucket(self) -> BucketObjects:
        """The bucket."""
        return BucketObjects(self.bucket_client, BUCKET)

    @cached_property
    def bucket_client(self) -> "S3Client":
        """The operator's client of the bucket."""
        client = S3(BUCKET, connection=self._connections["quarantine"])
        client.objects = self.system.bucket.objects
        client.overwritten = self.system.bucket.overwritten
        return cast("S3Client", client)

    @cached_property
    def kinesis(self) -> KinesisReads:
        """The operator's client of the stream, which only reads."""
        return KinesisReads(
            self.system.stream, STREAM_ARN, created_at=START, connection=self._connections["stream"]
        )

    def quarantined(self) -> Iterator[tuple[str, str]]:
        """Which consumer has a record of which image in quarantine, as an audit reads it."""
        return quarantine.images(self.bucket, TABLE_CONSUMER)

    def explained(self) -> frozenset[str]:
        """The images of which the table's consumer has a record in quarantine."""
        return frozenset(
            image for consumer, image in self.quarantined() if consumer == TABLE_CONSUMER
        )

    @property
    def has_failure_documents(self) -> bool:
        """Whether a mapping has discarded a batch."""
        return any(key.startswith(FAILURE_DOCUMENTS) for key in self.system.bucket.objects)

    def run_name(self) -> str:
        """A name for a run of an answer, which no other run has."""
        at = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        return f"{at:%Y-%m-%dT%H%M%S.%fZ}"

    def _draw(self) -> float:
        return self.system.conditions.draw()

    def _now(self) -> float:
        return self.system.time.now
