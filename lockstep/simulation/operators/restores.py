"""Restores: either store as it was at an earlier moment of the history, at most 91 days ago."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from lockstep.simulation.operators.audits import AT_A_LIMIT_SHARE
from lockstep.simulation.operators.guide import Guide
from lockstep.simulation.operators.limits import AgeLimits
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Tools

RESTORABLE_SECONDS = 91 * 86_400
# The moments that are remembered: more than the steps of most histories.
MOST_MOMENTS = 16


class _Moment(msgspec.Struct, frozen=True):
    """Both stores at one time. The entries are never changed, so a shallow copy is complete."""

    at: float
    items: Mapping[str, Any]
    documents: Mapping[str, Any]


class Restores:
    """Restores the stores of one system."""

    def __init__(self, tools: Tools, promises: Promises, limits: AgeLimits, guide: Guide) -> None:
        """Restore with these tools; `guide` is what an operator does afterwards."""
        self._system = tools.system
        self._promises = promises
        self._limits = limits
        self._guide = guide
        self._moments: deque[_Moment] = deque(maxlen=MOST_MOMENTS)

    def remember(self) -> None:
        """Remember what both stores hold now."""
        system = self._system
        self._moments.append(
            _Moment(system.time.now, system.table.items.copy(), system.index.documents.copy())
        )

    def step(self) -> None:
        """Restore one store; sometimes follow the guide at once."""
        chance = self._system.conditions.chance
        self._limits.reach(AT_A_LIMIT_SHARE)
        of_table, follows = chance.random() < 0.6, chance.random() < 0.5  # noqa: PLR2004 - mostly the table
        if self.restore(of_table=of_table) and follows:
            self._guide.follow()

    def restore(self, *, of_table: bool, latest: bool = False) -> bool:
        """Restore one store to one of the remembered moments; false if none is young enough.

        `latest`: to the latest one.
        """
        system = self._system
        since = system.time.now - RESTORABLE_SECONDS
        moments = [one for one in self._moments if one.at >= since]
        if not moments:
            return False
        moment = moments[-1] if latest else system.conditions.chance.choice(moments)
        if of_table:
            items = system.table.items
            self._touch_differing(items, moment.items)
            items.clear()
            items.update(moment.items)
        else:
            self._touch_differing(system.index.documents, moment.documents)
            system.index.documents = dict(moment.documents)
        system.conditions.hidden_effects += 1
        system.conditions.tally["table restored" if of_table else "index restored"] += 1
        return True

    def _touch_differing(self, entries: Mapping[str, Any], to: Mapping[str, Any]) -> None:
        for image_id in sorted(entries.keys() | to.keys()):
            if entries.get(image_id) is not to.get(image_id):
                self._promises.touch(image_id)
