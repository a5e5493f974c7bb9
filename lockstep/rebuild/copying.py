"""The carrying: what goes into the new index, out of the table and out of the old index.

Everything is written through the indexer's own sink, and so under its guard: what is newer in the
new index stays, whoever wrote it, and nothing that is carried twice does harm.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched, chain
from typing import Literal, assert_never

import msgspec

from lockstep.repair.decide import (
    Agree,
    NeedsOperator,
    OverwriteIndex,
    RecreateDocument,
    RemoveFromIndex,
    Republish,
    WriteIndex,
    WriteTable,
    decide,
)
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed
from lockstep.stores.readers import LOOKUP, EntryLookup, WholeLookup
from shared.change import Change
from shared.clock import Clock
from shared.outcome import Applied, Conflict, Duplicate, Failed, Refused, Stale
from shared.sink import RequestFailedError, Sink, outcomes_of

# Entries whose versions are compared at once.
COMPARED_AT_ONCE = 500
# After so many seconds in which an index took nothing the rebuild ends; it can be gone on with.
PATIENCE_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 10.0
# Of those that could not be carried, so many are remembered by name.
EXAMPLES = 1_000

Origin = Literal["table", "index"]


class Copy(msgspec.Struct, frozen=True):
    """This change goes into the new index."""

    change: Change


class Skip(msgspec.Struct, frozen=True):
    """Absent of this image does: the table has forgotten it, or outlived it."""


def content_for_new_index(
    table: ImageState, old: ImageState, *, now: float, horizon: dt.timedelta
) -> Copy | Skip | NeedsOperator:
    """What the new index is to hold of an image, by what the table and the old index hold.

    It is what a repair would make both stores say (`lockstep.repair.decide`). Only the guard of
    the old index, where that stands too high, is left behind with it.
    """
    match decide(table, old, now=now, horizon=horizon):
        case WriteTable(change) | WriteIndex(change) | OverwriteIndex(change):
            return Copy(change)
        case Republish() | RecreateDocument() | Agree():
            best = table if isinstance(table, Intact) else old
            return Copy(best.change) if isinstance(best, Intact) else Skip()
        case RemoveFromIndex():
            return Skip()
        case NeedsOperator() as tell:
            return tell
        case never:
            assert_never(never)


class Copier:
    """Carries images into the new index, and counts.

    `carried` counts what was written, by origin, `left` what stayed behind for good the last time
    that the old index was looked at. `told` says of each image that could not be carried why.
    """

    def __init__(
        self,
        table: WholeLookup,
        old: WholeLookup,
        new: EntryLookup,
        sink: Sink,
        *,
        clock: Clock,
        horizon: dt.timedelta,
    ) -> None:
        self.carried: Counter[Origin] = Counter()
        self.left = 0
        self.told: dict[str, str] = {}
        self._table = table
        self._old = old
        self._new = new
        self._sink = sink
        self._clock = clock
        self._horizon = horizon

    def all_of(self, images: Iterable[tuple[str, ImageState]]) -> None:
        """Copy images of the table, as they were read whole, but for tombstones past their time.

        What is newer in the new index stays.
        """
        now = self._clock.now()
        self._from_table(
            (image_id, stored)
            for image_id, stored in images
            if not (isinstance(stored, Intact) and stored.expired(now))
        )

    def newer_in_table(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Copy what is newer in the table than in the new index."""
        for image_ids in self._newer(entries, on_progress):
            self._from_table(self._table.lookup_whole(image_ids).items())

    def newer_in_old(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Copy what is newer in the old index than in the new one, as the table has it or not."""
        self.left = 0
        for image_ids in self._newer(entries, on_progress):
            self._from_old(self._old.lookup_whole(image_ids), self._table.lookup_whole(image_ids))

    def just_written(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Copy what was written to the old index a moment ago.

        The table need not be asked: nothing that is so young is forgotten.
        """
        for image_ids in self._newer(entries, on_progress):
            self._from_old(self._old.lookup_whole(image_ids), {})

    def _from_old(self, old: Mapping[str, ImageState], table: Mapping[str, ImageState]) -> None:
        changes = []
        for image_id, stored in old.items():
            match content_for_new_index(
                table.get(image_id, Absent()),
                stored,
                now=self._clock.now(),
                horizon=self._horizon,
            ):
                case Copy(change):
                    changes.append(change)
                case Skip():
                    self.left += 1
                case NeedsOperator(why):
                    self._tell(image_id, why)
        self._write("index", changes)

    def _from_table(self, images: Iterable[tuple[str, ImageState]]) -> None:
        changes = []
        for image_id, stored in images:
            match stored:
                case Intact(change):
                    changes.append(change)
                case Malformed(why):
                    self._tell(image_id, f"the table's item is malformed: {why}")
                case Absent():
                    pass
        self._write("table", changes)

    def _newer(
        self, entries: Iterable[Entry], on_progress: Callable[[int], None]
    ) -> Iterator[Sequence[str]]:
        """The images of which the new index has nothing, or a lower version."""
        read = 0
        for some in batched(entries, COMPARED_AT_ONCE, strict=False):
            there = self._new.lookup([entry.image_id for entry in some])
            now = self._clock.now()
            behind = [
                entry.image_id for entry in some if _is_newer(entry, there.get(entry.image_id), now)
            ]
            yield from batched(behind, LOOKUP, strict=False)
            read += len(some)
            on_progress(read)

    def _write(self, origin: Origin, changes: Sequence[Change]) -> None:
        """Write these, again and again where the index cannot for now.

        Raises:
            RequestFailedError: it could not for too long.
            MisconfiguredError: it cannot be written by us.
        """
        waited, pause = 0.0, 0.5
        while changes:
            later, why = [], ""
            for change, outcome in self._sent(changes):
                match outcome:
                    case Applied():
                        self.carried[origin] += 1
                        self.told.pop(change.image_id, None)
                    case Duplicate() | Stale():
                        self.told.pop(change.image_id, None)
                    case Conflict(detail) | Refused(detail):
                        self._tell(change.image_id, detail)
                    case Failed(detail):
                        later.append(change)
                        why = detail
            if len(later) < len(changes):
                waited, pause = 0.0, 0.5
            elif waited >= PATIENCE_SECONDS:
                raise RequestFailedError(why)
            changes = later
            if changes:
                self._clock.sleep(pause)
                waited += pause
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _sent(self, changes: Sequence[Change]) -> Iterator[tuple[Change, object]]:
        requests = self._sink.requests(changes)
        outcomes = chain.from_iterable(outcomes_of(one, self._sink.send) for one in requests)
        return zip(changes, outcomes, strict=True)

    def _tell(self, image_id: str, why: str) -> None:
        if len(self.told) < EXAMPLES:
            self.told[image_id] = why


def _is_newer(entry: Entry, there: Entry | None, now: float) -> bool:
    """Whether a source may have something for the new index.

    A tombstone past its time counts as absence; but it still ends the image below it.
    """
    if there is None:
        return not entry.expired(now)
    return not entry.malformed and entry.version > there.version
