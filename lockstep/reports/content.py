"""What a report contains. Nothing here knows how it looks."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.recheck import EXPLAINED
from lockstep.console.text import counted
from lockstep.repair.repair import Repaired, RepairPlan
from lockstep.reports.sides import FieldPair
from lockstep.reports.timeline import Bar
from shared.quarantine import QuarantineReason
from shared.rfc3339 import rfc3339


class ImageExample(msgspec.Struct, frozen=True):
    """One differing image, as both stores held it when the report was made.

    `shown` are the fields that tell the difference, `others` all others. `repair` is the decision
    of a repair, in words. `in_quarantine`: a record of the image is in quarantine.
    """

    image_id: str
    kind: str
    in_quarantine: bool
    shown: Sequence[FieldPair]
    others: Sequence[FieldPair]
    repair: str


class QuarantinedImage(msgspec.Struct, frozen=True):
    """A quarantined record of a differing image."""

    consumer: str
    image_id: str
    reason: QuarantineReason
    detail: str
    quarantined_at: str


class Quarantined(msgspec.Struct, frozen=True):
    """The quarantined records of all differing images: how many, and some of them."""

    count: int = 0
    some: Sequence[QuarantinedImage] = ()


class AuditedWith(msgspec.Struct, frozen=True):
    """How the audit was made: `values` and `since` as its options, `began` when it began."""

    stack: str
    region: str
    began: dt.datetime
    values: bool
    since: dt.datetime | None


class ReportContent(msgspec.Struct, frozen=True, kw_only=True):
    """A report.

    `explained` counts the differences of each kind that the quarantine explains. `examined` is when
    the examples were read; `unread` says why they could not be read. `bars` have the width `width`;
    `arrival_unknown` images are in none. `plan` is None if nothing is proved to differ. `repaired`
    and `after`: what a repair did, and the audit after it. `todo`: what can be done next.
    """

    how: AuditedWith
    audit: Audit
    explained: dict[str, int]
    examples: Sequence[ImageExample]
    examined: dt.datetime
    unread: str | None = None
    bars: Sequence[Bar]
    width: dt.timedelta
    arrival_unknown: int
    quarantined: Quarantined
    plan: RepairPlan | None
    repaired: Repaired | None = None
    after: Audit | None = None
    todo: Sequence[str] = ()

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """The kinds of differences with their numbers, the most frequent first."""
        return sorted(_kinds(self.audit).items(), key=lambda one: -one[1])


class AuditInWords(msgspec.Struct, frozen=True):
    """An audit in words: a heading, and sentences that explain it."""

    state: Literal["equal", "different", "unknown"]
    heading: str
    sentences: Sequence[str]


def differing(audit: Audit) -> int:
    """The number of images that differ."""
    return sum(_kinds(audit).values())


def verdict(audit: Audit) -> AuditInWords:
    """The result of an audit in words."""
    count = differing(audit)
    heading = {
        "equal": "The table and the index are equal",
        "different": f"{counted(count, 'image')} differ{'s' if count == 1 else ''}",
        "unknown": "It is unknown whether the table and the index are equal",
    }[audit.result]
    state: Literal["equal", "different", "unknown"] = "different" if audit.wrong else audit.result
    return AuditInWords(state, heading, list(_sentences(audit)))


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


def _kinds(audit: Audit) -> dict[str, int]:
    return {kind: count for kind, count in audit.differences.items() if kind != EXPLAINED}
