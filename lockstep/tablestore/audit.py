"""The audit of a replica in Table Store: does each row have what its item is?

It is the audit of two stores (`lockstep/audit/`) with other readers and another comparison.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from lockstep.audit.audit import compared
from lockstep.audit.recheck import Difference
from lockstep.console.times import moment
from lockstep.stores.entry import Entry
from lockstep.stores.readers import EntryReader
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from lockstep.tablestore.comparison import ROWS, RowDifferenceKind, RowEntry
from shared.clock import Clock


class RowDifference(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that is not what its item is. `key` is its key as JSON.

    `detail` says why an item cannot be converted, or what is wrong with the row's version.
    `columns` are those that differ. `version` is what the row has as its version. `arrived_at`:
    when the change arrived that wrote the row; None if there is no row, or it does not say.
    """

    key: str
    kind: RowDifferenceKind
    detail: str = ""
    columns: tuple[str, ...] = ()
    version: str = ""
    arrived_at: dt.datetime | None = None


class ReplicaAudit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an audit of a replica.

    `source` counts items, `replica` rows, tombstones included. `values`: whether all columns were
    compared, not only keys and tombstones. `under_way` counts rows that differ, perhaps only
    because the consumer lags. `stopped`: the consumer, if it does not read. `losses`: what it
    cannot read any more, so that rows may have old values; not with `values`, which finds those.
    """

    result: Literal["equal", "different", "unknown"]
    source: int
    replica: int
    differences: dict[str, int]
    seconds: float
    values: bool = msgspec.field(default=False)
    reason: str | None = None
    under_way: int = 0
    losses: tuple[Loss, ...] = ()
    stopped: tuple[StoppedConsumer, ...] = ()
    unknown_since: dt.datetime | None = None

    @property
    def exit_code(self) -> int:
        """0: equal. 1: different. 2: unknown."""
        return {"equal": 0, "different": 1, "unknown": 2}[self.result]

    @property
    def rows(self) -> int:
        """The number of all rows that there are or should be."""
        return max(self.source, self.replica)


def audit_replica(
    source: EntryReader,
    replica: EntryReader,
    *,
    values: bool,
    unread: Callable[[], Unread],
    clock: Clock,
    settled: Callable[[], float],
    watermark: float,
    budget: float = math.inf,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
    on_difference: Callable[[RowDifference], None] = lambda _: None,
) -> ReplicaAudit:
    """Compare a source with its replica completely, in bounded memory.

    Args:
        source: the source.
        replica: the replica.
        values: whether the readers compare values.
        unread: why rows may be old: what the consumer has not read.
        clock: the clock.
        settled: the time up to which the consumer has processed all changes, in seconds since 1970.
        watermark: seconds to wait for that.
        budget: seconds; the result of an audit that takes longer is `unknown`.
        progress: called with a store's name and the number of entries read from it.
        on_difference: called with each proved difference.
    """
    found = compared(
        source,
        replica,
        ROWS,
        clock=clock,
        progress=progress,
        settled=settled,
        watermark=watermark,
        budget=budget,
        on_difference=lambda one: on_difference(row_difference(one)),
    )
    findings, reason = found.findings, found.reason
    if findings.under_way and reason is None:
        reason = (
            f"{findings.under_way:,} rows differ, but the consumer may still correct them: within "
            f"{watermark:g} s, it was not seen to have processed all changes; audit again later"
        )
    why = unread()
    losses = () if values else why.losses
    result: Literal["equal", "different", "unknown"]
    if reason is not None:
        result = "unknown"
    elif findings.found:
        result = "different"
    else:
        result = "unknown" if losses or why.stopped else "equal"
    return ReplicaAudit(
        result=result,
        source=findings.counts[ROWS.record],
        replica=findings.counts[ROWS.replica],
        differences=dict(sorted(findings.found.items())),
        seconds=round(found.seconds, 3),
        values=values,
        reason=reason,
        under_way=findings.under_way,
        losses=losses,
        stopped=why.stopped,
        unknown_since=Unread(losses, why.stopped).since,
    )


def row_difference(found: Difference) -> RowDifference:
    """A difference, as a report tells it."""
    detail = ""
    for entry in (found.record, found.replica):
        if entry is not None and entry.malformed is not None:
            detail = entry.malformed
            break
    return RowDifference(
        key=found.image_id,
        kind=msgspec.convert(found.kind, RowDifferenceKind),
        detail=detail,
        columns=_differing(_columns(found.record), _columns(found.replica))
        if found.kind == "other_values"
        else (),
        version=found.replica.row_version if isinstance(found.replica, RowEntry) else "",
        arrived_at=moment(found.replica.arrived_at)
        if found.replica is not None and found.replica.arrived_at
        else None,
    )


def _columns(entry: Entry | None) -> Mapping[str, str]:
    return (entry.columns if isinstance(entry, RowEntry) else None) or {}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {**one, **other} if one.get(name) != other.get(name)))
