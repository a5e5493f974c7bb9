"""The composition root: a stack, its clients and the real clock, and what commands do with them."""

import datetime as dt
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from functions.search_images.search import SearchResult, search
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep import quarantine
from lockstep.audit.audit import WATERMARK, Audit, Found, Sample, Time, audit
from lockstep.audit.sample import CONFIDENCE, at_most
from lockstep.producing.backfill import Backfill, Backfilled, Point, Refused, StampOfThePast
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Pause, Producer, Progress, PutReport, Stamp
from lockstep.producing.sources import Converter
from lockstep.rebuild.export import Export
from lockstep.rebuild.indices import Indices
from lockstep.rebuild.rebuild import Parts, Rebuild
from lockstep.rebuild.worker import this_worker
from lockstep.repair.purge import Purged, purge
from lockstep.repair.repair import Repair
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LATENESS, Stack, read_local
from lockstep.stack.status import (
    Behind,
    Status,
    deployed_consumers,
    local_consumers,
    status,
    wait_until,
)
from lockstep.stores.corrections import Corrections
from lockstep.stores.items import Items, TableItems
from lockstep.stores.readers import IndexEntries, Pace, TableEntries
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.checkpoints import CheckpointsError
from lockstep.stream.table import NoTableStreamError, TableStream, latest_stream
from shared.event import Event

# CloudWatch shows an iterator age once its minute is over.
METRIC_SECONDS = 120.0

# How long a request may take matters where an invocation ends; not here.
NO_CLOCK = 0.0

_TIME = Time(now=time.time, elapsed=time.monotonic, sleep=time.sleep)


class AuditOptions(msgspec.Struct, frozen=True):
    """How to audit.

    `values`: every field, not only version and digest. `since`: leave out what arrived before.
    `rate`: read units a second, at most. `within`: seconds, at most. `watermark`: see `audit`.
    """

    values: bool = False
    since: dt.datetime | None = None
    rate: float | None = None
    within: float = math.inf
    watermark: float = WATERMARK


