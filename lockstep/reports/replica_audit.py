"""The report of an audit of a replica in Table Store: what it says."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockstep.console.text import counted
from lockstep.reports.content import (
    AuditedWith,
    AuditInWords,
    Examples,
    NamedDetail,
    PlanInWords,
    PlannedKind,
    Quarantined,
    RepairInWords,
    ReportContent,
    ReportWords,
)
from lockstep.reports.gathering import GatheredKinds
from lockstep.reports.row_words import ROW_ACTIONS, ROW_KINDS
from lockstep.tablestore.audit import ReplicaAudit, RowDifference
from lockstep.tablestore.repairing import RepairedRows, RowPlan
from shared.rfc3339 import rfc3339

ROWS: Final = ReportWords(
    one="row",
    many="rows",
    stores=("source", "replica"),
    meanings=dict[str, str](ROW_KINDS.items()),
    arrival="By the arrival of the change that wrote the row.",
    no_arrival="there is no row, or it does not say when its change arrived",
    changed="changed",
    lost=(
        "The stream removed these changes before the consumer read them, so rows may have old "
        "values. An audit with `--values` finds those."
    ),
    command="lockstep tablestore audit --html",
    contains="keys and columns of rows",
)


def replica_report(
    how: AuditedWith,
    found: ReplicaAudit,
    gathered: GatheredKinds[RowDifference],
    *,
    examples: Examples,
    plan: RowPlan | None,
    todo: Sequence[str] = (),
) -> ReportContent:
    """The report of an audit of a replica.

    Args:
        how: how the audit was made.
        found: its result.
        gathered: what its differences are.
        examples: some of them.
        plan: what a repair would do.
        todo: what can be done next.
    """
    return ReportContent(
        words=ROWS,
        how=how,
        audit=verdict(found),
        differences=found.differences,
        explained={},
        ahead={},
        losses=found.losses,
        stopped=found.stopped,
        examples=examples,
        over_time=gathered.over_time,
        quarantined=Quarantined(),
        plan=None if plan is None else _plan(plan),
        todo=todo,
    )


def with_repair(
    content: ReportContent, done: RepairedRows, after: ReplicaAudit, todo: Sequence[str]
) -> ReportContent:
    """The report with what a repair did.

    Args:
        content: the report before it.
        done: what the repair did.
        after: the audit after it.
        todo: what can be done next.
    """
    was = "was" if done.changed == 1 else "were"
    ended = "" if done.error is None else f" The repair did not come to its end: {done.error}."
    repaired = RepairInWords(
        f"{counted(done.changed, 'row')} {was} changed; {done.equal:,} had become equal before."
        f"{ended}",
        {"not repaired": [NamedDetail(one.key, one.detail) for one in done.not_repaired]},
        verdict(after),
    )
    return msgspec.structs.replace(content, repaired=repaired, todo=todo)


def verdict(audit: ReplicaAudit) -> AuditInWords:
    """The result of an audit in words."""
    count = sum(audit.differences.values())
    heading = {
        "equal": "The source and the replica are equal",
        "different": f"{counted(count, 'row')} differ{'s' if count == 1 else ''}",
        "unknown": "It is unknown whether the source and the replica are equal",
    }[audit.result]
    entries = {"source": audit.source, "replica": audit.replica}
    return AuditInWords(audit.result, heading, list(_sentences(audit)), entries, audit.seconds)


def _sentences(audit: ReplicaAudit) -> Iterator[str]:
    if audit.reason is None:
        yield f"The audit compared all entries: {audit.rows:,}."
    else:
        yield f"The comparison is not complete: {audit.reason}."
    if audit.unknown_since is not None:
        since = rfc3339(audit.unknown_since, "seconds")
        yield f"Rows may be old since {since}: see the losses below."


def _plan(plan: RowPlan) -> PlanInWords:
    return PlanInWords(
        plan.changes,
        plan.rows,
        plan.percent,
        [
            PlannedKind(one.kind, ROW_ACTIONS[one.action], one.rows, NamedDetail(one.example))
            for one in plan.planned
        ],
    )
