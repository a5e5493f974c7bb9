"""Delivery of rows: the rules for every store, in `shared/batch.py`, and the fold of rows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, override

from functions.write_to_tablestore.changes import record_in
from functions.write_to_tablestore.rows import RowChange
from shared.batch import BatchOf, Delivery, need_time
from shared.clock import Clock
from shared.fold import CandidateOf, fold_by
from shared.quarantine import Quarantine
from shared.record import Record
from shared.sink import SinkOf


def deliver_rows(
    records: Iterable[Mapping[str, Any]],
    *,
    to: SinkOf[RowChange],
    quarantine: Quarantine,
    function: str,
    clock: Clock,
    remaining: Callable[[], float],
    change_in: Callable[[Record], RowChange],
) -> Delivery:
    """Write the highest version of each row in a batch to Table Store.

    Args:
        records: the `Records` of an invocation, of one shard.
        to: the store.
        quarantine: where to store records that can never be applied.
        function: this consumer's name in the quarantine.
        clock: time and random numbers.
        remaining: seconds until Lambda ends this invocation.
        change_in: reads the change in a record.

    Raises:
        MisconfiguredError: the deployment is broken; no record may be acknowledged.
    """
    need_time(to, quarantine, remaining)
    read = [record_in(one) for one in records]
    batch = _RowBatch(read, to, quarantine, function, clock, remaining=remaining)
    return batch.deliver(fold_rows(batch.decode(change_in)))


def fold_rows(
    changes: Iterable[tuple[RowChange, Record]],
) -> dict[str, list[CandidateOf[RowChange]]]:
    """Sort the candidates of each row: highest version first.

    Records with the same version are the same record, delivered twice.
    """
    return {
        row: candidates[::-1]
        for row, candidates in fold_by(
            changes,
            key=lambda change: change.id,
            same=lambda change: change.version,
            order=lambda candidate: candidate.change.version,
        ).items()
    }


class _RowBatch(BatchOf[RowChange]):
    """A batch of changes of rows."""

    @override
    def _seconds_of(self, change: RowChange) -> float:
        return change.at / 1000
