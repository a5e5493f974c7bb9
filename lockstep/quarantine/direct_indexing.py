"""Writes to the index what only its consumer has quarantined: nothing of it reaches the table."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from lockstep.quarantine.records import change_in
from lockstep.stores.image_state import Intact, Malformed
from lockstep.stores.readers import WholeLookup
from shared.change import Change
from shared.outcome import Conflict, Outcome, Refused
from shared.quarantine import QuarantinedRecord
from shared.sink import Sink, write_all


class IndexOverwriter(Protocol):
    """See `lockstep.stores.corrections.Corrections`."""

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes, also over documents of the same version."""
        ...


class DirectIndexing(msgspec.Struct, frozen=True):
    """Writes to the index what only its consumer has quarantined.

    `sink` is the index's, `corrections` overwrites documents of the index, `table` reads the table.
    """

    sink: Sink
    corrections: IndexOverwriter
    table: WholeLookup

    def write(self, records: Sequence[QuarantinedRecord]) -> list[Outcome]:
        """Write the records' changes, with the version check; those of an image in this order.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is corrected.
        """
        left = list(enumerate(map(change_in, records)))
        outcomes: dict[int, Outcome] = {}
        while left:  # a request may hold one change of an image
            first: dict[str, tuple[int, Change]] = {}
            for at, change in left:
                first.setdefault(change.image_id, (at, change))
            written = write_all([change for _, change in first.values()], self.sink)
            outcomes |= dict(zip((at for at, _ in first.values()), written, strict=True))
            left = [one for one in left if one[0] not in outcomes]
        return [outcomes[at] for at in range(len(records))]

    def write_tables_content(self, image_id: str, now: float) -> Outcome | None:
        """Give the index what the table holds of an image, also over a document of that version.

        Args:
            image_id: the image.
            now: in seconds since 1970; an expired tombstone counts as absent.

        Returns:
            The outcome. `Stale`: the index holds a higher version, which stays. None: the table has
            nothing of the image, and the index stays as it is.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is corrected.
            StoreUnreadableError: the table cannot be read.
        """
        match self.table.lookup_whole([image_id]).get(image_id):
            case Malformed(why):
                return Refused(f"the item in the table is malformed: {why}")
            case Intact(change) as stored if not stored.expired(now):
                (outcome,) = write_all([change], self.sink)
                if isinstance(outcome, Conflict):
                    (outcome,) = self.corrections.overwrite([change])
                return outcome
            case _:
                return None
