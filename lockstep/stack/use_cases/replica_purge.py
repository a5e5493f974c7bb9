"""The purge of a replica in Table Store."""

from collections.abc import Callable

from functions.write_to_tablestore.purge import (
    ROWS_PER_DELETE,
    MalformedTombstone,
    PurgedTombstones,
    TombstonePurge,
)
from lockstep.stack.replica import ReplicaStack
from shared.clock import Clock
from shared.pace import Pace


def replica_purge(
    replica: ReplicaStack,
    clock: Clock,
    *,
    rate: float | None,
    write_rate: float | None,
    applies: bool,
    on_malformed: Callable[[MalformedTombstone], None],
    on_step: Callable[[PurgedTombstones], None],
) -> TombstonePurge:
    """The purge of a replica.

    Args:
        replica: what its stack says.
        clock: time.
        rate: at most so many read units of Table Store a second.
        write_rate: at most so many rows a second.
        applies: whether tombstones are deleted.
        on_malformed: see `TombstonePurge`.
        on_step: see `TombstonePurge`.
    """
    from functions.write_to_tablestore.connect import (  # noqa: PLC0415 - of an extra
        REQUEST_SECONDS,
        connect,
    )
    from functions.write_to_tablestore.tombstones import Tombstones  # noqa: PLC0415

    its = replica.settings
    return TombstonePurge(
        Tombstones(
            connect(its, replica.credentials, REQUEST_SECONDS),
            its.table,
            its.conversion.key_columns,
        ),
        clock,
        applies=applies,
        reads=None if rate is None else Pace(rate, clock),
        writes=None if write_rate is None else Pace(write_rate, clock),
        rows_at_once=ROWS_PER_DELETE if write_rate is None else int(write_rate),
        on_malformed=on_malformed,
        on_step=on_step,
    )
