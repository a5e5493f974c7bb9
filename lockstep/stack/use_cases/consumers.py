"""The progress of a stack's consumers: the status now, and waiting until they have caught up."""

import datetime as dt
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from functions.write_to_es.index import IndexCheck
from lockstep import quarantine
from lockstep.stack.clients import Clients
from lockstep.stack.deployed import DeployedMapping, Metric, incoming_records, polled_events
from lockstep.stack.late_events import deployed_late_events, local_late_events
from lockstep.stack.probe import Probe
from lockstep.stack.progress import deployed_progress
from lockstep.stack.stack import REPLICA_CONSUMER, Stack, read_local
from lockstep.stack.status import (
    Behind,
    Status,
    deployed_consumers,
    local_consumers,
    local_replica,
    status_of,
    wait_until,
)
from lockstep.stack.use_cases.aliases import checked_index, empty_index
from lockstep.stack.use_cases.losses import deployed_mappings, image_stream, unread
from lockstep.stack.use_cases.protection import protection_warnings
from lockstep.stack.use_cases.retention import retention_warnings
from lockstep.stack.use_cases.store_health import store_health
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.checkpoints import CheckpointsError
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.table import NoTableStreamError, TableStream, latest_stream
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from shared.sink import SinkError


def status(clients: Clients) -> Status:
    """The stack and the backlog of each consumer, now."""
    return _status(clients, all_consumers(clients))


def wait(
    clients: Clients,
    seconds: float,
    *,
    probes: bool = False,
    on_look: Callable[[Mapping[str, Behind]], None] = lambda _: None,
) -> Status:
    """The status when all consumers have caught up, or after this number of seconds.

    When they have caught up, a search finds everything that was put before the call. AWS shows
    that some minutes later (`METRICS_DELAY`).

    Args:
        clients: the stack's.
        seconds: how long to wait.
        probes: put markers on the stream. They show it at once, if the consumer reads the image
            stream, one batch of a shard at a time.
        on_look: gets the backlog of the consumers that are waited for, at each look.

    Raises:
        ProbeError: the markers cannot be put.
        StoreUnreadableError: a store could not be read for the markers.
    """
    started = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    ends = clients.clock.elapsed() + seconds
    deployed = clients.stack.state is None
    probed = _probe(clients).run(seconds, 2.0 if deployed else 0.2) if probes else None
    shown = set() if probed is None else {*probed.in_store_of} & _shown_by_markers(clients)

    def done(found: Mapping[str, Behind]) -> bool:
        left = {
            name: one
            for name, one in found.items()
            if name not in shown and not _has_processed(one, started)
        }
        on_look(left)
        return not left

    seen = wait_until(
        lambda: all_consumers(clients),
        done,
        seconds=max(0.0, ends - clients.clock.elapsed()),
        every=10 if deployed else 0.2,
        elapsed=clients.clock.elapsed,
        sleep=clients.clock.sleep,
    )
    wait_until(
        lambda: store_health(clients),
        lambda stores: all(one.answers for one in stores.values()),
        seconds=max(0.0, ends - clients.clock.elapsed()),
        every=10 if deployed else 0.2,
        elapsed=clients.clock.elapsed,
        sleep=clients.clock.sleep,
    )
    if probed is not None:
        of_stores = {
            name: msgspec.structs.replace(
                one,
                caught_up=name in shown or (one.caught_up and name in probed.in_store_of),
                processed_until=started if name in shown else one.processed_until,
            )
            for name, one in seen.items()
            if name != REPLICA_CONSUMER
        }
        seen = {**seen, **of_stores}
    found = msgspec.structs.replace(_status(clients, seen), probe=probed)
    if found.caught_up and not found.wrong:
        clients.opensearch.indices.refresh(index=clients.stack.index)
    return found


def _probe(clients: Clients) -> Probe:
    stream = clients.stack.stream
    return Probe(
        clients.kinesis,
        stream,
        shards=KinesisStream(clients.kinesis, stream).open_shards,
        stores={TABLE_CONSUMER: table_reader(clients), INDEX_CONSUMER: index_reader(clients)},
        clock=clients.clock,
    )


def _shown_by_markers(clients: Clients) -> set[str]:
    """The consumers of which markers show that they have processed what came before."""
    stack = clients.stack
    reading = {TABLE_CONSUMER} | ({INDEX_CONSUMER} if stack.index_from == "Kinesis" else set())
    if stack.state is not None:
        return reading
    mappings = deployed_mappings(clients)
    return {name for name in reading if mappings[name].reads and mappings[name].lanes == 1}


def _has_processed(consumer: Behind, started: dt.datetime) -> bool:
    """Whether it has caught up with all that arrived before this time."""
    until = consumer.processed_until
    return consumer.caught_up and (until is None or until >= started)


def settled_until(clients: Clients, watermark: float) -> float:
    """The time, in seconds since 1970, up to which both consumers have processed all arrivals.

    Where the backlog is unknown, it is the time `watermark` seconds ago.
    """
    now = clients.clock.now()
    try:
        seen = consumers(clients)
    except (UnknownBacklogError, CheckpointsError):
        return now - watermark
    settled = _settled(clients, seen.values(), now)
    return now - watermark if settled is None else settled


def written_until(clients: Clients) -> float:
    """The time, in seconds since 1970, up to which no consumer writes arrivals any more.

    A consumer that does not read writes nothing. Where the backlog is unknown, it is never.
    """
    now = clients.clock.now()
    try:
        seen = consumers(clients)
    except (UnknownBacklogError, CheckpointsError):
        return -math.inf
    settled = _settled(clients, [one for one in seen.values() if one.reads], now)
    return -math.inf if settled is None else settled


