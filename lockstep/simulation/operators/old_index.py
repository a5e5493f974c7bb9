"""Rebuilds months after an index was created: what was deleted since must not come back."""

from lockstep.simulation.operators.limits import DAY, HORIZON_DAYS, HOUR, RESTORABLE_DAYS
from lockstep.simulation.operators.rebuilds import Rebuilds
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.store_views import StoredVersion, held_by
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError

_MOST_DELETED = 2
# Then each tombstone has expired.
_MOST_DAYS = 260


class OldIndices:
    """Lets an index become old, and then an operator rebuild."""

    def __init__(self, system: System, rebuilds: Rebuilds, around: Surroundings) -> None:
        """Rebuild the index of this system."""
        self._system = system
        self._rebuilds = rebuilds
        self._around = around

    def step(self) -> None:
        """Rebuild, delete images, and rebuild again when most tombstones have expired.

        The first rebuild has replaced an index, which was kept; or it was killed, and its new index
        did not get the deletions.

        Raises:
            ViolationError: O5: an image came back that was deleted.
        """
        chance, time = self._system.conditions.chance, self._system.time
        self._around.drain()
        created = time.now
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._rebuilds.rebuild()
            self._around.drain()
        else:
            self._rebuilds.leave_unfinished()
        deleted = self._delete_some()
        limit = chance.choice((RESTORABLE_DAYS, HORIZON_DAYS, HORIZON_DAYS, _MOST_DAYS)) * DAY
        time.advance(max(0.0, created + limit + chance.choice((-HOUR, HOUR)) - time.now))
        self._around.purge()
        # A purge that came after the rebuild could take what the new index has of a lower version.
        time.settle()
        if time.now - created > RESTORABLE_DAYS * DAY:
            self._system.index.nodes.followed = None  # a rebuild copies nothing from it any more
        self._rebuilds.rebuild()
        self._around.drain()
        self._system.conditions.tally["rebuilt months after an index was created"] += 1
        self._check(deleted)

    def _delete_some(self) -> dict[str, set[StoredVersion]]:
        """Delete some images; return what the table held of each before.

        What somebody changed by hand may hide the deletion.
        """
        system, table = self._system, self._system.consumers["write_to_dynamodb"].store
        touched = {image_id for one in system.touched.values() for image_id in one}
        there = sorted(table.versions(touched))
        chosen = system.conditions.chance.sample(there, min(_MOST_DELETED, len(there)))
        was = {
            image_id: {held_by(one)[0] for one in table.journal if one.image_id == image_id}
            for image_id in chosen
        }
        for image_id in chosen:
            self._around.delete(image_id)
        for _ in range(2):  # the index may read what the table tells
            for one in self._around.pollers:
                one.drain()
            system.time.settle()
        held = table.versions()
        return {one: was[one] for one in chosen if one in held and held[one].digest is None}

    def _check(self, deleted: dict[str, set[StoredVersion]]) -> None:
        for image_id, was in deleted.items():
            held = self._system.consumers["write_to_es"].store.stored_version(image_id)
            if held is not None and held.digest is not None and held in was:
                raise ViolationError("O5", f"a rebuild brought back {held} of {image_id}")
