"""What a stack's consumers have not read and cannot read any more, and its acknowledgement."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from lockstep.audit.acknowledgements import (
    acknowledgement_of,
    read_acknowledgements,
    write_acknowledgement,
)
from lockstep.stack import deployed
from lockstep.stack.clients import Clients
from lockstep.stack.deployed import DeployedMapping
from lockstep.stack.local_losses import local_losses, stopped_consumers
from lockstep.stores.objects import BucketObjects
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.kinesis import KinesisStream, StreamSummary
from lockstep.stream.losses import (
    Acknowledgement,
    Loss,
    StoppedConsumer,
    Unread,
    unacknowledged,
)
from lockstep.stream.stream import StreamUnavailableError
from lockstep.stream.table import RETENTION_SECONDS
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER


def unread(clients: Clients) -> Unread:
    """Why the stores may lack events: losses that are not acknowledged, and stopped consumers.

    Includes the consumer of the replica.

    Raises:
        AcknowledgementError: an acknowledgement in the bucket is damaged.
        CheckpointsError: the local stack's checkpoints cannot be read.
        UnknownBacklogError: the local stack's stream cannot be read.
    """
    losses, stopped = _losses(clients)
    bucket = BucketObjects(clients.s3, clients.stack.bucket)
    acknowledged = read_acknowledgements(bucket) if losses else []
    return Unread(unacknowledged(losses, acknowledged), stopped)


def acknowledge(clients: Clients, since: dt.datetime, reason: str) -> Acknowledgement:
    """Store that an operator has dealt with the present losses: they make no audit unknown again.

    Args:
        clients: the stack's.
        since: the time that status and audit print. Another time is refused: then the operator has
            not seen the present losses.
        reason: what was done.

    Raises:
        AcknowledgementError: there is no loss, or the stores may lack events since another time.
    """
    now = dt.datetime.fromtimestamp(clients.clock.now(), dt.UTC)
    made = acknowledgement_of(unread(clients), since, reason, now=now)
    write_acknowledgement(BucketObjects(clients.s3, clients.stack.bucket), made)
    return made


def deployed_mappings(clients: Clients) -> dict[str, DeployedMapping]:
    """The event source mapping of each consumer of a deployed stack."""
    stack = clients.stack
    match stack.index_from:
        case "Kinesis":
            index_source = f":stream/{stack.stream}/"
        case "DynamoDBStreams":
            index_source = f":table/{stack.table}/stream/"
        case "KinesisDataStreamsForDynamoDB":
            index_source = f":stream/{stack.changes_stream}/"
    sources = {TABLE_CONSUMER: f":stream/{stack.stream}/", INDEX_CONSUMER: index_source}
    return {
        name: deployed.read_mapping(clients.lambda_, function, sources[name])
        for name, function in stack.functions.items()
    }


def image_stream(clients: Clients) -> StreamSummary:
    """The image stream: its retention and its creation.

    Raises:
        UnknownBacklogError: the stream is unavailable.
    """
    try:
        return KinesisStream(clients.kinesis, clients.stack.stream).summary()
    except StreamUnavailableError as error:
        raise UnknownBacklogError(f"the backlog is unknown: {error}") from error


def _losses(clients: Clients) -> tuple[list[Loss], tuple[StoppedConsumer, ...]]:
    stack, now = clients.stack, clients.clock.now()
    if stack.state is not None:
        state = Path(stack.state)
        return local_losses(state, stack, now=now), stopped_consumers(state, stack, now=now)
    mappings = deployed_mappings(clients)
    return list(_deployed_losses(clients, mappings, now)), deployed.stopped(mappings)


def _deployed_losses(
    clients: Clients, mappings: dict[str, DeployedMapping], now: float
) -> Iterator[Loss]:
    """The losses that the metrics of a deployed stack show.

    If the index is fed from the table's changes, they come when records of the image stream come.
    """
    stream = image_stream(clients)
    window = deployed.history(stream.created_at, now)
    if window.end <= window.start:  # CloudWatch refuses an empty window
        return
    incoming = deployed.incoming_records(clients.stack.stream)
    ages = {name: deployed.iterator_age(one.function) for name, one in mappings.items()}
    polled = {name: deployed.polled_events(one.uuid or "") for name, one in mappings.items()}
    wanted = [incoming, *ages.values(), *(one for one in polled.values() if one.value)]
    series = deployed.read_series(clients.cloudwatch, wanted, window)
    for name in mappings:
        of_table = name == INDEX_CONSUMER and clients.stack.index_from == "DynamoDBStreams"
        yield from deployed.metric_losses(
            name,
            polled=series.get(polled[name], {}),
            ages=series[ages[name]],
            incoming=series[incoming],
            retention=RETENTION_SECONDS if of_table else stream.retention,
            window=window,
        )
