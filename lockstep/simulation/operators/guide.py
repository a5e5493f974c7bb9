"""The order of docs/guides/restore.md: from every state to equal stores (O6)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lockstep.simulation.interpretation import RETENTION, Poison
from lockstep.simulation.operators.answering import KINDS, Answering
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

    def __init__(
        self,
        tools: Tools,
        promises: Promises,
        audits: Audits,
        repairs: Repairs,
        answering: Answering,
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
        system.stores_refuse = False
        around.drain()
        expected = self._held()
        self._tools.begin(faulty=False)
        around.replay()
        put: set[str] = set()
        for winner in ("index", "table"):
            self._repair()
            self._answer(winner)
        for image_id in self._differing():
            # The item is malformed, and nothing can replace it: put the image again.
            put.add(image_id)
            around.put(image_id)
        if put:
            around.drain()
            self._tools.begin(faulty=False)
            self._repair()
        left = self._differing()
        if left:
            raise ViolationError("O6", f"at the end of the guide, {left} differ")
        self._check(expected, put)
        system.conditions.fault_rate = rate
        system.conditions.tally["guide followed to its end"] += 1

    def _repair(self) -> None:
        differences = self._audits.audit(whole=True, faulty=False)
        if differences:
            self._repairs.repair(differences, limit=ALL, faulty=False)

    def _answer(self, winner: Any) -> None:
        differences = self._audits.audit(whole=True, faulty=False)
        if differences:
            seen = self._promises.raw()
            self._answering.answer(winner, KINDS, differences, seen, limit=ALL, faulty=False)

    def _differing(self) -> list[str]:
        raw = self._promises.raw()
        found = self._audits.expected(
            raw, whole=True, now=self._system.time.now, explained=frozenset()
        )
        return sorted(found)

    def _held(self) -> Mapping[str, set[_Held]]:
        """What is held of each touched image in a store, or on the stream."""
        system = self._system
        found: dict[str, set[_Held]] = {}
        touched = set().union(*system.touched.values())
        for image_id in touched:
            entries = (
                said_by_item(system.table.items.get(image_id), whole=True),
                said_by_document(system.index.documents.get(image_id), whole=True),
            )
            found[image_id] = {_as_held(one) for one in entries if one and self._counts(one)}
        since = system.time.now - RETENTION.total_seconds()
        for accepted in system.stream.accepted:
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

    def _check(self, expected: Mapping[str, set[_Held]], put: set[str]) -> None:
        """O6: each touched image is at the highest version that was held."""
        system = self._system
        for image_id, held in expected.items():
            if not held or image_id in put:
                continue
            highest = max(one.version for one in held)
            item = said_by_item(system.table.items.get(image_id), whole=True)
            index = said_by_document(system.index.documents.get(image_id), whole=True)
            if item is None and index is None:
                gone = any(one.version == highest and not one.content for one in held)
                if gone:
                    continue
            now = item or index
            if now is None or _as_held(now) not in held or now.version != highest:
                raise ViolationError(
                    "O6", f"{image_id} was held as {sorted(held)}, and ends as {now}"
                )


def _as_held(one: Said) -> _Held:
    return _Held(one.version, "" if one.deleted else one.content[0] or "")
