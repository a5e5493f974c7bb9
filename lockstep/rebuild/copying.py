"""Copies images from the table and the old index into the new index.

Every write goes through the index consumer's sink with its version check: a newer document in the
new index stays, whoever wrote it, and copying an image twice does no harm.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Literal, assert_never

from lockstep.repair.decide import (
    Agree,
    Ahead,
    NeedsOperator,
    OverwriteIndex,
    RecreateDocument,
    WriteIndex,
    decide,
)
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed, StoredImage
from lockstep.stores.readers import LOOKUP, EntryLookup, WholeLookup
from lockstep.stores.writing import settled
from shared.change import Change
from shared.clock import Clock
from shared.outcome import Applied, Conflict, Duplicate, Refused, Stale
from shared.sink import Sink

# The number of entries whose versions are compared in one step.
COMPARED_AT_ONCE = 500
# The reasons are kept for so many of the images that could not be copied.
EXAMPLES = 1_000

Origin = Literal["table", "index"]


def content_for_new_index(
    table: ImageState, old: StoredImage, *, now: float
) -> Change | NeedsOperator:
    """What the new index must hold of an image, given what the table and the old index hold.

    It is what the index would hold after a plain repair (`lockstep.repair.decide`): where the old
    index is ahead, its document as it is. A `_version` that was moved does not matter.
    """
    match decide(table, old, now=now):
        case WriteIndex(change) | OverwriteIndex(change):
            return change
        case Ahead(why=why):
            return old.change if isinstance(old, Intact) else NeedsOperator(why)
        case RecreateDocument() | Agree():
            best = table if isinstance(table, Intact) else old
            return best.change if isinstance(best, Intact) else NeedsOperator(best.why)
        case NeedsOperator() as needs_operator:
            return needs_operator
        case never:
            assert_never(never)


class Copier:
    """Copies images into the new index, and counts them.

    `copied` counts images by origin; also those that the new index had by then in the same version,
    because a request that timed out, and was sent again, may have written them. `failed` has the
    reason for each image that could not be copied.
    """

    def __init__(
        self,
        table: WholeLookup,
        new: EntryLookup,
        sink: Sink,
        *,
        clock: Clock,
    ) -> None:
        self.copied: Counter[Origin] = Counter()
        self.failed: dict[str, str] = {}
        self._table = table
        self._new = new
        self._sink = sink
        self._clock = clock

    def copy_all(self, images: Iterable[tuple[str, StoredImage]]) -> None:
        """Copy images that were read whole from the table, except expired tombstones."""
        now = self._clock.now()
        self._copy_from_table(
            (image_id, stored)
            for image_id, stored in images
            if not (isinstance(stored, Intact) and stored.expired(now))
        )

    def copy_newer_in_table(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Copy images that are newer in the table than in the new index."""
        for image_ids in self._newer(entries, on_progress):
            self._copy_from_table(self._table.lookup_whole(image_ids).items())

    def copy_newer_in_old(
        self,
        old: WholeLookup,
        entries: Iterable[Entry],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Copy images that are newer in the old index than in the new one."""
        for image_ids in self._newer(entries, on_progress):
            self._copy_from_old(old.lookup_whole(image_ids), self._table.lookup_whole(image_ids))

    def copy_just_written(
        self,
        old: WholeLookup,
        entries: Iterable[Entry],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Copy images that were just written to the old index.

        The table is not read: no tombstone of these images can have been purged yet.
        """
        for image_ids in self._newer(entries, on_progress):
            self._copy_from_old(old.lookup_whole(image_ids), {})

    def _copy_from_old(
        self, old: Mapping[str, StoredImage], table: Mapping[str, StoredImage]
    ) -> None:
        changes = []
        for image_id, stored in old.items():
            match content_for_new_index(
                table.get(image_id, Absent()), stored, now=self._clock.now()
            ):
                case NeedsOperator(why):
                    self._fail(image_id, why)
                case change:
                    changes.append(change)
        refused = self._write("index", changes)
        # The index's consumer has quarantined what the index refuses. What the old index has of
        # that image stays what readers find.
        details = {one.image_id: self.failed.get(one.image_id, "") for one in refused}
        stays = [one.change for it in details if isinstance(one := old[it], Intact)]
        self._write("index", [one for one in stays if one not in refused])
        for image_id, detail in details.items():
            self._fail(image_id, detail)

    def _copy_from_table(self, images: Iterable[tuple[str, StoredImage]]) -> None:
        changes = []
        for image_id, stored in images:
            match stored:
                case Intact(change):
                    changes.append(change)
                case Malformed(why):
                    self._fail(image_id, f"the item is malformed: {why}")
        self._write("table", changes)

    def _newer(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None]
    ) -> Iterator[Sequence[str]]:
        """The images that the new index lacks, or has in a lower version."""
        read = 0
        for some in batched(entries, COMPARED_AT_ONCE):
            in_new = self._new.lookup([entry.image_id for entry in some])
            now = self._clock.now()
            outdated = [
                entry.image_id
                for entry in some
                if _is_newer(entry, in_new.get(entry.image_id), now)
            ]
            yield from batched(outdated, LOOKUP)
            read += len(some)
            on_progress(read)

    def _write(self, origin: Origin, changes: Sequence[Change]) -> Sequence[Change]:
        """Write changes; retry those that fail for now; return those that the index refuses.

        Raises:
            RequestFailedError: writes failed for too long.
            MisconfiguredError: no right to write, or no index.
        """
        refused: list[Change] = []
        for change, outcome in settled(changes, self._sink, self._clock):
            if isinstance(outcome, Refused):
                refused.append(change)
            self._note(origin, change, outcome)
        return refused

    def _note(self, origin: Origin, change: Change, outcome: object) -> None:
        match outcome:
            case Applied() | Duplicate():
                self.copied[origin] += 1
                self.failed.pop(change.image_id, None)
            case Stale():
                self.failed.pop(change.image_id, None)
            case Conflict(detail) | Refused(detail):
                self._fail(change.image_id, detail)

    def _fail(self, image_id: str, why: str) -> None:
        if len(self.failed) < EXAMPLES:
            self.failed[image_id] = why


def _is_newer(entry: Entry, in_new: Entry | None, now: float) -> bool:
    """Whether the new index may need this entry.

    An expired tombstone counts as absent, but it still deletes a lower version of the image.
    """
    if in_new is None:
        return not entry.expired(now)
    return not entry.malformed and (bool(in_new.malformed) or entry.version > in_new.version)
