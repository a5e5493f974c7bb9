"""What a report contains, of whatever an audit compares. Nothing here knows how it looks."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from lockstep.reports.sides import FieldPair
from lockstep.reports.timeline import Bar
from lockstep.stream.losses import Loss, StoppedConsumer
from shared.quarantine import QuarantineReason


class ReportWords(msgspec.Struct, frozen=True, kw_only=True):
    """How a report calls what its audit compares.

    Attributes:
        one: what is compared, as `image`.
        many: its plural.
        stores: the store that is right, and the other one.
        meanings: what each kind of difference means.
        arrival: by which time the timeline counts a difference.
        no_arrival: why that time is unknown.
        changed: what a repair does to it, as `written`.
        lost: what it means if a consumer lost records.
        command: the command that makes the report.
        contains: what makes the report confidential.
    """

    one: str
    many: str
    stores: tuple[str, str]
    meanings: Mapping[str, str]
    arrival: str
    no_arrival: str
    changed: str
    lost: str
    command: str
    contains: str


class AuditedWith(msgspec.Struct, frozen=True):
    """How the audit was made: `compared` in words, `began` when it began."""

    stack: str
    region: str
    began: dt.datetime
    compared: str


class AuditInWords(msgspec.Struct, frozen=True):
    """An audit in words: a heading, and sentences that explain it. `entries`: those of each store.

    `took` is in seconds.
    """

    state: Literal["equal", "different", "unknown"]
    heading: str
    sentences: Sequence[str]
    entries: Mapping[str, int]
    took: float


class DifferenceExample(msgspec.Struct, frozen=True):
    """One difference, as both stores held it when the report was made.

    `key` names it. `shown` are the fields that tell the difference, `others` all others. `repair`
    is the decision of a repair, in words. `note` is a further sentence, or empty.
    """

    key: str
    kind: str
    shown: Sequence[FieldPair]
    others: Sequence[FieldPair]
    repair: str
    note: str = ""


class NamedDetail(msgspec.Struct, frozen=True):
    """What there is to say of one key; nothing if `detail` is empty."""

    key: str
    detail: str = ""


class PlannedKind(msgspec.Struct, frozen=True):
    """What a repair would do about one kind of difference: `action` in words, and an example."""

    kind: str
    action: str
    count: int
    example: NamedDetail


class PlanInWords(msgspec.Struct, frozen=True):
    """What a repair would do: make `changes`, which are `percent` of `of` all."""

    changes: int
    of: int
    percent: float
    planned: Sequence[PlannedKind]


class RepairInWords(msgspec.Struct, frozen=True):
    """What a repair did, and the audit after it. `left`: what it did not settle, by the reason."""

    sentence: str
    left: Mapping[str, Sequence[NamedDetail]]
    after: AuditInWords


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


class Examples(msgspec.Struct, frozen=True):
    """Examples that were read at `examined`; `unread` says why they could not be read."""

    some: Sequence[DifferenceExample]
    examined: dt.datetime
    unread: str | None = None


class OverTime(msgspec.Struct, frozen=True):
    """The differences by their arrival: bars of this width; `unknown` ones are in none."""

    bars: Sequence[Bar]
    width: dt.timedelta
    unknown: int


class ReportContent(msgspec.Struct, frozen=True, kw_only=True):
    """A report.

    `differences` counts them by kind; `explained` those of each kind that the quarantine explains.
    `ahead`: what the second store has and the first lacks, in words. `plan` is None if nothing is
    proved to differ; `repaired` is what a repair did. `todo`: what can be done next.
    """

    words: ReportWords
    how: AuditedWith
    audit: AuditInWords
    differences: Mapping[str, int]
    explained: Mapping[str, int]
    ahead: Mapping[str, int]
    losses: Sequence[Loss]
    stopped: Sequence[StoppedConsumer]
    examples: Examples
    over_time: OverTime
    quarantined: Quarantined
    plan: PlanInWords | None
    repaired: RepairInWords | None = None
    todo: Sequence[str] = ()

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """The kinds of differences with their numbers, the most frequent first."""
        return sorted(self.differences.items(), key=lambda one: -one[1])