class System:
    """One stack, connected."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.clients = Clients(stack)

    def put(
        self,
        events: Iterable[Event | Outgoing | Pause],
        on_progress: Callable[[Progress], None],
    ) -> PutReport:
        """Put events onto the stream, each image's in order; see `Producer.put`."""
        producer = Producer(self.clients.kinesis, self.stack.stream, on_progress=on_progress)
        return producer.put(events)

    def backfill(
        self,
        *,
        mapping: Converter | None,
        replace: bool,
        apply: bool,
        on_refused: Callable[[Refused, bytes], None],
        on_step: Callable[[Point, Backfilled], None],
    ) -> Backfill:
        """What brings images onto the stream that were never on it; see `Backfill`."""
        table, _ = self._stores(AuditOptions())
        producer = Producer(self.clients.kinesis, self.stack.stream)
        return Backfill(
            table,
            producer.put if apply else lambda events: deque(events, maxlen=0),
            stamp=Stamp() if replace else StampOfThePast(self.horizon(), time.time),
            now=time.time,
            mapping=mapping,
            replace=replace,
            on_refused=on_refused,
            on_step=on_step,
        )

    def status(self) -> Status:
        """How far each consumer is behind, at this moment."""
        return self._status(self._consumers())

    def wait(self, seconds: float) -> Status:
        """The status once both consumers have caught up, or when the time is up.

        When they have, a search sees everything that was put before.
        """
        consumers = wait_until(
            self._consumers,
            lambda seen: all(consumer.caught_up for consumer in seen.values()),
            seconds=seconds,
            every=10 if self.stack.state is None else 0.2,
            elapsed=time.monotonic,
            sleep=time.sleep,
        )
        found = self._status(consumers)
        if found.caught_up:
            self.clients.opensearch.indices.refresh(index=self.stack.index)
        return found

    def audit(
        self,
        progress: Callable[[str, int], None],
        on_difference: Callable[[Found], None] = lambda _: None,
        options: AuditOptions = AuditOptions(),  # noqa: B008 - frozen
    ) -> Audit:
        """Compare the two stores; see `audit`."""
        stores = self._stores(options)
        return self._audit(options, stores, progress=progress, on_difference=on_difference)

    def sample(
        self,
        count: int,
        on_difference: Callable[[Found], None] = lambda _: None,
        options: AuditOptions = AuditOptions(),  # noqa: B008 - frozen
    ) -> Audit:
        """Compare some images only, taken from each store by chance."""
        stores = self._stores(options)
        drawn = [set(store.some(count, random.random)) for store in stores]
        differing: set[str] = set()

        def on_each(found: Found) -> None:
            differing.add(found.image_id)
            on_difference(found)

        images = sorted(set().union(*drawn))
        found = self._audit(options, stores, on_difference=on_each, only=images)
        looked_at = [(len(ids), len(ids & differing)) for ids in drawn]
        bound = at_most(looked_at)
        return msgspec.structs.replace(found, sample=Sample(len(images), CONFIDENCE, bound))

    def sizes(self) -> Mapping[str, int]:
        """About how many entries each store has."""
        table, index = self._stores(AuditOptions())
        return {"table": table.about(), "index": index.about()}

    def repair(self) -> Repair:
        """What mends the differences that an audit found; see `Repair`."""
        stack, clients = self.stack, self.clients
        table, index = self._stores(AuditOptions())
        return Repair(
            table,
            index,
            table_sink=ImageTable(clients.dynamodb, stack.table, longest_request=NO_CLOCK),
            index_sink=ImageIndex(clients.opensearch, stack.index, longest_request=NO_CLOCK),
            corrections=Corrections(clients.opensearch, stack.index),
            time=_TIME,
            horizon=self.horizon(),
        )

    def purge(self, on_progress: Callable[[int], None], *, apply: bool) -> Purged:
        """Take tombstones that nobody needs out of the index; see `purge`."""
        table, index = self._stores(AuditOptions())
        return purge(
            index,
            table,
            Corrections(self.clients.opensearch, self.stack.index),
            now=time.time(),
            apply=apply,
            on_progress=on_progress,
        )

    def rebuild(self, *, rate: float | None, export: str | None = None) -> Rebuild:
        """What builds the index anew; see `Rebuild`.

        Args:
            rate: read units a second, at most.
            export: where an export of the table lies in S3, to fill the new index from.
        """
        stack, clients = self.stack, self.clients
        pace = _pace(rate)
        options = AuditOptions(rate=rate)
        indices = Indices(clients.opensearch, stack.index)
        horizon, now = self.horizon(), dt.datetime.now(dt.UTC)
        items: Items = (
            TableItems(clients.dynamodb, stack.table, pace)
            if export is None
            else Export(clients.s3, export, stack.table, now=now, horizon=horizon)
        )
        return Rebuild(
            Parts(
                indices=indices,
                items=items,
                table=TableEntries(clients.dynamodb, stack.table, pace=pace),
                index=lambda name: IndexEntries(clients.opensearch, name),
                sink=ImageIndex(clients.opensearch, indices.building, longest_request=NO_CLOCK),
                audit=lambda progress: self.audit(progress, options=options),
                settled=lambda: self._settled(WATERMARK),
                time=_TIME,
                horizon=horizon,
                worker=this_worker(),
            )
        )

    def horizon(self) -> dt.timedelta:
        """How long tombstones stay: retention, quarantine's age, producers' lateness."""
        answer = self.clients.kinesis.describe_stream_summary(StreamName=self.stack.stream)
        hours = answer["StreamDescriptionSummary"]["RetentionPeriodHours"]
        return dt.timedelta(hours=hours, days=self.stack.quarantine_days) + LATENESS

    def search(self, text: str, *, size: int = 10) -> SearchResult:
        """Find images; see `search`."""
        return search(self.clients.opensearch, self.stack.live, text, size=size)

    def _audit(
        self, options: AuditOptions, stores: tuple[TableEntries, IndexEntries], **more: Any
    ) -> Audit:
        return audit(
            *stores,
            quarantined_images=lambda: quarantine.images(self.clients.s3, self.stack.bucket),
            time=_TIME,
            settled=lambda: self._settled(options.watermark),
            watermark=options.watermark,
            budget=options.within,
            **more,
        )

    def _stores(self, options: AuditOptions) -> tuple[TableEntries, IndexEntries]:
        stack, clients = self.stack, self.clients
        pace = _pace(options.rate)
        whole, since = options.values, options.since
        return (
            TableEntries(
                clients.dynamodb,
                stack.table,
                scanner=clients.scanner,
                whole=whole,
                since=since,
                pace=pace,
            ),
            IndexEntries(
                clients.opensearch,
                stack.index,
                searcher=clients.searcher,
                whole=whole,
                since=since,
            ),
        )

    def _settled(self, watermark: float) -> float:
        """Until when, in seconds since 1970, both consumers have processed what arrived.

        Where that cannot be known it is taken for granted after the watermark.
        """
        now = time.time()
        try:
            behind = [consumer.behind_ms for consumer in self._consumers().values()]
        except (UnknownBacklogError, CheckpointsError):
            return now - watermark
        ages = [milliseconds / 1000 for milliseconds in behind if milliseconds is not None]
        if len(ages) < len(behind):
            return now - watermark
        # What is as old as the oldest that is left may itself be left; a metric is a minute old.
        slack = 0.001 if self.stack.state is not None else METRIC_SECONDS
        return now - max(ages) - slack

    def _consumers(self) -> Mapping[str, Behind]:
        if self.stack.state is None:
            now = dt.datetime.now(dt.UTC)
            return deployed_consumers(self.clients.cloudwatch, self.stack.functions, now=now)
        state = Path(self.stack.state)
        read_local(state)  # what stopped meanwhile will never catch up
        table = None
        if self.stack.index_from != "Kinesis":
            try:
                arn = latest_stream(self.clients.dynamodb, self.stack.table)
            except NoTableStreamError as error:
                raise UnknownBacklogError(str(error)) from error
            table = TableStream(self.clients.dynamodbstreams, arn)
        return local_consumers(state, self.stack, now=time.time(), table=table)

    def _status(self, consumers: Mapping[str, Behind]) -> Status:
        return status(self.stack, consumers, quarantine.keys(self.clients.s3, self.stack.bucket))


def _pace(rate: float | None) -> Pace | None:
    """A budget of the table's read units a second; None: without end."""
    return None if rate is None else Pace(rate, time.monotonic, time.sleep)
