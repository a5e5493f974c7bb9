"""The components that a history runs: the real ones, or wrong ones (seeded bugs)."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from opensearchpy import OpenSearch

from doors.quarantine import BucketQuarantine
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.index import IndexCheck, check_index
from functions.write_to_es.sink import ImageIndex
from functions.write_to_es.table_changes import envelope_of
from lockstep.audit.acknowledgements import acknowledgement_of
from lockstep.audit.audit import Audit, audit, with_unread
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.failure import BucketDestination, Destination
from lockstep.producing.backfill import Backfill, PastStamp
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Producer, Stamp
from lockstep.producing.sources import BadLine, read_checked
from lockstep.quarantine.bucket import discarded_by_operators
from lockstep.quarantine.cases import FoundCases
from lockstep.quarantine.discarding import Discarder
from lockstep.quarantine.failure_documents import Fetched, fetch
from lockstep.quarantine.finding import find
from lockstep.quarantine.redrive import Redrive
from lockstep.quarantine.settlement import Settlement, choose, correct
from lockstep.rebuild.indices import Indices
from lockstep.rebuild.parts import RebuildParts
from lockstep.rebuild.rebuild import Rebuild
from lockstep.repair.answers import Answers
from lockstep.repair.purge import Purged
from lockstep.repair.purge import purge as purge_index
from lockstep.repair.repair import Repair, check_limit
from lockstep.repair.replaced import Replaced
from lockstep.replay.replay import Replay
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.stores.corrections import Corrections, Removal
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from lockstep.stream.gaps import GapFinder, loss_of
from lockstep.stream.losses import Acknowledgement, Loss, unacknowledged
from lockstep.stream.order import startable
from shared.batch import Delivery
from shared.deliver import deliver
from shared.envelope import Envelope
from shared.event import Event
from shared.sink import Sink

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# As in the handlers; the clients' timeouts and retries together take less.
TABLE_SECONDS, INDEX_SECONDS, QUARANTINE_SECONDS, REPLICA_SECONDS = 5.0, 11.0, 11.0, 5.0
TABLE, INDEX, BUCKET, STREAM = "lockstep-images", "images", "lockstep-quarantine", "lockstep-images"
CHANGES_STREAM = "lockstep-table-changes"
STREAM_ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"


class Puts(Protocol):
    """The method of a producer that a history uses."""

    def put(self, events: Iterable[Event | CheckedEvent | Outgoing]) -> object:
        """Put all events onto the stream, or raise."""
        ...


def image_table(client: "DynamoDBClient") -> Sink:
    """The sink of the table, as in the handler."""
    return ImageTable(client, TABLE, longest_request=TABLE_SECONDS)


def image_index(client: OpenSearch) -> Sink:
    """The sink of the index, as in the handler."""
    return ImageIndex(client, INDEX, longest_request=INDEX_SECONDS)


def bucket_quarantine(put_object: Callable[..., Mapping[str, Any]]) -> BucketQuarantine:
    """The quarantine, as in the handlers."""
    return BucketQuarantine(put_object, BUCKET, longest_put=QUARANTINE_SECONDS)


def purge_tombstone(client: OpenSearch, image_id: str, version: int) -> None:
    """Remove a tombstone from the index, as `lockstep purge` does."""
    Corrections(client, INDEX).remove([Removal(image_id, version)])


class Components(msgspec.Struct, frozen=True):
    """The replaceable components of a history; by default the real ones."""

    table: Callable[["DynamoDBClient"], Sink] = image_table
    index: Callable[[OpenSearch], Sink] = image_index
    quarantine: Callable[[Callable[..., Mapping[str, Any]]], BucketQuarantine] = bucket_quarantine
    deliver: Callable[..., Delivery] = deliver
    envelope_of: Callable[..., Envelope] = envelope_of
    producer: Callable[..., Puts] = Producer
    read: Callable[[Iterable[bytes], Stamp], Iterable[CheckedEvent | BadLine]] = read_checked
    stamp: Callable[[Callable[[], float]], Callable[[], int]] = Stamp
    shard: Callable[..., Shard] = Shard
    startable: Callable[..., list[str]] = startable
    gap_finder: Callable[..., GapFinder] = GapFinder
    loss_of: Callable[..., Loss] = loss_of
    unacknowledged: Callable[..., tuple[Loss, ...]] = unacknowledged
    acknowledgement_of: Callable[..., Acknowledgement] = acknowledgement_of
    with_unread: Callable[..., Audit] = with_unread
    destination: Callable[..., Destination] = BucketDestination
    find: Callable[..., FoundCases] = find
    fetch: Callable[..., Fetched] = fetch
    redrive: Callable[..., Redrive] = Redrive
    discarder: Callable[..., Discarder] = Discarder
    unsettled: Callable[..., QuarantineOfTheUnsettled] = QuarantineOfTheUnsettled
    discarded_by_operators: Callable[..., frozenset[str]] = discarded_by_operators
    replay: Callable[..., Replay] = Replay
    backfill: Callable[..., Backfill] = Backfill
    past_stamp: Callable[[Callable[[], float]], Stamp] = PastStamp
    choose: Callable[..., Settlement] = choose
    correct: Callable[..., Settlement] = correct
    purge: Callable[[OpenSearch, str, int], None] = purge_tombstone
    purge_all: Callable[..., Purged] = purge_index
    table_reader: Callable[..., TableReader] = TableReader
    index_reader: Callable[..., IndexReader] = IndexReader
    corrections: Callable[..., Corrections] = Corrections
    audit: Callable[..., Audit] = audit
    repair: Callable[..., Repair] = Repair
    check_limit: Callable[..., None] = check_limit
    answers: Callable[..., Answers] = Answers
    replaced: Callable[..., Replaced] = Replaced
    rebuild: Callable[[RebuildParts], Rebuild] = Rebuild
    indices: Callable[[OpenSearch, str], Indices] = Indices
    check_index: Callable[[OpenSearch, str], IndexCheck] = check_index


REAL = Components()
