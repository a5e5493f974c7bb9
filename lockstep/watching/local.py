"""What is read of a local stack: mostly its files, which costs little."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lockstep.stack.clients import Clients
from lockstep.stack.local_losses import feeding, stopped_consumers
from lockstep.stack.skew import busiest_of
from lockstep.stack.stack import Stack, read_local
from lockstep.stack.use_cases.aliases import checked_index, empty_index
from lockstep.stack.use_cases.consumers import all_consumers
from lockstep.stack.use_cases.losses import unread
from lockstep.stores.objects import BucketObjects
from lockstep.stream.backlog import StreamCounts, counts
from lockstep.stream.checkpoints import read_mappings
from lockstep.watching.audits import LastAudit
from lockstep.watching.conditions import conditions
from lockstep.watching.look import counted_quarantine
from lockstep.watching.meter import Meter
from lockstep.watching.parts import Part, Start, in_thread
from lockstep.watching.seen import (
    POINTS,
    SeenAlarms,
    SeenAudit,
    SeenConsumer,
    SeenIndex,
    SeenLosses,
    SeenQuarantine,
    SeenShards,
    SeenStream,
)
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

# In seconds: what needs requests, to engines that have other work.
SLOW_SECONDS = 10.0
_ARRIVED = "arrived "


class LocalStack:
    """A local stack, also one that stops and starts again meanwhile, with other addresses."""

    def __init__(self, state: Path, make: Callable[[Stack], Clients] = Clients) -> None:
        self._state = state
        self._make = make
        self._clients: Clients | None = None
        self._meter = Meter()
        self._lags: list[dict[str, float | None]] = []
        self._audit = LastAudit()

    def parts(
        self, every: float, elapsed: Callable[[], float], start: Start = in_thread
    ) -> Sequence[Part]:
        """What to read, and how often.

        Args:
            every: the seconds between two looks at the stream.
            elapsed: seconds that never go back.
            start: see `Part`.
        """
        slow = max(every, SLOW_SECONDS)
        read: dict[str, tuple[Callable[[], Any], float]] = {
            "stream": (self.stream, every),
            "quarantine": (self.quarantine, slow),
            "losses": (self.losses, slow),
            "index": (self.index, slow),
            "audit": (self.audit, slow),
        }
        return [
            Part(name, reads, every=seconds, elapsed=elapsed, start=start)
            for name, (reads, seconds) in read.items()
        ]

    def clients(self) -> Clients:
        """The clients of the stack that runs now.

        Raises:
            StackNotFoundError: no stack runs.
        """
        stack = read_local(self._state)
        if self._clients is None or self._clients.stack != stack:
            self._clients = self._make(stack)
        return self._clients

    def stream(self) -> SeenStream:
        """The stream and its consumers."""
        clients = self.clients()
        stack, state = clients.stack, self._state
        behind = all_consumers(clients)
        images, processed = _counted(state, stack)
        at, now = clients.clock.elapsed(), clients.clock.now()
        arrived = {f"{_ARRIVED}{shard}": count for shard, count in images.arrived.items()}
        total = sum(images.arrived.values())
        self._meter.add(at, {"arrivals": total, **processed, **arrived})
        self._lags.append({name: one.lag_ms for name, one in behind.items()})
        del self._lags[:-POINTS]
        stopped = {one.consumer for one in stopped_consumers(state, stack, now=now)}
        grown = self._meter.grown()
        return SeenStream(
            until=now,
            period=self._meter.period,
            shards=busiest({one: grown[f"{_ARRIVED}{one}"] for one in images.open_shards}),
            arrivals_per_second=self._meter.rate("arrivals"),
            consumers={
                name: SeenConsumer(
                    per_second=self._meter.rate(name),
                    backlog_records=one.backlog_records,
                    lag_ms=one.lag_ms,
                    reads=name not in stopped,
                    rates=self._meter.history(name),
                    lags=tuple(lags[name] for lags in self._lags),
                )
                for name, one in behind.items()
            },
            arrivals=self._meter.history("arrivals"),
        )

    def quarantine(self) -> SeenQuarantine:
        """What waits in the bucket."""
        return counted_quarantine(self.clients())

    def losses(self) -> SeenLosses:
        """Who cannot read some records any more."""
        return SeenLosses(tuple(sorted({one.consumer for one in unread(self.clients()).losses})))

    def index(self) -> SeenIndex:
        """What is wrong with the index."""
        clients = self.clients()
        problems = checked_index(clients).problems
        return SeenIndex(problems, () if problems else tuple(empty_index(clients)))

    def audit(self) -> SeenAudit:
        """The last audit that ran by itself."""
        clients = self.clients()
        return self._audit.look(BucketObjects(clients.s3, clients.stack.bucket))


def alarms(parts: Sequence[Part]) -> SeenAlarms:
    """The alarms of a local stack, by what its parts have read last."""
    read = {part.name: part.value for part in parts}
    return conditions(
        read["stream"], read["losses"], read["quarantine"], read["index"], read["audit"]
    )


def busiest(grown: dict[str, int]) -> SeenShards:
    """The busiest of the open shards, by how many records each has got of late."""
    found = busiest_of(grown)
    if found is None:
        return SeenShards(len(grown))
    return SeenShards(len(grown), found.shard_id, found.share)


def _counted(state: Path, stack: Stack) -> tuple[StreamCounts, dict[str, int]]:
    """What arrived on the image stream, and what each consumer has processed of its own stream.

    The records of a table's stream cannot be counted: its reader is not among them.
    """
    done = {
        name: mapping.checkpoints
        for name, mapping in feeding(read_mappings(state / "checkpoints.db"), stack).items()
    }
    of_images = [TABLE_CONSUMER]
    if stack.index_from == "Kinesis":
        of_images.append(INDEX_CONSUMER)
    file = state / "kinesis.db"
    images = counts(file, stack.stream, {name: done.get(name, {}) for name in of_images})
    processed = dict(images.processed)
    if stack.index_from == "KinesisDataStreamsForDynamoDB":
        changes = {INDEX_CONSUMER: done.get(INDEX_CONSUMER, {})}
        processed |= counts(file, stack.changes_stream, changes).processed
    return images, processed
