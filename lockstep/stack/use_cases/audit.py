"""The audit of a stack, its repair, and the purge of expired tombstones."""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep import quarantine
from lockstep.audit.ahead import AheadKind
from lockstep.audit.audit import WATERMARK, Audit, Sample, with_unread
from lockstep.audit.audit import audit as compare
from lockstep.audit.first_read import FirstRead
from lockstep.audit.recheck import Difference
from lockstep.audit.restored import restored
from lockstep.audit.sample import CONFIDENCE, share_at_most
from lockstep.repair.answers import Answers
from lockstep.repair.decide_answer import Winner
from lockstep.repair.purge import Purged
from lockstep.repair.purge import purge as purge_tombstones
from lockstep.repair.repair import Repair
from lockstep.repair.replaced import Replaced, run_name
from lockstep.stack.clients import Clients
from lockstep.stack.stack import REPLICA_CONSUMER
from lockstep.stack.use_cases.aliases import checked_index
from lockstep.stack.use_cases.consumers import settled_until
from lockstep.stack.use_cases.losses import unread
from lockstep.stack.use_cases.retention import retention_warnings
from lockstep.stack.use_cases.stores import (
    NO_LIMIT,
    index_reader,
    pace,
    stores_of,
    table_reader,
)
from lockstep.stores.corrections import Corrections, TableCorrections
from lockstep.stores.index import IndexReader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.table import TableReader
from shared.quarantine import TABLE_CONSUMER
from shared.sink import SinkError


class Processes(msgspec.Struct, frozen=True):
    """How many processes read, and in how many segments of each store."""

    processes: int
    segments: int


class AuditOptions(msgspec.Struct, frozen=True):
    """How to audit.

    `values`: every field, not only version and digest. `since`: leave out what arrived before.
    `rate`: read units a second, at most. `within`: seconds, at most. `watermark`: see `audit`.
    `processes`: read in several processes; None: in this one.
    """

    values: bool = False
    since: dt.datetime | None = None
    rate: float | None = None
    within: float = math.inf
    watermark: float = WATERMARK
    processes: Processes | None = None


def audit(
    clients: Clients,
    progress: Callable[[str, int], None],
    on_difference: Callable[[Difference], None] = lambda _: None,
    options: AuditOptions = AuditOptions(),  # noqa: B008 - frozen
) -> Audit:
    """Compare the two stores; see `lockstep.audit.audit.audit`."""
    stores = _stores(clients, options)
    with _first_read(clients, options) as first_read:
        return _audit(
            clients,
            options,
            stores,
            progress=progress,
            on_difference=on_difference,
            first_read=first_read,
        )


def sample(
    clients: Clients,
    count: int,
    on_difference: Callable[[Difference], None] = lambda _: None,
    options: AuditOptions = AuditOptions(),  # noqa: B008 - frozen
) -> Audit:
    """Compare `count` images of each store, chosen at random."""
    stores = _stores(clients, options)
    samples = [set(store.sample(count, clients.clock.chance)) for store in stores]
    differing: set[str] = set()

    def on_each(found: Difference) -> None:
        differing.add(found.image_id)
        on_difference(found)

    images = sorted(set().union(*samples))
    found = _audit(clients, options, stores, on_difference=on_each, only=images)
    sample_counts = [(len(ids), len(ids & differing)) for ids in samples]
    bound = share_at_most(sample_counts)
    return msgspec.structs.replace(found, sample=Sample(len(images), CONFIDENCE, bound))


def sizes(clients: Clients) -> Mapping[str, int]:
    """The approximate number of entries of each store."""
    return {"table": table_reader(clients).count(), "index": index_reader(clients).count()}


def repair(clients: Clients) -> Repair:
    """The repair of differences that an audit found, ready to run; see `Repair`."""
    stack = clients.stack
    return Repair(
        table_reader(clients),
        index_reader(clients),
        index_sink=ImageIndex(clients.opensearch, stack.index, longest_request=NO_LIMIT),
        corrections=Corrections(clients.opensearch, stack.index),
        clock=clients.clock,
    )


