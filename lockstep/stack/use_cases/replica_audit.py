"""The audit of a replica in Table Store, and how far its consumer is."""

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from lockstep.audit.audit import WATERMARK
from lockstep.stack import deployed
from lockstep.stack.clients import Clients, ReplicaClients
from lockstep.stack.local_losses import local_losses, stopped_consumers
from lockstep.stack.progress import deployed_progress
from lockstep.stack.replica import ReplicaStack, key_types_of, replica_rows
from lockstep.stack.stack import REPLICA_CONSUMER, read_local
from lockstep.stack.status import local_replica
from lockstep.stack.use_cases.consumers import table_stream
from lockstep.stores.items import TableItems
from lockstep.stores.segments import TableSegments
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.checkpoints import CheckpointsError
from lockstep.stream.losses import Unread, unacknowledged
from lockstep.stream.table import RETENTION_SECONDS
from lockstep.tablestore.audit import ReplicaAudit, RowDifference, audit_replica
from lockstep.tablestore.readers import ReplicaReader, SourceReader
from shared.pace import ITEMS_PER_PACED_PAGE, Pace

# AWS shows some minutes later what a consumer has processed (`METRICS_DELAY`).
DEPLOYED_WATERMARK: Final = 600.0
# A change is in the stream of its table after this time.
_STREAM_SECONDS: Final = 2.0
# A page of Table Store has at most so many rows.
_ROWS_PER_PAGE: Final = 5000


class ReplicaAuditOptions(msgspec.Struct, frozen=True):
    """How to audit a replica.

    `values`: compare all columns. `rate`: read units of the source a second, at most. `row_rate`:
    rows a second, at most. `within`: seconds, at most. `watermark`: seconds to wait for the
    consumer; None: as long as it usually takes to know how far it is.
    """

    values: bool = False
    rate: float | None = None
    row_rate: float | None = None
    within: float = math.inf
    watermark: float | None = None


def replica_audit(
    clients: Clients | ReplicaClients,
    replica: ReplicaStack,
    options: ReplicaAuditOptions = ReplicaAuditOptions(),  # noqa: B008 - frozen
    *,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
    on_difference: Callable[[RowDifference], None] = lambda _: None,
) -> ReplicaAudit:
    """Compare a replica with its source; see `audit_replica`.

    Raises:
        ReadsNotYetError: the source has another stream than the consumer reads.
        MisconfiguredError: the settings, or the table in Table Store, are not right.
    """
    keys, conversion = key_types_of(clients, replica), replica.settings.conversion
    rate, row_rate, values = options.rate, options.row_rate, options.values
    reads = None if rate is None else Pace(rate, clients.clock)
    watermark = options.watermark
    if watermark is None:
        watermark = WATERMARK if isinstance(clients, Clients) else DEPLOYED_WATERMARK
    return audit_replica(
        SourceReader(
            TableSegments(
                clients.dynamodb,
                replica.table,
                1,
                None if rate is None else ITEMS_PER_PACED_PAGE,
                only=() if values else [*keys],
            ),
            TableItems(clients.dynamodb, replica.table, reads),
            conversion=conversion,
            values=values,
            pace=reads,
        ),
        ReplicaReader(
            replica_rows(replica),
            label=replica.version_label,
            values=values,
            clock=clients.clock,
            pace=None if row_rate is None else Pace(row_rate, clients.clock),
            page_size=None if row_rate is None else min(_ROWS_PER_PAGE, int(row_rate)),
        ),
        values=values,
        unread=lambda: replica_unread(clients, replica),
        clock=clients.clock,
        settled=lambda: replica_settled_until(clients, replica),
        watermark=watermark,
        budget=options.within,
        progress=progress,
        on_difference=on_difference,
    )


def replica_settled_until(clients: Clients | ReplicaClients, replica: ReplicaStack) -> float:
    """The time, in seconds since 1970, up to which the consumer has processed all changes.

    Where that is unknown, or the consumer does not read, it is never.
    """
    now = clients.clock.now()
    if isinstance(clients, Clients):
        state = Path(clients.stack.state or "")
        read_local(state)  # raises if the stack has stopped: the consumer would never catch up
        try:
            behind = local_replica(state, clients.stack, table_stream(clients), now=now)
        except (UnknownBacklogError, CheckpointsError):
            return -math.inf
        return now - (behind.lag_ms or 0) / 1000 - _STREAM_SECONDS
    mapping = _mapping(clients, replica)
    if not mapping.reads:
        return -math.inf
    found = deployed_progress(
        clients.cloudwatch,
        {REPLICA_CONSUMER: mapping},
        # A table's stream has no metric of what arrives; the mapping tells what it has read.
        {REPLICA_CONSUMER: deployed.polled_events(mapping.uuid or "")},
        retention=RETENTION_SECONDS,
        now=dt.datetime.fromtimestamp(now, dt.UTC),
    )
    return found[REPLICA_CONSUMER].processed_until


def replica_unread(clients: Clients | ReplicaClients, replica: ReplicaStack) -> Unread:
    """Why rows may be old: changes that the consumer cannot read any more, or that it has stopped.

    Raises:
        CheckpointsError: the local stack's checkpoints cannot be read.
    """
    now = clients.clock.now()
    if isinstance(clients, Clients):
        stack = clients.stack
        state = Path(stack.state or "")
        losses = local_losses(state, stack, now=now)
        stopped = stopped_consumers(state, stack, now=now)
        return Unread(
            unacknowledged((one for one in losses if one.consumer == REPLICA_CONSUMER), ()),
            tuple(one for one in stopped if one.consumer == REPLICA_CONSUMER),
        )
    mapping = _mapping(clients, replica)
    created = dt.datetime.fromisoformat(replica.label).replace(tzinfo=dt.UTC)
    window = deployed.history(created.timestamp(), now)
    if window.end <= window.start:  # CloudWatch refuses an empty window
        return Unread((), deployed.stopped({REPLICA_CONSUMER: mapping}))
    ages = deployed.iterator_age(replica.function)
    polled = deployed.polled_events(mapping.uuid or "")
    writes = deployed.consumed_writes(replica.table)
    wanted = [one for one in (ages, polled, writes) if one.value]
    series = deployed.read_series(clients.cloudwatch, wanted, window)
    losses = deployed.metric_losses(
        REPLICA_CONSUMER,
        polled=series.get(polled, {}),
        ages=series[ages],
        incoming=series[writes],
        retention=RETENTION_SECONDS,
        window=window,
    )
    return Unread(tuple(losses), deployed.stopped({REPLICA_CONSUMER: mapping}))


def _mapping(clients: ReplicaClients, replica: ReplicaStack) -> deployed.DeployedMapping:
    source = f":table/{replica.table}/stream/{replica.label}/"
    return deployed.read_mapping(clients.lambda_, replica.function, source)
