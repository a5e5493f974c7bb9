"""The losses of a local stack: its checkpoints' gaps, and what the stream has removed by now."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from lockstep.stack.stack import Stack
from lockstep.stream import backlog
from lockstep.stream.checkpoints import Gap, MappingProgress, covered, read_mappings
from lockstep.stream.losses import Loss
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER


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
        _loss(mapping, gap)
        for mapping in mappings
        for gap in _gaps(state / "kinesis.db", mapping, mappings, stack, now)
    ]


def _gaps(
    database: Path, mapping: MappingProgress, all_: list[MappingProgress], stack: Stack, now: float
) -> Iterator[Gap]:
    """The gaps that a mapping has stored, and those that it would store if it read on now."""
    stored = {(gap.shard_id, gap.after): gap for gap in mapping.gaps}
    if (name := _kinesis_stream(mapping)) == _source(mapping.function, stack):
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


def _kinesis_stream(mapping: MappingProgress) -> str | None:
    """The name of the Kinesis stream that a mapping reads; None if it reads a table's stream."""
    is_kinesis = ":kinesis:" in mapping.stream_arn
    return mapping.stream_arn.rpartition("/")[2] if is_kinesis else None


def _source(function: str, stack: Stack) -> str:
    """The Kinesis stream that a consumer reads now; empty if it reads none."""
    if function == TABLE_CONSUMER or (function == INDEX_CONSUMER and stack.index_from == "Kinesis"):
        return stack.stream
    reads_changes = stack.index_from == "KinesisDataStreamsForDynamoDB"
    return stack.changes_stream if function == INDEX_CONSUMER and reads_changes else ""


def _loss(mapping: MappingProgress, gap: Gap) -> Loss:
    return Loss(
        consumer=mapping.function,
        since=_moment(gap.since),
        until=_moment(max(gap.since, gap.until)),
        records=gap.records,
        stream=_kinesis_stream(mapping) or mapping.stream_arn,
        shard_id=gap.shard_id,
        after=gap.after,
    )


def _moment(seconds: float) -> dt.datetime:
    """In whole seconds, as people type it."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
