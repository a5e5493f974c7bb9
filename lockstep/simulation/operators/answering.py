"""Answers: which store wins where the index is ahead, by the report of an audit."""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.recheck import Difference
from lockstep.audit.report import ReportLine, as_line
from lockstep.repair.answers import Answered, AnswerPlan, Answers
from lockstep.repair.repair import OverLimitError
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.comparison import Said, said_by_document, said_by_item
from lockstep.simulation.operators.harm import Harm
from lockstep.simulation.operators.promises import Promises, Raw, version_in_document
from lockstep.simulation.operators.repairs import LIMITS, Repairs
from lockstep.simulation.operators.tools import BREAKS_OFF, Surroundings, Tools
from lockstep.simulation.violation import ViolationError

KINDS: frozenset[AheadKind] = frozenset(get_args(AheadKind))
_KINDS_DRAWN: Sequence[frozenset[AheadKind]] = (
    KINDS,
    KINDS,
    frozenset({"image"}),
    frozenset({"removal", "malformed"}),
)
_IMAGES: Sequence[str] = ("T0", "T1")
HARM_SHARE = 0.9
# The requests of an answer that keeps and removes a document: it may be killed at each of them.
ALL_REQUESTS = 10
_DAY = 86_400

type _Winner = Literal["index", "table"]


