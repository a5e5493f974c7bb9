"""Purges of expired tombstones: by the time to live of the table, and by an operator."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import cast

import opensearchpy

from lockstep.repair.purge import Purged
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.comparison import said_by_document, said_by_item
from lockstep.simulation.operators.harm import Harm
from lockstep.simulation.operators.limits import AgeLimits
from lockstep.simulation.operators.promises import Promises, Raw
from lockstep.simulation.operators.restores import Restores
from lockstep.simulation.operators.tools import BREAKS_OFF, Surroundings, Tools
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError
from shared.sink import SinkError

LONGEST_PURGE_SECONDS = 3_600.0
# The share of expired tombstones that stay. DynamoDB may take days, and purging is optional.
STAYING_SHARE = 0.2
HARM_SHARE, DELETED_SHARE, RESTORED_SHARE = 0.3, 0.7, 0.4


class Expiry:
    """Removes expired tombstones, one by one, while the consumers work."""

    def __init__(self, system: System) -> None:
        """Purge in this system."""
        self._system = system
        self._conditions, self._time = system.conditions, system.time

    def purge(self) -> Sequence[str]:
        """Purge expired tombstones, now or within the hour, also during an invocation.

        DynamoDB purges by time to live only. The purge of the index deletes a tombstone only if no
        newer version is stored.

        Returns:
            The images whose tombstones of the index have expired.
        """
        self.purge_table()
        expired = [
            (image_id, document.version)
            for image_id, document in self._system.index.documents.items()
            if (document.source or {}).get("expires_at", self._time.now) < self._time.now
        ]
        for image_id, version in expired:
            self._soon(partial(self._purge_document, image_id, version))
        self._time.advance(0.0)
        return [image_id for image_id, _ in expired]

    def purge_table(self) -> None:
        """Purge expired tombstones of the table only."""
        for image_id, item in self._system.table.items.items():
            if "expires_at" in item and int(item["expires_at"]["N"]) < self._time.now:
                self._soon(partial(self._purge_item, image_id))

    def _soon(self, purge: Callable[[], None]) -> None:
        chance = self._conditions.chance
        if chance.random() < STAYING_SHARE:
            return
        delay = max(0.0, 2 * chance.random() - 1.0) ** 4 * LONGEST_PURGE_SECONDS
        self._time.later(delay, purge)

    def _purge_item(self, image_id: str) -> None:
        held = self._system.consumers["write_to_dynamodb"].store.stored_version(image_id)
        if not self._system.table.purge(image_id, self._time.now) or held is None:
            return
        self._conditions.hidden_effects += 1
        if held.digest is None:
            self._system.purged["write_to_dynamodb"].add((image_id, held.version))
            self._conditions.tally["expired tombstone purged from the table"] += 1

    def _purge_document(self, image_id: str, version: int) -> None:
        system = self._system
        system.purged["write_to_es"].add((image_id, version))

        def purge() -> None:
            # After an error the tombstone stays for the next purge.
            with suppress(SinkError, opensearchpy.OpenSearchException):
                system.components.purge(
                    cast("opensearchpy.OpenSearch", system.index), image_id, version
                )

        self._conditions.interleave(purge)
        if system.consumers["write_to_es"].store.stored_version(image_id) is None:
            self._conditions.tally["expired tombstone purged from the index"] += 1


class Purges:
    """Runs `lockstep purge`, and checks what it removes."""

    def __init__(  # noqa: PLR0917 - what its steps need
        self,
        tools: Tools,
        promises: Promises,
        audits: Audits,
        harm: Harm,
        limits: AgeLimits,
        restores: Restores,
        around: Surroundings,
    ) -> None:
        """Purge with these tools."""
        self._tools = tools
        self._system = tools.system
        self._promises = promises
        self._audits = audits
        self._harm = harm
        self._limits = limits
        self._restores = restores
        self._around = around

    def step(self) -> None:
        """Wait for the end of a tombstone, or nearly; purge, also with others in the middle."""
        chance, tools = self._system.conditions.chance, self._tools
        self._drain()
        images = sorted(self._system.table.items)
        if images and chance.random() < DELETED_SHARE:
            self._restores.remember()
            self._around.delete(chance.choice(images))
            self._drain()
            # The table may lose the deletion: then only the index has it.
            if chance.random() < RESTORED_SHARE:
                self._restores.restore(of_table=True, latest=True)
        if chance.random() < HARM_SHARE:
            self._harm.once()
        self._limits.reach(0.9, of_tombstones=True)
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            Expiry(self._system).purge_table()
        faulty = tools.begin()
        if chance.random() < 0.3:  # noqa: PLR2004 - some
            tools.before_request(self._around.meanwhile)
        if faulty:
            tools.may_die()
        self.purge(faulty=faulty)

    def together(self) -> None:
        """Two operators purge at once, after a tombstone has ended."""
        chance, tools = self._system.conditions.chance, self._tools
        self._drain()
        images = sorted(self._system.table.items)
        if not images:
            return
        self._around.delete(chance.choice(images))
        self._drain()
        self._limits.reach(1.0, of_tombstones=True)
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            Expiry(self._system).purge_table()
        faulty = tools.begin()

        def another() -> None:
            self._system.conditions.tally["two purges at once"] += 1
            with suppress(*BREAKS_OFF) if faulty else nullcontext():
                self._apply()

        tools.before_request(another)
        if faulty:
            tools.may_die()
        self.purge(faulty=faulty)

    def _drain(self) -> None:
        rate = self._system.conditions.fault_rate
        self._around.drain()
        self._system.conditions.fault_rate = rate

    def purge(self, *, faulty: bool) -> None:
        """Purge the index, and check it.

        Raises:
            ViolationError: it removed what is no expired tombstone or is needed, it left one, or an
                audit would say something else than before.
        """
        system, tools, promises = self._system, self._tools, self._promises
        before, others = promises.raw(), promises.others_wrote()
        wrote = len(tools.own_in_index)
        is_whole = False
        try:
            with promises.kept("O1", "O2"):
                done = self._apply()
            is_whole = not faulty
        except BREAKS_OFF:
            if not faulty and not system.index.missing:
                raise
        self._note(before, wrote)
        if not is_whole:
            self._note_late(before)
        if promises.others_wrote() > others:
            return
        self._check(before, is_whole=is_whole)
        if is_whole:
            if done.failed:
                raise ViolationError("O4", f"a purge without faults says {done}")
            wrote = len(tools.own_in_index)
            self._apply()
            self._note(before, wrote)
            # The time to live may have removed from the table what kept a tombstone in the index.
            alone = promises.others_wrote() == others and system.table.items == before.items
            for one in tools.own_in_index[wrote:] if alone else ():
                if not self._has_ended(before, one.image_id):
                    raise ViolationError("O4", f"the same purge again wrote {one}")

    def _has_ended(self, before: Raw, image_id: str) -> bool:
        """Whether a tombstone of the index has ended since then."""
        said = said_by_document(before.documents.get(image_id), whole=True)
        now = self._system.time.now
        return said is not None and said.is_over(now) and not said.is_over(before.now)

    def _note(self, before: Raw, wrote: int) -> None:
        """Note what a purge has removed.

        Args:
            before: the stores before the purge.
            wrote: how many writes to the index operators had made before the purge.

        Raises:
            ViolationError: O2: it wrote something else than the removal of a document.
        """
        for one in self._tools.own_in_index[wrote:]:
            document = before.documents.get(one.image_id)
            if one.version is not None or document is None or document.source is None:
                raise ViolationError("O2", f"a purge wrote {one}")
            self._system.purged["write_to_es"].add((one.image_id, document.version))
            self._system.conditions.tally["purged by an operator"] += 1

    def _note_late(self, before: Raw) -> None:
        """Note what a request of a purge may still remove after the purge has ended."""
        for image_id, document in before.documents.items():
            said = said_by_document(document, whole=True)
            if said is not None and said.is_over(before.now):
                self._system.purged["write_to_es"].add((image_id, said.version))

    def _apply(self) -> Purged:
        tools = self._tools
        return self._system.components.purge_all(
            tools.index_reader(),
            tools.table_reader(),
            tools.corrections,
            now=tools.clock.now(),
            apply=True,
        )

    def _check(self, before: Raw, *, is_whole: bool) -> None:
        now, after = self._system.time.now, self._promises.raw()
        explained = self._tools.explained() if is_whole else frozenset()
        was, found = (
            self._audits.expected(raw, whole=True, now=now, explained=explained)
            for raw in (before, after)
        )
        if len(before.items) == len(after.items) and was != found:
            raise ViolationError("O2", f"an audit before a purge says {was}, after it {found}")
        for image_id, document in after.documents.items() if is_whole else ():
            index = said_by_document(document, whole=True)
            table = said_by_item(after.items.get(image_id), whole=True)
            due = index is not None and index.is_over(before.now)
            if due and (table is None or table.is_over(before.now)):
                raise ViolationError("O2", f"a purge left {document}, which nobody needs")
