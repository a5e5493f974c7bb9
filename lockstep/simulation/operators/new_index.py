"""What must be true of a new index: at the switch, and after the rebuild."""

from typing import TYPE_CHECKING

from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.rebuild.rebuild import Rebuilt
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.broken_index import are_right
from lockstep.simulation.operators.comparison import said_by_document
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError

if TYPE_CHECKING:
    from lockstep.simulation.fakes.opensearch_cluster import FakeIndex


class NewIndexChecks:
    """Checks the new index of one system."""

    def __init__(self, system: System) -> None:
        """Check this system."""
        self._system = system
        self._nodes = system.index.nodes

    def at_switch(self, was: "FakeIndex", live: "FakeIndex") -> None:
        """O2: at the switch, the new index lacks only the last writes to the old one.

        A switch may come late, after another rebuild has looked at the old index again.

        Raises:
            ViolationError: readers lose something that was written before the last look of the
                rebuild that switched.
        """
        now = self._system.time.now
        seen = self._nodes.seen.get(was.history)
        for image_id, document in was.documents.items():
            said = said_by_document(document, whole=True)
            if said is not None and said.is_over(now):  # it counts as absent, and is not copied
                self._system.purged["write_to_es"].add((image_id, said.version))
                continue
            if said is None or said.is_malformed or not was.was_looked_at(image_id, seen):
                continue
            there = said_by_document(live.documents.get(image_id), whole=False)
            if there is None or there.version < said.version:
                raise ViolationError(
                    "O2",
                    f"after the switch, readers do not find version {said.version} of {image_id}",
                )

    def aliases(self, done: Rebuilt) -> None:
        """O6: both aliases are right, and the rebuild is known to have ended.

        Raises:
            ViolationError: they are not.
        """
        if not are_right(self._nodes):
            aliases = {one.name: one.aliases for one in self._nodes.indices.values()}
            raise ViolationError(
                "O6", f"after a rebuild to {done.index}, the aliases are {aliases}"
            )

    def note_conflicts(self) -> None:
        """Note where the old index and the new one hold two contents of one version.

        A consumer wrote the second one to the new index before the first one was copied. Then the
        second one stays there, and the audit of the rebuild names the conflict.
        """
        store = self._system.consumers["write_to_es"].store
        for one in self._nodes.indices.values():
            for image_id in one.documents if one is not self._nodes.live else ():
                was = store.stored_version(image_id, among=one.documents)
                held = store.stored_version(image_id)
                if was and held and was.version == held.version and was != held:
                    self._system.given_index.add((image_id, held))

    def has_the_table(self) -> None:
        """O6: the index has each image of the table, in that version or a higher one.

        But what the index refuses: a rebuild names it. If a higher version of the image was in the
        same batch, the index's consumer did not try it, and there is no object in the quarantine.

        Raises:
            ViolationError: it lacks one.
        """
        system, now = self._system, self._system.time.now
        if system.changes is not None and system.changes.may_miss:
            return  # only a repair gives the index what it missed between two sources
        aside = self._set_aside()
        for image_id, item in system.table.items.items():
            version = int(item["version"]["N"]) if "version" in item else 0
            document = system.index.documents.get(image_id)
            over = "expires_at" in item and int(item["expires_at"]["N"]) <= now
            if over or (document is not None and document.version >= version):
                continue
            if (image_id, version) in aside or image_id in system.touched["write_to_dynamodb"]:
                continue
            if system.index_ever_refuses(item):
                continue
            raise ViolationError(
                "O6", f"the table has version {version} of {image_id}, the rebuilt index {document}"
            )

    def _set_aside(self) -> set[tuple[str, int]]:
        """The image and version of each event that the index's consumer has set aside, or lost."""
        system = self._system
        consumer = system.consumers["write_to_es"]
        found = set()
        for accepted in system.records():
            event = system.meaning(accepted)
            key = system.quarantine_key(consumer, accepted)
            objects = system.bucket.objects
            number = accepted.sequence_number
            if not isinstance(event, Poison) and (
                system.losses.is_lost("write_to_es", accepted)
                or key in objects
                or redriven_key(key) in objects
                or discarded_key(key) in objects
                or number in system.discards["write_to_es"].attempted
            ):
                found.add((event.image_id, event.version))
        return found