class AnswerSteps:
    """Answers reports, and checks what the answers do."""

    def __init__(  # noqa: PLR0917 - what its steps need
        self,
        tools: Tools,
        promises: Promises,
        audits: Audits,
        repairs: Repairs,
        harm: Harm,
        around: Surroundings,
    ) -> None:
        """Answer with these tools."""
        self._tools = tools
        self._system = tools.system
        self._promises = promises
        self._audits = audits
        self._repairs = repairs
        self._harm = harm
        self._around = around
        self._has_second = False

    def step(self) -> None:
        """Audit, and answer: sometimes later, with faults, or with others in the middle."""
        tools, chance = self._tools, self._system.conditions.chance
        if not self._system.table.items:  # nothing could differ
            for image_id in _IMAGES:
                self._around.put(image_id)
        self._repairs.settle_down()
        if chance.random() < HARM_SHARE:
            chance.choice((self._harm.some, self._harm.ahead))()
        winner: _Winner = chance.choice(("index", "table", "table"))
        kinds, limit = chance.choice(_KINDS_DRAWN), chance.choice(LIMITS)
        tools.begin(faulty=False)
        differences = self._audits.audit(whole=True, faulty=False)
        if not differences:
            return
        seen = self._promises.raw()
        if chance.random() < 0.3:  # noqa: PLR2004 - then the report is out of date
            chance.choice((self._harm.once, self._around.meanwhile))()
        faulty = tools.begin()
        if chance.random() < 0.2:  # noqa: PLR2004 - some
            tools.before_request(lambda: self._second(winner, kinds, differences))
        elif chance.random() < 0.3:  # noqa: PLR2004 - some
            one = chance.choice(differences).image_id
            tools.before_request(lambda: self._around.meanwhile(one))
        if faulty:
            tools.may_die(ALL_REQUESTS)
        done = self.answer(winner, kinds, differences, seen, limit=limit, faulty=faulty)
        if done is None or faulty:
            return
        tools.begin(faulty=False)
        self._check_again(winner, kinds, differences)

    def answer(
        self,
        winner: _Winner,
        kinds: frozenset[AheadKind],
        differences: Sequence[Difference],
        seen: Raw,
        *,
        limit: float,
        faulty: bool,
    ) -> Answered | None:
        """Answer a report within this limit, and check it; None if it was stopped or broke off.

        Args:
            winner: the store that wins.
            kinds: the kinds to answer.
            differences: what the audit found.
            seen: both stores as the audit left them.
            limit: the share of all images that may change, in percent.
            faulty: whether requests have faults.

        Raises:
            ViolationError: O1 is broken, or the answer acted on what it must not.
        """
        before, others = self._promises.raw(), self._promises.others_wrote()
        self._has_second = False
        in_table, in_index = len(self._tools.own_in_table), len(self._tools.own_in_index)
        self._tools.own_in_index.watch = lambda one: self._check_kept(before, one)
        try:
            made = self._make(self.new(winner, kinds), as_lines(differences), limit, faulty=faulty)
        finally:
            self._tools.own_in_index.watch = None
        of_table = [one.image_id for one in self._tools.own_in_table[in_table:]]
        of_index = [one.image_id for one in self._tools.own_in_index[in_index:]]
        written = [*of_table, *of_index]
        for image_id in written:
            self._promises.touch(image_id, before)
        if of_table if winner == "table" else of_index:
            raise ViolationError("O2", f"the {winner} won, and was written: {written}")
        self._check_versions(before)
        if made is None:
            return None
        plan, done = made
        tally = self._system.conditions.tally
        tally["index won" if winner == "index" else "table won"] += bool(done.written)
        if self._promises.others_wrote() > others:
            return done
        # What a second operator changed meanwhile is no more in the plan.
        if len(set(written)) > plan.changes and not faulty and not self._has_second:
            raise ViolationError("O2", f"an answer of {plan.changes} images wrote {written}")
        self._check_scope(winner, kinds, differences, seen, before, written)
        if not faulty:
            self._check_done(winner, kinds, differences, seen, before)
        return done

    def _make(
        self, answers: Answers, lines: Sequence[ReportLine], limit: float, *, faulty: bool
    ) -> tuple[AnswerPlan, Answered] | None:
        """Plan and apply an answer; None if it was stopped or broke off."""
        system, tally = self._system, self._system.conditions.tally
        images = max(len(system.table.items), len(system.index.documents), 1)
        try:
            with self._promises.kept("O1", "others"):
                plan = answers.plan(lines, images=images)
                system.components.check_limit(plan, limit)
                return plan, answers.apply(lines)
        except OverLimitError:
            tally["stopped by the safety limit"] += 1
        except BREAKS_OFF:
            # An index of another release is misconfigured: the answer replaces nothing in it.
            if not faulty and not system.index.missing and not system.index.nodes.live.is_foreign:
                raise
            tally["answer broken off"] += 1
        return None

    def _second(
        self, winner: _Winner, kinds: frozenset[AheadKind], differences: Sequence[Difference]
    ) -> None:
        """Another operator gives the same answer, in the middle."""
        tally = self._system.conditions.tally
        tally["two operators at once"] += 1
        self._has_second = True
        try:
            self.new(winner, kinds).apply(as_lines(differences))
        except BREAKS_OFF:
            tally["answer broken off"] += 1

    def new(self, winner: _Winner, kinds: frozenset[AheadKind]) -> Answers:
        """An answer."""
        tools = self._tools
        return self._system.components.answers(
            winner,
            kinds,
            table=tools.table_reader(),
            index=tools.index_reader(),
            table_sink=tools.table_sink,
            table_corrections=tools.table_corrections,
            corrections=tools.corrections,
            repair=self._repairs.new(),
            replaced=self._system.components.replaced(tools.bucket, tools.run_name()),
            explained=tools.explained,
            clock=tools.clock,
        )

    def _check_again(
        self, winner: _Winner, kinds: frozenset[AheadKind], differences: Sequence[Difference]
    ) -> None:
        """O4: the same answer again writes nothing."""
        promises, lines = self._promises, as_lines(differences)
        if self._system.index.missing:
            return
        wrote, others = promises.wrote(), promises.others_wrote()
        self.new(winner, kinds).apply(lines)
        if promises.others_wrote() == others and promises.wrote() > wrote:
            raise ViolationError("O4", f"the same answer again wrote: {winner} wins, {lines}")

    def _check_kept(self, before: Raw, own: Written) -> None:
        """A document that is removed is in the bucket by then: the answer may be killed next."""
        was = before.documents.get(own.image_id)
        if own.version is not None or was is None or was.source is None:
            return
        if (own.image_id, version_in_document(was)) not in self._promises.replaced():
            raise ViolationError("O1", f"an answer removed {was}, and has not kept it before")

    def _check_versions(self, before: Raw) -> None:
        """No item's version falls."""
        for image_id, item in before.items.items():
            was, found = said_by_item(item, whole=False), self._system.table.items.get(image_id)
            now = said_by_item(found, whole=False)
            if was is None or was.is_malformed or (was.deleted and now is None):
                continue
            if now is None or now.version < was.version:
                raise ViolationError("O2", f"an answer changed the item {item} to {found}")

    def _check_scope(  # noqa: PLR0917 - all about one answer
        self,
        winner: _Winner,
        kinds: frozenset[AheadKind],
        differences: Sequence[Difference],
        seen: Raw,
        before: Raw,
        written: Sequence[str],
    ) -> None:
        """An answer writes only what is of these kinds, and as the report says."""
        by_image = {one.image_id: one for one in differences}
        for image_id in written:
            one = by_image.get(image_id)
            if one is None or one.ahead not in kinds:
                raise ViolationError("O2", f"an answer to {sorted(kinds)} wrote {one or image_id}")
            (item, document), (was, _) = _said(before, image_id), _said(seen, image_id)
            if winner == "table" and document is None and item == was:
                continue  # as if an earlier run had removed it
            if _is_other(seen, before, image_id):
                raise ViolationError("O2", f"an answer wrote {image_id}, which changed meanwhile")

    def _check_done(
        self,
        winner: _Winner,
        kinds: frozenset[AheadKind],
        differences: Sequence[Difference],
        seen: Raw,
        before: Raw,
    ) -> None:
        """What is of these kinds, and as the report says, is settled, if this winner can."""
        now = self._system.time.now
        left = self._audits.expected(
            self._promises.raw(), whole=True, now=now, explained=self._tools.explained()
        )
        for one in differences:
            image_id = one.image_id
            if (
                one.ahead not in kinds
                or image_id not in left
                or left[image_id].ahead not in kinds
                or _is_changed(seen, before, image_id)
                or self._cannot(winner, before, image_id)
            ):
                continue
            raise ViolationError("O6", f"{winner} wins left {image_id}: {left[image_id]}")

    def _cannot(self, winner: _Winner, before: Raw, image_id: str) -> bool:
        """Whether this winner has nothing that the other store could get."""
        table = said_by_item(before.items.get(image_id), whole=True)
        index = said_by_document(before.documents.get(image_id), whole=True)
        if winner == "table":
            return table is not None and table.is_malformed
        return (
            index is None
            or index.is_malformed
            or index.version > (self._system.time.now + _DAY) * 1_000_000
            or (table is not None and table.version >= index.version)
        )


def as_lines(differences: Sequence[Difference]) -> list[ReportLine]:
    """The lines of a report, as they are read from its file."""
    return [
        msgspec.json.decode(msgspec.json.encode(as_line(one)), type=ReportLine)
        for one in differences
    ]


def _is_changed(one: Raw, other: Raw, image_id: str) -> bool:
    """Whether an entry of this image changed at all: then an answer may leave it."""
    return one.items.get(image_id) != other.items.get(image_id) or one.documents.get(
        image_id
    ) != other.documents.get(image_id)


def _is_other(one: Raw, other: Raw, image_id: str) -> bool:
    """Whether an entry of this image changed, so that an audit sees it."""
    return _said(one, image_id) != _said(other, image_id)


def _said(raw: Raw, image_id: str) -> tuple[Said | None, Said | None]:
    """What a line of a report has of both entries."""
    return (
        _in_report(said_by_item(raw.items.get(image_id), whole=True)),
        _in_report(said_by_document(raw.documents.get(image_id), whole=True)),
    )


def _in_report(said: Said | None) -> Said | None:
    """A malformed entry has only what it claims there: its version, deletion and arrival."""
    if said is None or not said.is_malformed:
        return said
    return msgspec.structs.replace(said, content=(), expires_at=None)
