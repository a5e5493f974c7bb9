"""The event source mappings of a local stack: which feed the stores, and what they did not read.

A gap is in the checkpoints when its mapping has read on, and visible in the stream's file before.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

from lockstep.stack.stack import FORWARDER, REPLICA_CONSUMER, STACK, Stack
from lockstep.stream import backlog
from lockstep.stream.checkpoints import Gap, MappingProgress, covered, read_mappings
from lockstep.stream.gaps import loss_of
from lockstep.stream.losses import NOT_RUNNING, Loss, StoppedConsumer
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

# Three times as long as a mapping needs to say that it reads.
SILENT_SECONDS = 180.0


def local_losses(state: Path, stack: Stack, *, now: float) -> list[Loss]:
    """What the consumers have not read and cannot read any more, acknowledged or not.

    Args:
        state: the stack's folder.
        stack: the stack.
        now: in seconds since 1970.

    Raises:
        CheckpointsError: the checkpoints cannot be read.
        UnknownBacklogError: the stream's file cannot be read.
    """
    mappings = read_mappings(state / "checkpoints.db")
    return [
        loss_of(gap, consumer=mapping.function, stream=_stream_of(mapping))
        for mapping in mappings
        for gap in _gaps(state / "kinesis.db", mapping, mappings, stack, now)
    ]


def stopped_consumers(state: Path, stack: Stack, *, now: float) -> tuple[StoppedConsumer, ...]:
    """The consumers whose event source mapping has not read for some minutes.

    A mapping says once a minute that it reads. A stack that was just started has time for that.

    Args:
        state: the stack's folder.
        stack: the stack.
        now: in seconds since 1970.

    Raises:
        CheckpointsError: the checkpoints cannot be read.
    """
    started_at = (state / STACK).stat().st_mtime
    return tuple(
        StoppedConsumer(name, NOT_RUNNING, _moment(mapping.seen_at))
        for name, mapping in feeding(read_mappings(state / "checkpoints.db"), stack).items()
        if now - max(mapping.seen_at, started_at) > SILENT_SECONDS
    )


def feeding(mappings: Iterable[MappingProgress], stack: Stack) -> dict[str, MappingProgress]:
    """The mapping of each function that feeds the stores or the replica, of all that ever did."""
    table = f":table/{stack.table}/stream/"
    sources = {TABLE_CONSUMER: f":stream/{stack.stream}"}
    if stack.replica is not None:
        sources[REPLICA_CONSUMER] = table
    match stack.index_from:
        case "Kinesis":
            sources[INDEX_CONSUMER] = f":stream/{stack.stream}"
        case "DynamoDBStreams":
            sources[INDEX_CONSUMER] = table
        case "KinesisDataStreamsForDynamoDB":
            sources |= {FORWARDER: table, INDEX_CONSUMER: f":stream/{stack.changes_stream}"}
    # A table that was created again has another stream: the last one counts.
    return {
        mapping.function: mapping
        for mapping in sorted(mappings, key=lambda one: one.created_at)
        if (source := sources.get(mapping.function))
        and (mapping.stream_arn.endswith(source) or (source == table in mapping.stream_arn))
    }


def _gaps(
    database: Path, mapping: MappingProgress, all_: list[MappingProgress], stack: Stack, now: float
) -> Iterator[Gap]:
    """The gaps that a mapping has stored, and those that it would store if it read on now."""
    stored = {(gap.shard_id, gap.after): gap for gap in mapping.gaps}
    name = _kinesis_stream(mapping)
    if name is not None and feeding(all_, stack).get(mapping.function) == mapping:
        others = [
            (other.created_at, other.seen_at)
            for other in all_
            if other.function == mapping.function and other.uuid != mapping.uuid
        ]
        # The checkpoints were read before the stream: a record that was settled is no gap.
        for gap in backlog.gaps(database, name, mapping.checkpoints, now=now):
            known = stored.get((gap.shard_id, gap.after))
            if (known is None or (known.records or 0) < (gap.records or 0)) and not covered(
                gap, mapping.stopped_at, others
            ):
                stored[gap.shard_id, gap.after] = gap
    yield from stored.values()


def _stream_of(mapping: MappingProgress) -> str:
    """The name of the Kinesis stream that a mapping reads, or the ARN of a table's stream."""
    return _kinesis_stream(mapping) or mapping.stream_arn


def _kinesis_stream(mapping: MappingProgress) -> str | None:
    """The name of the Kinesis stream that a mapping reads; None if it reads a table's stream."""
    is_kinesis = ":kinesis:" in mapping.stream_arn
    return mapping.stream_arn.rpartition("/")[2] if is_kinesis else None


def _moment(seconds: float) -> dt.datetime:
    """In whole seconds, as people type it."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