def table_settled_until(clients: Clients) -> float:
    """The time, in seconds since 1970, up to which the table's consumer has processed all arrivals.

    Minus infinity if it is unknown.

    Raises:
        UnknownBacklogError: the stream of a deployed stack does not answer.
    """
    now = clients.clock.now()
    try:
        seen = consumers(clients)
    except (UnknownBacklogError, CheckpointsError):
        if clients.stack.state is None:
            raise
        return -math.inf
    settled = _settled(clients, [seen[TABLE_CONSUMER]], now)
    return -math.inf if settled is None else settled


def _settled(clients: Clients, seen: Collection[Behind], now: float) -> float | None:
    """The time up to which these consumers have processed all arrivals; None if it is unknown."""
    if clients.stack.state is None:
        until = [one.processed_until for one in seen]
        known = [one.timestamp() for one in until if one is not None]
        return min(known, default=now) if len(known) == len(until) else None
    ages = [one.lag_ms / 1000 for one in seen if one.lag_ms is not None]
    if len(ages) < len(seen):
        return None
    # Other records of the same millisecond may be unprocessed, too.
    return now - max(ages, default=0.0) - 0.001


def consumers(clients: Clients) -> Mapping[str, Behind]:
    """The backlog of each consumer that feeds the table or the index.

    Raises:
        UnknownBacklogError: it cannot be determined now.
        CheckpointsError: the local stack's checkpoints cannot be read.
    """
    stack = clients.stack
    if stack.state is None:
        mappings = deployed_mappings(clients)
        found = deployed_progress(
            clients.cloudwatch,
            mappings,
            arrivals_for(stack, mappings),
            retention=image_stream(clients).retention,
            now=dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC),
        )
        return deployed_consumers(mappings, found)
    state = Path(stack.state)
    read_local(state)  # raises if the stack has stopped: it would never catch up
    table = None if stack.index_from == "Kinesis" else table_stream(clients)
    return local_consumers(state, stack, now=clients.clock.now(), table=table)


def all_consumers(clients: Clients) -> Mapping[str, Behind]:
    """The backlog of each consumer, also of that of the replica.

    Raises:
        UnknownBacklogError: it cannot be determined now.
        CheckpointsError: the local stack's checkpoints cannot be read.
    """
    stack, found = clients.stack, consumers(clients)
    if stack.state is None or stack.replica is None:
        return found
    now = clients.clock.now()
    behind = local_replica(Path(stack.state), stack, table_stream(clients), now=now)
    return {**found, REPLICA_CONSUMER: behind}


def table_stream(clients: Clients) -> TableStream:
    """The stream of a stack's table.

    Raises:
        UnknownBacklogError: there is none.
    """
    stack = clients.stack
    try:
        arn = latest_stream(clients.dynamodb, stack.table)
    except NoTableStreamError as error:
        raise UnknownBacklogError(str(error)) from error
    return TableStream(clients.dynamodbstreams, arn, stack.region)


def arrivals_for(stack: Stack, mappings: Mapping[str, DeployedMapping]) -> Mapping[str, Metric]:
    """How many records arrived for each deployed consumer."""
    images = incoming_records(stack.stream)
    match stack.index_from:
        case "Kinesis":
            by_index = images
        case "KinesisDataStreamsForDynamoDB":
            by_index = incoming_records(stack.changes_stream)
        case "DynamoDBStreams":
            # A table's stream has no such metric; the mapping tells what it has read.
            by_index = polled_events(mappings[INDEX_CONSUMER].uuid or "")
    return {TABLE_CONSUMER: images, INDEX_CONSUMER: by_index}


def _status(clients: Clients, seen: Mapping[str, Behind]) -> Status:
    stack = clients.stack
    objects = BucketObjects(clients.s3, stack.bucket)
    now = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    counts = quarantine.count(objects, stack.table_mapping, now)
    stores = store_health(clients)
    found = status_of(stack, seen, counts, unread(clients), stores)
    if stack.replica is not None:
        of_replica = quarantine.count(BucketObjects(clients.s3, stack.replica.bucket), "", now)
        discarded = sum(of_replica.discarded.values())
        found = msgspec.structs.replace(
            found,
            discarded={**found.discarded, REPLICA_CONSUMER: discarded},
            replica_quarantined=of_replica.objects,
        )
    done = all(one.caught_up for name, one in seen.items() if name != REPLICA_CONSUMER)
    # What does not answer is told once.
    index = IndexCheck(())
    if stores["index"].answers:
        index = _checked_index(clients, caught_up=done and stores["table"].answers)
    return msgspec.structs.replace(
        found,
        warnings=[*retention_warnings(clients), *protection_warnings(clients), *index.warnings],
        wrong=index.problems,
        late_events=_late_events(clients),
    )


def _checked_index(clients: Clients, *, caught_up: bool) -> IndexCheck:
    """What is wrong with the aliases and the index behind them, one line each."""
    try:
        found = checked_index(clients)
    except SinkError as error:
        return IndexCheck((f"the aliases of the index could not be read: {error}",))
    if found.problems or not caught_up:
        return found
    try:
        empty = empty_index(clients)
    except StoreUnreadableError as error:
        empty = [f"a store could not be read: {error}"]
    return msgspec.structs.replace(found, problems=tuple(empty))


def _late_events(clients: Clients) -> int:
    stack, now = clients.stack, clients.clock.now()
    if stack.metrics_namespace is not None:
        return deployed_late_events(clients.cloudwatch, stack.metrics_namespace, now)
    return 0 if stack.state is None else local_late_events(Path(stack.state), now)
