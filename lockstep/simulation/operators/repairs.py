"""Plain repairs: from the table to the index, within the safety limit, alone or two at once."""

from collections.abc import Sequence

from lockstep.audit.recheck import Difference
from lockstep.repair.repair import DifferingImage, OverLimitError, Repair, Repaired, differing_image
from lockstep.simulation.operators.audits import AT_A_LIMIT_SHARE, Audits
from lockstep.simulation.operators.harm import Harm
from lockstep.simulation.operators.limits import AgeLimits
from lockstep.simulation.operators.promises import Promises, Raw
from lockstep.simulation.operators.tools import BREAKS_OFF, Surroundings, Tools
from lockstep.simulation.violation import ViolationError

# Percent of all images: with up to three images, each of these stops other repairs.
LIMITS: Sequence[float] = (1.0, 34.0, 67.0, 100.0, 100.0, 100.0)
HARM_SHARE = 0.7
_WITHOUT_CHECK = ("conflict", "deleted_in_one", "malformed", "index_version_moved")
SETTLED_SHARE, AGAIN_SHARE = 0.7, 0.5


class Repairs:
    """Runs plain repairs, and checks what they do."""

    def __init__(  # noqa: PLR0917 - what its steps need
        self,
        tools: Tools,
        promises: Promises,
        audits: Audits,
        harm: Harm,
        limits: AgeLimits,
        around: Surroundings,
    ) -> None:
        """Repair with these tools what these audits find."""
        self._tools = tools
        self._system = tools.system
        self._promises = promises
        self._audits = audits
        self._harm = harm
        self._limits = limits
        self._around = around
        self._seconds: set[str] = set()  # the images that a second operator wrote

    def step(self) -> None:
        """Audit and repair, sometimes with faults, others in the middle, or a second operator."""
        tools, chance = self._tools, self._system.conditions.chance
        self.settle_down()
        if chance.random() < HARM_SHARE:
            self._harm.some()
        if chance.random() < HARM_SHARE:
            self._harm.alike()
        whole = chance.random() < 0.5  # noqa: PLR2004 - a coin
        tools.begin(faulty=False)
        differences = self._audits.audit(whole=whole, faulty=False)
        if not differences:
            return
        faulty = tools.begin()
        limit = chance.choice(LIMITS)
        match chance.randrange(5):
            case 0 | 1 | 2:
                # Mostly where the repair has no ordinary version check.
                rare = [each for each in differences if each.kind in _WITHOUT_CHECK]
                one = chance.choice(rare or differences).image_id
                tools.before_request(lambda: self._around.meanwhile(one))
                limit = 100.0 if rare else limit
            case 3:
                tools.before_request(lambda: self._second(differences))
            case _:
                pass
        if faulty:
            tools.may_die()
        done = self.repair(differences, limit=limit, faulty=faulty)
        if done is not None and not faulty and chance.random() < AGAIN_SHARE:
            self._check_again(differences)

    def settle_down(self) -> None:
        """Mostly wait until both consumers have processed everything: then more can be proved."""
        conditions = self._system.conditions
        self._limits.reach(AT_A_LIMIT_SHARE)
        if conditions.chance.random() < SETTLED_SHARE:
            rate = conditions.fault_rate
            self._around.drain()
            conditions.fault_rate = rate

    def repair(
        self, differences: Sequence[Difference], *, limit: float, faulty: bool
    ) -> Repaired | None:
        """Repair within this limit, and check it; None if it was stopped or broke off.

        Raises:
            ViolationError: O1, O2 or O4 is broken, or the repair left what it must repair.
        """
        system, tally = self._system, self._system.conditions.tally
        repair, differing = self.new(), as_differing(differences)
        images = max(len(system.table.items), len(system.index.documents), 1)
        others, wrote = self._promises.others_wrote(), len(self._tools.own_in_index)
        before = self._promises.raw()
        self._note_gifts(differing)
        try:
            with self._promises.kept("O1", "O2"):
                plan = repair.plan(differing, images=images)
                system.components.check_limit(plan, limit)
                done = repair.apply(differing)
        except OverLimitError:
            tally["stopped by the safety limit"] += 1
            return None
        except BREAKS_OFF:
            # An index of another release is misconfigured: the repair removes nothing from it.
            if not faulty and not system.index.missing and not system.index.nodes.live.is_foreign:
                raise
            tally["repair broken off"] += 1
            return None
        finally:
            self._note_gifts(differing)
        tally["repaired"] += bool(done.written)
        tally["repaired in several passes"] += done.passes > 1
        if self._promises.others_wrote() == others and not faulty:
            written = {one.image_id for one in self._tools.own_in_index[wrote:]} - self._seconds
            if len(written) > plan.changes or 100 * len(written) > limit * images:
                said = f"{plan.changes} of {images} images, at most {limit} %"
                raise ViolationError("O2", f"a repair of {said} wrote {sorted(written)}")
            self._check_left(before, {one.image_id for one in self._tools.own_in_index[wrote:]})
            self._check_done(differing, done)
        return done

    def new(self) -> Repair:
        """A repair."""
        tools = self._tools
        return self._system.components.repair(
            tools.table_reader(),
            tools.index_reader(),
            index_sink=tools.index_sink,
            corrections=tools.corrections,
            clock=tools.clock,
        )

    def _second(self, differences: Sequence[Difference]) -> None:
        """Another operator repairs the same, in the middle."""
        self._system.conditions.tally["two operators at once"] += 1
        wrote = len(self._tools.own_in_index)
        try:
            self.new().apply(as_differing(differences))
        except BREAKS_OFF:
            self._system.conditions.tally["repair broken off"] += 1
        self._seconds.update(one.image_id for one in self._tools.own_in_index[wrote:])

    def _check_again(self, differences: Sequence[Difference]) -> None:
        """O4: the same repair again writes nothing, unless somebody else wrote meanwhile."""
        promises, differing = self._promises, as_differing(differences)
        tools = self._tools
        tools.begin(faulty=False)
        if self._system.index.missing:
            return
        others = promises.others_wrote()
        self._note_gifts(differing)
        self.new().apply(differing)  # what others wrote during the first repair may differ
        self._note_gifts(differing)
        if promises.others_wrote() > others:
            return
        wrote = promises.wrote()
        self.new().apply(differing)
        if promises.wrote() > wrote and promises.others_wrote() == others:
            raise ViolationError("O4", f"the same repair again wrote {tools.own_in_index[-1]}")

    def _check_left(self, before: Raw, written: set[str]) -> None:
        """What the index is ahead with stays as it is."""
        was = self._audits.expected(
            before, whole=True, now=before.now, explained=self._tools.explained()
        )
        now = self._audits.expected(
            before, whole=True, now=self._system.time.now, explained=self._tools.explained()
        )
        for image_id in sorted(written & was.keys() & now.keys()):
            if was[image_id].ahead is not None and now[image_id].ahead is not None:
                raise ViolationError("O2", f"a repair wrote {image_id}: {was[image_id]}")

    def _check_done(self, differing: Sequence[DifferingImage], done: Repaired) -> None:
        """Nothing is left but what the index is ahead with, and what an operator must decide."""
        now, explained = self._system.time.now, self._tools.explained()
        left = self._audits.expected(self._promises.raw(), whole=True, now=now, explained=explained)
        left_out = {one.image_id for one in (*done.undecided, *done.not_repaired)}
        for one in differing:
            verdict = left.get(one.image_id)
            if verdict is not None and verdict.ahead is None and one.image_id not in left_out:
                raise ViolationError("O2", f"a repair left {one.image_id}: {verdict}")

    def _note_gifts(self, differing: Sequence[DifferingImage]) -> None:
        """What the index may have from now on: the table's content of these images."""
        store = self._system.consumers["write_to_dynamodb"].store
        for one in differing:
            held = store.stored_version(one.image_id)
            if held is not None:
                self._system.given_index.add((one.image_id, held))


def as_differing(differences: Sequence[Difference]) -> Sequence[DifferingImage]:
    """What a repair needs of the differences."""
    return [differing_image(one) for one in differences]
