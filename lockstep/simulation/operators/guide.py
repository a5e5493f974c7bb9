"""The order of docs/guides/restore.md: from every state to equal stores (O6)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.answering import KINDS, AnswerSteps
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.comparison import Said, said_by_document, said_by_item
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.repairs import Repairs
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.violation import ViolationError

_DAY = 86_400
ALL = 100.0


class _Held(msgspec.Struct, frozen=True, order=True):
    """What was held somewhere of an image, and would be restored from there."""

    version: int
    content: str  # its digest, or "" for a deletion


class Guide:
    """What an operator does, in order, until both stores are equal."""

    def __init__(  # noqa: PLR0917 - what its steps need
        self,
        tools: Tools,
        promises: Promises,
        audits: Audits,
        repairs: Repairs,
        answering: AnswerSteps,
        around: Surroundings,
    ) -> None:
        """Follow the guide with these steps."""
        self._tools = tools
        self._system = tools.system
        self._promises = promises
        self._audits = audits
        self._repairs = repairs
        self._answering = answering
        self._around = around

    def follow(self) -> None:
        """Replay, repair, answer `--index-wins`, and what only `--table-wins` or a put can settle.

        Raises:
            ViolationError: O6: the stores differ at the end, or lack what was held somewhere.
        """
        system, around = self._system, self._around
        rate = system.conditions.fault_rate
        system.accept_all()
        around.drain()
        expected = self._held()
        if self._differing() or self._lost(expected, frozenset()):
            self._run(expected)
        system.conditions.fault_rate = rate
        system.conditions.tally["guide followed to its end"] += 1

    def _run(self, expected: Mapping[str, set[_Held]]) -> None:
        """Run the commands that are needed."""
        around = self._around
        self._tools.begin(faulty=False)
        if around.replays and self._table_lacks(expected):
            around.replay()
        self._repair_and_answer("index")
        self._repair_and_answer("table")
        # An item is malformed, and nothing can replace it: put the image again.
        put = frozenset(self._differing())
        if put:
            self._system.time.settle()  # before an event is put that could grow too old meanwhile
            for image_id in sorted(put):
                self._wait_for_a_higher_stamp(image_id)
                around.put(image_id)
            around.drain()
            self._repair_and_answer("table")
        left = self._differing()
        if left:
            raise ViolationError("O6", f"at the end of the guide, {left} differ")
        lost = self._lost(expected, put)
        if lost:
            raise ViolationError("O6", lost)

    def _wait_for_a_higher_stamp(self, image_id: str) -> None:
        """Wait until a new stamp is above the item's version, whose producer's clock was ahead."""
        time = self._system.time
        item = said_by_item(self._system.table.items.get(image_id), whole=True)
        if item is not None:
            time.advance(max(0.0, item.version / 1_000_000 - time.now + 1.0))

    def _table_lacks(self, expected: Mapping[str, set[_Held]]) -> bool:
        """Whether the table lacks something: else a replay changes nothing."""
        for image_id, held in expected.items():
            item = said_by_item(self._system.table.items.get(image_id), whole=True)
            if held and (item is None or item.version < max(one.version for one in held)):
                return True
        return False

    def _repair_and_answer(self, winner: Any) -> None:
        """Audit once, if anything differs; repair, and answer what is left with the same report.

        A tombstone may end during the audit: then nothing differs any more.
        """
        if not self._differing():
            return
        self._tools.begin(faulty=False)
        differences = self._audits.audit(whole=True, faulty=False)
        if not differences and not self._differing():
            return
        if not differences:
            raise ViolationError("O6", f"without faults, an audit is unknown: {differences}")
        seen = self._promises.raw()
        self._repairs.repair(differences, limit=ALL, faulty=False)
        if self._differing():
            self._answering.answer(winner, KINDS, differences, seen, limit=ALL, faulty=False)

    def _differing(self) -> list[str]:
        raw = self._promises.raw()
        found = self._audits.expected(
            raw, whole=True, now=self._system.time.now, explained=frozenset()
        )
        return sorted(found)

    def _held(self) -> Mapping[str, set[_Held]]:
        """What is held in a store, or on the stream, of each image that was touched or lost."""
        system = self._system
        found: dict[str, set[_Held]] = {}
        touched = system.losses.images.union(*system.touched.values())
        for image_id in touched:
            entries = (
                said_by_item(system.table.items.get(image_id), whole=True),
                said_by_document(system.index.documents.get(image_id), whole=True),
            )
            found[image_id] = {_as_held(one) for one in entries if one and self._counts(one)}
        since = system.stream.since
        for accepted in system.stream.accepted if self._around.replays else ():
            meaning = system.interpret(accepted)
            if (
                accepted.arrived_at >= since
                and not isinstance(meaning, Poison)
                and meaning.image_id in touched
            ):
                held = _Held(meaning.version, meaning.digest or "")
                found[meaning.image_id].add(held)
        return found

    def _counts(self, one: Said) -> bool:
        """Whether a producer can have sent this, so that the other store may get it."""
        latest = (self._system.time.now + _DAY) * 1_000_000
        return not one.is_malformed and one.version <= latest

    def _lost(self, expected: Mapping[str, set[_Held]], put: frozenset[str]) -> str | None:
        """O6: the first image that is not at the highest version that was held; None if all are."""
        system = self._system
        now = system.time.now
        for image_id, held in expected.items():
            if not held or image_id in put:
                continue
            highest = max(one.version for one in held)
            item = said_by_item(system.table.items.get(image_id), whole=True)
            index = said_by_document(system.index.documents.get(image_id), whole=True)
            gone = all(one is None or one.is_over(now) for one in (item, index))
            if gone and any(one.version == highest and not one.content for one in held):
                continue
            there = item or index
            if there is None or _as_held(there) not in held or there.version != highest:
                return f"{image_id} was held as {sorted(held)}, and ends as {there}"
        return None


def _as_held(one: Said) -> _Held:
    return _Held(one.version, "" if one.deleted else one.content[0] or "")
