"""Seeded bugs of discarding quarantined records."""

from collections.abc import Mapping
from typing import Any, override

import msgspec

from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.quarantine.cases import Case
from lockstep.quarantine.discarding import Discarder, DiscardTrace
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.simulation.components import Components


class DeletesFirst(Discarder):
    """An object leaves the quarantine before its copy is durable."""

    @override
    def _copy(self, one: tuple[Case, str, bytes], trace: DiscardTrace) -> None:
        self._objects.delete(one[1])
        super()._copy(one, trace)


class KeepsTheLastReason(Discarder):
    """The second of two people replaces the reason of the first."""

    @override
    def _copy(self, one: tuple[Case, str, bytes], trace: DiscardTrace) -> None:
        _, key, body = one
        whole: dict[str, Any] = msgspec.json.decode(body)
        self._objects.write(discarded_key(key), msgspec.json.encode(whole | {"discarded": trace}))


class TellsNobody(Discarder):
    """The copy does not say who discarded the record, and why."""

    @override
    def _copy(self, one: tuple[Case, str, bytes], trace: DiscardTrace) -> None:
        _, key, body = one
        self._objects.write_new(discarded_key(key), body)


class MovesOneObject(Discarder):
    """Of a record that both consumers have quarantined, only one object is moved."""

    @override
    def _move(self, moving: Mapping[Case, Mapping[str, bytes]], trace: DiscardTrace) -> None:
        first = {case: dict([next(iter(bodies.items()))]) for case, bodies in moving.items()}
        super()._move(first, trace)


class KnowsOnlyRedriven(QuarantineOfTheUnsettled):
    """A replay puts a discarded record into the quarantine again."""

    @override
    def _was_settled(self, key: str) -> bool:
        return self._objects.read(redriven_key(key)) is not None


WRONG: Mapping[str, Components] = {
    "give up: an object is deleted before it is copied": Components(discarder=DeletesFirst),
    "give up: the last reason replaces the first": Components(discarder=KeepsTheLastReason),
    "give up: reason and person are not kept": Components(discarder=TellsNobody),
    "give up: one of two objects stays in quarantine": Components(discarder=MovesOneObject),
    "give up: a replay quarantines what was discarded": Components(
        unsettled=KnowsOnlyRedriven, discarded_by_operators=lambda *_: frozenset()
    ),
}