def answers(clients: Clients, winner: Winner, kinds: frozenset[AheadKind]) -> Answers:
    """An operator's answer to the report of an audit, ready to run; see `Answers`."""
    stack = clients.stack
    run = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    return Answers(
        winner,
        kinds,
        table=table_reader(clients),
        index=index_reader(clients),
        table_sink=ImageTable(clients.dynamodb, stack.table, longest_request=NO_LIMIT),
        table_corrections=TableCorrections(clients.dynamodb, stack.table),
        corrections=Corrections(clients.opensearch, stack.index),
        repair=repair(clients),
        replaced=Replaced(BucketObjects(clients.s3, stack.bucket), run_name(run)),
        explained=lambda: frozenset(
            image_id
            for consumer, image_id in quarantined_images(clients)
            if consumer == TABLE_CONSUMER
        ),
        clock=clients.clock,
    )


def purge(clients: Clients, on_progress: Callable[[int], None], *, apply: bool) -> Purged:
    """Remove expired tombstones from the index; see `lockstep.repair.purge.purge`."""
    return purge_tombstones(
        index_reader(clients),
        table_reader(clients),
        Corrections(clients.opensearch, clients.stack.index),
        now=clients.clock.now(),
        apply=apply,
        on_progress=on_progress,
    )


def _stores(clients: Clients, options: AuditOptions) -> tuple[TableReader, IndexReader]:
    return stores_of(clients, values=options.values, since=options.since, pace=pace(options.rate))


@contextmanager
def _first_read(clients: Clients, options: AuditOptions) -> Iterator[FirstRead | None]:
    """How both stores are read; None: in this process."""
    processes = options.processes
    if processes is None:
        yield None
        return
    from lockstep.stack.use_cases.audit_processes import (  # noqa: PLC0415 - slow; rarely needed
        read_in_processes,
    )

    with read_in_processes(
        clients,
        processes.processes,
        processes.segments,
        values=options.values,
        since=options.since,
        rate=options.rate,
    ) as read:
        yield read


def _audit(
    clients: Clients,
    options: AuditOptions,
    stores: tuple[TableReader, IndexReader],
    **more: Any,
) -> Audit:
    found = compare(
        *stores,
        quarantined_images=lambda: quarantined_images(clients),
        clock=clients.clock,
        settled=lambda: settled_until(clients, options.watermark),
        watermark=options.watermark,
        budget=options.within,
        **more,
    )
    return completed(clients, found)


def completed(clients: Clients, found: Audit) -> Audit:
    """The result of a comparison, with all that an audit says besides: see `Audit`."""
    stack, now = clients.stack, dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    counts = quarantine.count(BucketObjects(clients.s3, stack.bucket), stack.table_mapping, now)
    restore = restored(table_reader(clients).description())
    warnings = retention_warnings(clients)
    if restore is not None and restore.too_late:
        warnings = [*warnings, restore.warning]
    try:
        wrong = checked_index(clients).problems
    except SinkError as error:
        wrong = ()
        if found.result == "equal":
            found = msgspec.structs.replace(found, result="unknown", reason=str(error))
        else:
            warnings = [*warnings, f"the aliases of the index could not be read: {error}"]
    found = msgspec.structs.replace(
        found,
        wrong=wrong,
        discarded=sum(counts.discarded.values()),
        restored=restore,
        warnings=warnings,
    )
    # An audit compares the table and the index: the replica is another matter.
    return with_unread(found, unread(clients).without(REPLICA_CONSUMER))


def quarantined_images(clients: Clients) -> Iterator[tuple[str, str]]:
    """Which consumer has a record of which image in quarantine."""
    stack = clients.stack
    objects = BucketObjects(clients.s3, stack.bucket)
    return quarantine.images(objects, stack.table_mapping, stack.changes_stream)
