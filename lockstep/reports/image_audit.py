"""The report of an audit of images: what it says."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.recheck import EXPLAINED
from lockstep.console.text import counted
from lockstep.repair.repair import Example, Repaired, RepairPlan
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
from lockstep.reports.gathering import Gathering
from lockstep.reports.words import ACTIONS, AHEAD, KINDS
from shared.rfc3339 import rfc3339

IMAGES: Final = ReportWords(
    one="image",
    many="images",
    stores=("table", "index"),
    meanings=dict[str, str](KINDS.items()),
    arrival="By the newest arrival that the two entries of an image state.",
    no_arrival="no entry states an arrival that is possible",
    changed="written",
    lost=(
        "The stream removed these records before a consumer read them. If both consumers lost "
        "them, both stores agree and lack them."
    ),
    command="lockstep audit --html",
    contains="ids and fields of images",
)


def compared(audit: Audit, *, values: bool, since: dt.datetime | None) -> str:
    """What an audit compared, in words; `values` and `since` as its options."""
    fields = "all fields" if values else "version, digest and deletion"
    arrived = f", of images that arrived since {rfc3339(since, 'seconds')}" if since else ""
    return f"{fields}{arrived}{', of a random sample' if audit.sample else ''}"


def image_report(
    how: AuditedWith,
    found: Audit,
    gathered: Gathering,
    *,
    examples: Examples,
    quarantined: Quarantined,
    plan: RepairPlan | None,
    todo: Sequence[str] = (),
) -> ReportContent:
    """The report of an audit.

    Args:
        how: how the audit was made.
        found: its result.
        gathered: what its differences are.
        examples: some of them.
        quarantined: the quarantined records of differing images.
        plan: what a repair would do.
        todo: what can be done next.
    """
    return ReportContent(
        words=IMAGES,
        how=how,
        audit=verdict(found),
        differences=_differences(found),
        explained=dict(gathered.explained),
        ahead={AHEAD[kind]: count for kind, count in found.ahead.items()},
        losses=found.losses,
        stopped=found.stopped,
        examples=examples,
        over_time=gathered.over_time,
        quarantined=quarantined,
        plan=None if plan is None else _plan(plan),
        todo=todo,
    )


def with_repair(
    content: ReportContent, done: Repaired, after: Audit, todo: Sequence[str]
) -> ReportContent:
    """The report with what a repair did.

    Args:
        content: the report before it.
        done: what the repair did.
        after: the audit after it.
        todo: what can be done next.
    """
    count = sum(done.written.values())
    written = f"{counted(count, 'image')} {'was' if count == 1 else 'were'} written"
    repaired = RepairInWords(
        f"{written}, in {counted(done.passes, 'pass', 'es')}.",
        {"decide by hand": _named(done.undecided), "not repaired": _named(done.not_repaired)},
        verdict(after),
    )
    return msgspec.structs.replace(content, repaired=repaired, todo=todo)


def verdict(audit: Audit) -> AuditInWords:
    """The result of an audit in words."""
    count = sum(_differences(audit).values())
    heading = {
        "equal": "The table and the index are equal",
        "different": f"{counted(count, 'image')} differ{'s' if count == 1 else ''}",
        "unknown": "It is unknown whether the table and the index are equal",
    }[audit.result]
    state: Literal["equal", "different", "unknown"] = "different" if audit.wrong else audit.result
    entries = {"table": audit.table, "index": audit.index}
    return AuditInWords(state, heading, list(_sentences(audit)), entries, audit.seconds)


def _sentences(audit: Audit) -> Iterator[str]:
    entries = max(audit.table, audit.index)
    if audit.sample is not None:
        yield (
            f"The audit compared {counted(audit.sample.images, 'image')}. At most "
            f"{audit.sample.at_most:.2%} of all images differ "
            f"({audit.sample.confidence:.0%} confidence)."
        )
    elif audit.complete:
        yield f"The audit compared all entries: {entries:,}."
    if audit.reason is not None:
        yield f"The comparison is not complete: {audit.reason}."
    if audit.unknown_since is not None:
        since = rfc3339(audit.unknown_since, "seconds")
        yield f"Both stores may lack the same events since {since}: see the losses below."
    for one in audit.wrong:
        yield f"The index is wrong: {one}."
    for one in audit.warnings:
        yield f"Warning: {one}."
    if audit.discarded:
        yield f"Event source mappings discarded {counted(audit.discarded, 'batch', 'es')}."


def _differences(audit: Audit) -> dict[str, int]:
    return {kind: count for kind, count in audit.differences.items() if kind != EXPLAINED}


def _plan(plan: RepairPlan) -> PlanInWords:
    return PlanInWords(
        plan.changes,
        plan.images,
        plan.percent,
        [
            PlannedKind(one.kind, ACTIONS[one.action], one.images, _named(one.examples)[0])
            for one in plan.planned
        ],
    )


def _named(examples: Sequence[Example]) -> list[NamedDetail]:
    return [NamedDetail(one.image_id, one.detail) for one in examples]
