"""The composition root: a stack, its clients and the real clock, and what commands do with them."""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lockstep import quarantine
from lockstep.audit.audit import Audit, Time, audit
from lockstep.audit.stores import IndexEntries, TableEntries
from lockstep.connect import Clients
from lockstep.producer import Pause, Producer, Progress, PutReport
from lockstep.search import SearchResult, search
from lockstep.stack import Stack, read_local
from lockstep.status import Behind, Status, deployed_consumers, local_consumers, status, wait_until
from shared.event import Event


class System:
    """One stack, connected."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.clients = Clients(stack)

    def put(
        self, events: Iterable[Event | Pause], on_progress: Callable[[Progress], None]
    ) -> PutReport:
        """Put events onto the stream, each image's in order; see `Producer.put`."""
        producer = Producer(self.clients.kinesis, self.stack.stream, on_progress=on_progress)
        return producer.put(events)

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

    def audit(self, progress: Callable[[str, int], None]) -> Audit:
        """Compare the two stores; see `audit`."""
        stack, clients = self.stack, self.clients
        return audit(
            TableEntries(clients.dynamodb, stack.table),
            IndexEntries(clients.opensearch, stack.index),
            quarantined_images=lambda: quarantine.images(clients.s3, stack.bucket),
            time=Time(now=time.time, elapsed=time.monotonic, sleep=time.sleep),
            progress=progress,
        )

    def search(self, text: str, *, size: int = 10) -> SearchResult:
        """Find images; see `search`."""
        return search(self.clients.opensearch, self.stack.live, text, size=size)

    def _consumers(self) -> Mapping[str, Behind]:
        if self.stack.state is None:
            now = dt.datetime.now(dt.UTC)
            return deployed_consumers(self.clients.cloudwatch, self.stack.functions, now=now)
        state = Path(self.stack.state)
        read_local(state)  # what stopped meanwhile will never catch up
        return local_consumers(state, self.stack.stream, now=time.time())

    def _status(self, consumers: Mapping[str, Behind]) -> Status:
        quarantined = sum(1 for _ in quarantine.keys(self.clients.s3, self.stack.bucket))
        return status(self.stack, consumers, quarantined)
