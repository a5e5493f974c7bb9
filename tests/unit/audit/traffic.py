"""Traffic: a producer that keeps writing, and both consumers, each at its own pace.

Everything moves on a little whenever one of the stores is read.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.producing.producer import Producer, Stamp
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import StoredImage
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.clock import Clock
from shared.deliver import deliver
from shared.event import Event
from shared.quarantine import QuarantinedRecord
from shared.sink import Sink
from tests.builders import clock, decoded, image_event
from tests.unit.audit.stand import Stand

STREAM = "images"
EVENTS_A_MOVE = 4
SECONDS_A_MOVE = 0.05
# Now and then a consumer stands still, for so many moves at most.
STANDS_EVERY = 50
LONGEST_STAND = 200
ENTRIES_A_MOVE = 1_000


class _NoQuarantine:
    longest_put = 0.0

    def put(self, record: QuarantinedRecord) -> None:
        raise AssertionError(record)


@dataclass
class _Consumer:
    sink: Sink
    done: int = 0
    stands: int = 0


class Traffic:
    """New images, and changes and deletions of those whose IDs `touched` returns."""

    def __init__(self, stand: Stand, touched: Callable[[], str], chance: random.Random) -> None:
        self.put = 0
        self._stand = stand
        self._touched = touched
        self._chance = chance
        self._kinesis = Kinesis(STREAM, now=lambda: stand.at)
        self._stamp = Stamp(lambda: stand.at)
        self._producer = Producer(
            self._kinesis,
            STREAM,
            clock=Clock(lambda: stand.at, lambda: stand.at, stand.pass_time, lambda: 0.5),
        )
        self._consumers = [_Consumer(stand.table_sink), _Consumer(stand.index_sink)]

    def move(self) -> None:
        """Put a few events, and let each consumer process some of its backlog, or none."""
        self._stand.pass_time(SECONDS_A_MOVE)
        self.put += self._producer.put(self._event() for _ in range(EVENTS_A_MOVE)).put
        for consumer in self._consumers:
            if consumer.stands:
                consumer.stands -= 1
                continue
            left = len(self._kinesis.accepted) - consumer.done
            self._deliver(consumer, left - self._chance.randrange(EVENTS_A_MOVE + 1))
            if self._chance.randrange(STANDS_EVERY) == 0:
                consumer.stands = self._chance.randrange(LONGEST_STAND)

    def drain(self) -> None:
        """Let both consumers process their whole backlog."""
        for consumer in self._consumers:
            self._deliver(consumer, len(self._kinesis.accepted) - consumer.done)

    def sleep(self, seconds: float) -> None:
        """Wait, while the traffic goes on."""
        until = self._stand.at + seconds
        while self._stand.at < until:
            self.move()

    def settled(self) -> float:
        """The time up to which both consumers have processed all arrivals."""
        accepted = self._kinesis.accepted
        left = [one.done for one in self._consumers if one.done < len(accepted)]
        # What arrives in the same millisecond may yet come.
        return (accepted[min(left)].arrived_at if left else self._stand.at) - 0.001

    def _event(self) -> Event:
        kind = self._chance.choice(("image.uploaded", "image.updated", "image.deleted"))
        new = kind == "image.uploaded"
        image_id = f"live-{self.put}-{self._chance.random()}" if new else self._touched()
        return decoded(image_event(image_id, self._stamp(), kind))

    def _deliver(self, consumer: _Consumer, count: int) -> None:
        some: Sequence[AcceptedRecord] = self._kinesis.accepted[
            consumer.done : consumer.done + count
        ]
        delivery = deliver(
            [one.as_lambda_record() for one in some],
            to=consumer.sink,
            quarantine=_NoQuarantine(),
            function="write_to_dynamodb",
            clock=clock(now=lambda: self._stand.at, chance=lambda: 0.5),
            remaining=lambda: 60.0,
        )
        assert not delivery.response()["batchItemFailures"]
        consumer.done += count


class Moving:
    """A store, read while the traffic goes on."""

    def __init__(self, store: TableReader | IndexReader, traffic: Traffic) -> None:
        self._store = store
        self._traffic = traffic

    def scan(self) -> Iterator[Entry]:
        for at, entry in enumerate(self._store.scan()):
            if at % ENTRIES_A_MOVE == 0:
                self._traffic.move()
            yield entry

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        self._traffic.move()
        return self._store.lookup(image_ids)

    def lookup_raw(self, image_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        self._traffic.move()
        return self._store.lookup_raw(image_ids)

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        self._traffic.move()
        return self._store.lookup_whole(image_ids)
