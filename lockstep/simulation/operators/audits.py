"""Audits: the product's audit says what our own comparison of raw entries says (O3)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.audit.acknowledgements import read_acknowledgements
from lockstep.audit.audit import Audit
from lockstep.audit.recheck import Difference
from lockstep.simulation.operators.broken_index import trouble
from lockstep.simulation.operators.comparison import (
    Verdict,
    compared,
    said_by_document,
    said_by_item,
)
from lockstep.simulation.operators.limits import AgeLimits
from lockstep.simulation.operators.promises import Promises, Raw
from lockstep.simulation.operators.tools import BREAKS_OFF, Surroundings, Tools
from lockstep.simulation.violation import ViolationError
from lockstep.stream.losses import Unread

# The share of steps that begin when an age is near its limit.
AT_A_LIMIT_SHARE = 0.15
EXPLAINED = "explained_by_quarantine"


class Audits:
    """Runs audits, and checks what they say."""

    def __init__(
        self, tools: Tools, promises: Promises, limits: AgeLimits, around: Surroundings
    ) -> None:
        """Audit with these tools."""
        self._tools = tools
        self._system = tools.system
        self._promises = promises
        self._limits = limits
        self._around = around

    def step(self) -> None:
        """Audit, sometimes with faults, and sometimes while others write."""
        tools = self._tools
        self._limits.reach(AT_A_LIMIT_SHARE)
        faulty = tools.begin()
        chance = self._system.conditions.chance
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            tools.before_request(self._around.meanwhile)
        self.audit(whole=chance.random() < 0.5, faulty=faulty)  # noqa: PLR2004 - a coin

    def audit(self, *, whole: bool, faulty: bool) -> Sequence[Difference] | None:
        """Audit, and check the result; return the differences, or None if it broke off.

        Raises:
            ViolationError: O1, O2 or O3 is broken.
        """
        system, tools = self._system, self._tools
        before, settled = self._promises.raw(), [self._settled()]

        def ask() -> float:
            settled.append(self._settled())  # others may put events during the audit
            return settled[-1]

        differences: list[Difference] = []
        wrote = self._promises.wrote()
        try:
            with self._promises.kept("O1", "O2"):
                found = system.components.audit(
                    tools.table_reader(whole=whole),
                    tools.index_reader(whole=whole),
                    quarantined_images=tools.quarantined,
                    clock=tools.clock,
                    settled=ask,
                    on_difference=differences.append,
                )
                found = self._with_unread(found)
        except BREAKS_OFF:
            if not faulty:
                raise
            return None
        if self._promises.wrote() > wrote:
            raise ViolationError("O4", "an audit wrote")
        tally = system.conditions.tally
        tally["audited"] += 1
        tally["audited, and a difference found"] += found.result == "different"
        tally["audited while a consumer lagged"] += found.under_way > 0
        tally["audited while a store was unreadable"] += bool(found.reason and not found.under_way)
        tally["audited after a loss"] += bool(found.losses)
        tally["audited while a consumer was off"] += bool(found.stopped)
        self._check(found, differences, before, min(settled), whole=whole, faulty=faulty)
        return None if found.reason else differences

    def _with_unread(self, found: Audit) -> Audit:
        """The audit, knowing what the consumers have lost, and which are off."""
        losses = self._system.losses
        return self._system.components.with_unread(found, self.unread()) if losses else found

    def unread(self) -> Unread:
        """Why the stores may lack events, as the commands read it."""
        losses, components = self._system.losses, self._system.components
        acknowledged = read_acknowledgements(self._tools.bucket)
        left = components.unacknowledged(losses.noted.values(), acknowledged)
        return Unread(left, losses.stopped)

    def _settled(self) -> float:
        """The time up to which both consumers have processed all arrivals."""
        oldest = self._around.oldest_unread()
        return float("inf") if oldest is None else oldest - 0.001

    def expected(
        self, raw: Raw, *, whole: bool, now: float, explained: frozenset[str]
    ) -> Mapping[str, Verdict]:
        """What an audit must find in these stores."""
        found = {}
        for image_id in sorted(raw.items.keys() | raw.documents.keys()):
            verdict = compared(
                said_by_item(raw.items.get(image_id), whole=whole),
                said_by_document(raw.documents.get(image_id), whole=whole),
                now=now,
                explained=image_id in explained,
            )
            if verdict is not None:
                found[image_id] = verdict
        return found

    def _check(
        self,
        found: Audit,
        differences: Sequence[Difference],
        before: Raw,
        settled: float,
        *,
        whole: bool,
        faulty: bool,
    ) -> None:
        system, after = self._system, self._promises.raw()
        said = {one.image_id: one for one in differences}
        if len(said) < len(differences):
            raise ViolationError("O3", f"an audit names an image twice: {differences}")
        unreadable = found.reason is not None and not found.under_way
        if unreadable and not (faulty or trouble(system.index.nodes)):
            raise ViolationError("O3", f"an audit without a fault says {found.reason}")
        explained = self._tools.explained() if said and not faulty else frozenset()
        must = self.expected(before, whole=whole, now=before.now, explained=explained)
        at_end = self.expected(after, whole=whole, now=after.now, explained=explained)
        lags = settled * 1000
        for image_id in sorted(before.items.keys() | before.documents.keys() | said.keys()):
            verdict = must.get(image_id)
            if not _same(before, after, image_id) or verdict != at_end.get(image_id):
                continue  # it changed meanwhile
            one = said.get(image_id)
            if verdict is None:
                if one is not None:
                    raise ViolationError("O3", f"an audit names {one}, which is equal")
            elif one is None:
                if unreadable or self._newest(before, image_id, whole=whole) > lags:
                    continue
                raise ViolationError("O3", f"an audit does not name {image_id}: {verdict}")
            else:
                self._check_one(one, verdict, faulty=faulty)
                if self._newest(before, image_id, whole=whole) > self._settled() * 1000:
                    raise ViolationError("O3", f"an audit names {one}, which is in progress")
        self._check_totals(found, differences, before, after, unreadable=unreadable)

    def _check_one(self, one: Difference, verdict: Verdict, *, faulty: bool) -> None:
        kinds: tuple[str, str | None] = one.kind, one.ahead
        if faulty or self._tools.has_failure_documents:
            # Their images are explained, too. Reading them here would need the product's code.
            kinds = one.kind, verdict.ahead if one.ahead == "explained" else one.ahead
        if kinds != (verdict.kind, verdict.ahead):
            raise ViolationError("O3", f"an audit says {one}, and it is {verdict}")

    def _check_totals(
        self,
        found: Audit,
        differences: Sequence[Difference],
        before: Raw,
        after: Raw,
        *,
        unreadable: bool,
    ) -> None:
        counts = Counter(one.kind for one in differences)
        told = {kind: count for kind, count in found.differences.items() if kind != EXPLAINED}
        if told != dict(counts):
            raise ViolationError("O3", f"an audit counts {told}, and names {dict(counts)}")
        losses = self._system.losses
        unread = bool(losses.open or losses.stopped)
        result = "different" if differences else "unknown" if unread else "equal"
        if found.result != ("unknown" if found.reason else result):
            raise ViolationError("O3", f"an audit says {found.result}: {found}")
        if losses.since is not None and (
            found.unknown_since is None or found.unknown_since.timestamp() > losses.since
        ):
            raise ViolationError("O3", f"lost since {losses.since}, an audit says {found}")
        quiet = after.table_journal == before.table_journal
        quiet = quiet and after.index_journal == before.index_journal
        if quiet and not unreadable and len(before.items) == len(after.items):
            entries = len(after.items), _live(after)
            if (found.table, found.index) != entries:
                counted = f"{found.table} and {found.index}"
                raise ViolationError("O3", f"an audit counts {counted} entries of {entries}")

    @staticmethod
    def _newest(raw: Raw, image_id: str, *, whole: bool) -> float:
        """The newest arrival that the entries of an image state, in milliseconds."""
        item = said_by_item(raw.items.get(image_id), whole=whole)
        document = said_by_document(raw.documents.get(image_id), whole=whole)
        return max(
            0.0, *(one.arrived_at for one in (item, document) if one and not one.is_malformed), 0.0
        )


def _same(before: Raw, after: Raw, image_id: str) -> bool:
    """Whether nobody wrote either entry of this image in between."""
    one: Any = before.documents.get(image_id)
    return before.items.get(image_id) is after.items.get(image_id) and one is after.documents.get(
        image_id
    )


def _live(raw: Raw) -> int:
    return sum(document.source is not None for document in raw.documents.values())
