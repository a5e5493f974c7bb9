"""The status of a stack: the backlog and lag of each consumer, and what they cannot read."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from lockstep.stack.deployed import DeployedMapping
from lockstep.stack.local_losses import feeding
from lockstep.stack.progress import Progress
from lockstep.stack.skew import BusiestShard, HotImage
from lockstep.stack.stack import FORWARDER, REPLICA_CONSUMER, Endpoints, LocalReplica, Stack
from lockstep.stream.backlog import UnknownBacklogError, backlog
from lockstep.stream.checkpoints import read_mappings
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from lockstep.stream.stream import (
    AfterSequenceNumber,
    PositionLostError,
    Stream,
    StreamUnavailableError,
    TrimHorizon,
)
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

if TYPE_CHECKING:
    from lockstep.quarantine.bucket import QuarantineCounts


# The consumer of each store.
_STORES = {"table": TABLE_CONSUMER, "index": INDEX_CONSUMER}


class Behind(msgspec.Struct, frozen=True):
    """The backlog of one consumer: the number of its records, and the age of the oldest.

    `backlog_records` is None for a deployed stack and for a reader of a table's stream, where
    records cannot be counted. `lag_ms` is None when the age is unknown. `caught_up`: it has
    processed all records, and its store answers. `reads` is false if the
    event source mapping of a deployed consumer is disabled or missing. Of a deployed consumer that
    reads, `processed_until` says that it has processed all that arrived before.
    """

    backlog_records: int | None
    lag_ms: int | None
    caught_up: bool
    reads: bool = True
    processed_until: dt.datetime | None = None


Colour = Literal["green", "yellow", "red"]


class StoreHealth(msgspec.Struct, frozen=True):
    """Whether a store answers.

    Attributes:
        address: what was asked.
        answers: whether it does.
        why: why it does not; None if it answers.
        cluster: the colour of the cluster of the index; None for the table, and where it is not
            asked: people may not ask a domain for it.
    """

    address: str
    answers: bool
    why: str | None = None
    cluster: Colour | None = None


class Probed(msgspec.Struct, frozen=True):
    """What a probe found: the number of shards, the seconds, and whose store has all markers."""

    shards: int
    seconds: float
    in_store_of: Collection[str]


class Status(msgspec.Struct, frozen=True):
    """A stack and its consumers, at one moment.

    `quarantined` counts objects. A record that both consumers quarantined has two objects and
    counts once in `quarantined_records`. `quarantined_over_60_days` counts the objects and failure
    documents that S3 got more than 60 days ago. `discarded` counts the failure documents of each
    consumer's event source mapping: batches that it discarded. `late_events` counts the late events
    of the last day.

    `losses`: what a consumer cannot read any more, without those that are acknowledged. `stopped`:
    the consumers that do not read. Where there is any of them, the stores may lack events that
    arrived since `unknown_since`; None: unknown, or nothing is missing.
    `stores` says whether each store answers: nobody has caught up with a store that does not.
    `warnings` are about the stack, one sentence each. `wrong` is what is wrong with the aliases of
    the index or with its mapping. `probe` is what a probe found, if there was one. `replica` is the
    replica of a local stack, if it has one; its consumer then is one of `consumers`.
    `replica_quarantined` counts the objects in its quarantine, which is a bucket of its own.
    `busiest` is the busiest shard of the stream; None if nothing arrived, or nobody counts. `hot`
    has the images with the most records of the last minutes, if they were asked for.
    """

    endpoints: Endpoints
    stream: str
    table: str
    index: str
    bucket: str
    consumers: Mapping[str, Behind]
    quarantined: int
    quarantined_records: int
    quarantined_over_60_days: int
    discarded: Mapping[str, int]
    caught_up: bool
    losses: tuple[Loss, ...]
    stopped: tuple[StoppedConsumer, ...]
    unknown_since: dt.datetime | None
    warnings: Sequence[str] = ()
    wrong: Sequence[str] = ()
    late_events: int = 0
    probe: Probed | None = None
    replica: LocalReplica | None = None
    replica_quarantined: int = 0
    stores: Mapping[str, StoreHealth] = {}
    busiest: BusiestShard | None = None
    hot: Sequence[HotImage] = ()

    @property
    def is_skewed(self) -> bool:
        """Whether one shard has far more records than the others."""
        return self.busiest is not None and self.busiest.is_skewed

    @property
    def exit_code(self) -> int:
        """2: the stores may lack events. 1: a consumer lags, or something is `wrong`. 0: none."""
        if self.losses or self.stopped:
            return 2
        return 0 if self.caught_up and not self.wrong else 1


def status_of(
    stack: Stack,
    consumers: Mapping[str, Behind],
    quarantined: "QuarantineCounts",
    unread: Unread,
    stores: Mapping[str, StoreHealth] = {},
) -> Status:
    """The status, from the backlog of each consumer, what is quarantined and what is not read.

    A consumer whose store does not answer has not caught up, whatever its backlog.

    Args:
        stack: the stack.
        consumers: the backlog of each consumer.
        quarantined: what is in quarantine.
        unread: what the consumers have not read.
        stores: whether each store answers.
    """
    silent = {_STORES[name] for name, store in stores.items() if not store.answers}
    consumers = {
        name: msgspec.structs.replace(one, caught_up=False) if name in silent else one
        for name, one in consumers.items()
    }
    return Status(
        endpoints=stack.endpoints,
        stream=stack.stream,
        table=stack.table,
        index=stack.index,
        bucket=stack.bucket,
        consumers=consumers,
        quarantined=quarantined.objects,
        quarantined_records=quarantined.records,
        quarantined_over_60_days=quarantined.over_60_days,
        discarded=quarantined.discarded,
        caught_up=all(consumer.caught_up for consumer in consumers.values())
        and all(store.answers for store in stores.values()),
        losses=unread.losses,
        stopped=unread.stopped,
        unknown_since=unread.since,
        replica=stack.replica,
        stores=stores,
    )


def local_consumers(
    state: Path, stack: Stack, *, now: float, table: Stream | None = None
) -> dict[str, Behind]:
    """The backlog of each local consumer, in records.

    The source of a consumer is read before its checkpoints, so no record is missed.

    Args:
        state: the stack's folder.
        stack: the stack.
        now: in seconds since 1970.
        table: the table's stream; None if the index is fed from the image stream.
    """
    mappings = feeding(read_mappings(state / "checkpoints.db"), stack)
    checkpoints = {name: mapping.checkpoints for name, mapping in mappings.items()}

    def of_stream(stream: str, name: str) -> Behind:
        behind = backlog(state / "kinesis.db", stream, checkpoints.get(name, {}))
        return Behind(
            backlog_records=behind.records,
            lag_ms=_age(behind.oldest_arrival, now),
            caught_up=behind.records == 0,
        )

    def of_table(stream: Stream, name: str) -> Behind:
        return behind_table(stream, checkpoints.get(name, {}), now)

    by_table = of_stream(stack.stream, TABLE_CONSUMER)
    if table is None:
        by_index = of_stream(stack.stream, INDEX_CONSUMER)
    elif stack.index_from == "DynamoDBStreams":
        by_index = of_table(table, INDEX_CONSUMER)
    else:
        forwarder = of_table(table, FORWARDER)
        by_index = _behind_both(forwarder, of_stream(stack.changes_stream, INDEX_CONSUMER))
    return {TABLE_CONSUMER: by_table, INDEX_CONSUMER: by_index}


def local_replica(state: Path, stack: Stack, table: Stream, *, now: float) -> Behind:
    """The backlog of the consumer that writes the replica. The arguments: see `local_consumers`."""
    mapping = feeding(read_mappings(state / "checkpoints.db"), stack).get(REPLICA_CONSUMER)
    return behind_table(table, mapping.checkpoints if mapping else {}, now)


def _behind_both(first: Behind, second: Behind) -> Behind:
    """The combined backlog of two stages in series."""
    counts = (first.backlog_records, second.backlog_records)
    return Behind(
        backlog_records=None if None in counts else sum(filter(None, counts)),
        lag_ms=max(first.lag_ms or 0, second.lag_ms or 0),
        caught_up=first.caught_up and second.caught_up,
    )


def _age(oldest: int | None, now: float) -> int:
    return 0 if oldest is None else max(0, round(now * 1000) - oldest)


def behind_table(table: Stream, after: Mapping[str, str], now: float) -> Behind:
    """The backlog of a reader of the table's stream; its records cannot be counted.

    Raises:
        UnknownBacklogError: the stream does not answer now.
    """
    arrivals: list[int] = []
    try:
        for shard in table.shards():
            done = after.get(shard.shard_id)
            start = TrimHorizon() if done is None else AfterSequenceNumber(done)
            read = table.reader(shard.shard_id, start).read(1)
            arrivals += [record.arrived_at for record in read.records]
    except (StreamUnavailableError, PositionLostError) as error:
        raise UnknownBacklogError(f"the backlog is unknown: {error}") from error
    return Behind(
        backlog_records=None if arrivals else 0,
        lag_ms=_age(min(arrivals, default=None), now),
        caught_up=not arrivals,
    )


def deployed_consumers(
    mappings: Mapping[str, DeployedMapping], found: Mapping[str, Progress]
) -> dict[str, Behind]:
    """The deployed consumers. One whose event source mapping does not read has not caught up.

    Args:
        mappings: the event source mapping of each consumer.
        found: the progress of those that read.
    """
    return {
        name: Behind(
            None,
            found[name].age,
            caught_up=found[name].caught_up,
            processed_until=dt.datetime.fromtimestamp(found[name].processed_until, dt.UTC),
        )
        if mapping.reads
        else Behind(None, None, caught_up=False, reads=False)
        for name, mapping in mappings.items()
    }


def wait_until[S](
    read: Callable[[], S],
    done: Callable[[S], bool],
    *,
    seconds: float,
    every: float,
    elapsed: Callable[[], float],
    sleep: Callable[[float], None],
) -> S:
    """Call `read` until `done` accepts its result, for at most `seconds`; return the last one."""
    deadline = elapsed() + seconds
    while not done(seen := read()) and elapsed() < deadline:
        sleep(every)
    return seen
