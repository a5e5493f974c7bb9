"""Seeded bugs of imports that are killed and resumed, and of purges at once."""

from collections.abc import Iterable, Mapping
from typing import override

from functions.write_to_es.bulk import BulkItem
from lockstep.producing.backfill import Backfill, Backfilled, Point, RecordSource
from lockstep.simulation.components import Components
from lockstep.stores.corrections import Corrections
from shared.outcome import Failed, Outcome


class SavesItsProgressFirst(Backfill):
    """The progress is saved before the images of a file are put."""

    @override
    def _run(self, source: RecordSource, after: int) -> None:
        with source.records(are_events=True) as found:
            lines = sum(1 for _ in found)
        self._on_step(Point(source.name, lines), self.so_far)
        super()._run(source, after)


class BeginsAgain(Backfill):
    """An import that is resumed begins at the first file."""

    @override
    def run(self, given: Iterable[RecordSource], after: Point | None = None) -> Backfilled:
        return super().run(given)


class SkipsAFile(Backfill):
    """An import that is resumed leaves out the file after the one where it ended."""

    @override
    def run(self, given: Iterable[RecordSource], after: Point | None = None) -> Backfilled:
        sources = list(given)
        if after is not None:
            at = [one.name for one in sources].index(after.source)
            del sources[at + 1 : at + 2]
        return super().run(sources, after)


class FailsOnWhatIsGone(Corrections):
    """A removal of what another purge has removed counts as failed."""

    @override
    def _read(self, item: BulkItem) -> Outcome:
        return Failed("not found") if item.found_nothing else super()._read(item)


WRONG: Mapping[str, Components] = {
    "import: the progress is saved before the images are put": Components(
        backfill=SavesItsProgressFirst
    ),
    "import: an import that is resumed begins again": Components(backfill=BeginsAgain),
    "import: an import that is resumed leaves out a file": Components(backfill=SkipsAFile),
    "purge: what another purge has removed counts as failed": Components(
        corrections=FailsOnWhatIsGone
    ),
}
