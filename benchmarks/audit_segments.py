"""Measure an audit in segments: ids per second of one core, memory, and requests for objects.

    python -m benchmarks.audit_segments [IDS [SEGMENTS]]

No engine runs. The pages of both stores are those of `benchmarks.audit`: versions and digests. One
process does all tasks, one after another, with the objects in a temporary folder. Time is processor
time of one core.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.audit import CLOCK, IDS, MEBIBYTE, Pages, scan_page, search_page
from lockstep.audit.pieces.pieces import parts_for
from lockstep.audit.segmented.tasks import Division, Work, rounds
from lockstep.stores.entry import Entry
from lockstep.stores.folder_objects import FolderObjects
from lockstep.stores.pages import SearchPage, SearchPages, scanned
from lockstep.stores.readers import Segment

SEGMENTS = 16


class CountedObjects(FolderObjects):
    """Counts requests, and bytes that are written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.requests: Counter[str] = Counter()
        self.bytes = 0

    def read(self, key: str) -> bytes | None:
        """See `FolderObjects.read`."""
        self.requests["GET"] += 1
        return super().read(key)

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """See `FolderObjects.read_part`."""
        self.requests["GET"] += 1
        return super().read_part(key, start, end)

    def write(self, key: str, body: bytes) -> None:
        """See `FolderObjects.write`."""
        self._count(body)
        super().write(key, body)

    def write_new(self, key: str, body: bytes) -> None:
        """See `FolderObjects.write_new`."""
        self._count(body)
        super().write_new(key, body)

    def _count(self, body: bytes) -> None:
        self.requests["PUT"] += 1
        self.bytes += len(body)


class Table:
    """The table, decoded as in an audit."""

    def __init__(self, pages: Pages[bytes]) -> None:
        self._pages = pages

    def scan_segment(self, segment: Segment) -> Iterator[Entry]:
        """See `SegmentReader.scan_segment`."""
        for page in self._pages.segment(segment.number, segment.of):
            decoded = scanned(page)
            if decoded is None:
                raise AssertionError(page)
            yield from decoded[0]


class Index:
    """The index, decoded as in an audit."""

    def __init__(self, pages: Pages[str]) -> None:
        self._pages = pages

    def scan_segment(self, segment: Segment) -> Iterator[Entry]:
        """See `SegmentReader.scan_segment`."""
        decoder = SearchPages()
        for text in self._pages.segment(segment.number, segment.of):
            yield from cast("SearchPage", decoder.loads(text)).entries()


def main() -> None:
    """Do all tasks once, and print what they used."""
    ids = int(sys.argv[1]) if len(sys.argv) > 1 else IDS
    segments = int(sys.argv[2]) if len(sys.argv) > 2 else SEGMENTS  # noqa: PLR2004 - the second word
    table, index = Pages(ids, 1, scan_page), Pages(ids, 2, search_page)
    division = Division(segments, parts_for(ids))
    with TemporaryDirectory() as folder:
        objects = CountedObjects(Path(folder))
        work = Work(objects, division, table=Table(table), index=Index(index), now=CLOCK.now)
        began = time.process_time()
        read, suspects = (sum(map(work.do, tasks)) for tasks in rounds(division))
        took = time.process_time() - began - table.making - index.making
    if (read, suspects) != (2 * ids, 0):
        sys.exit(f"the stores must be equal, but {suspects:,} of {read:,} entries differ")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{ids:,} ids, {segments} segments, {division.partitions} partitions: "
        f"{ids / took:,.0f} ids/s per core, {peak / MEBIBYTE:.0f} MiB peak, "
        f"{objects.bytes / ids:.0f} bytes written for each id, "
        f"{objects.requests['PUT']:,} PUT and {objects.requests['GET']:,} GET requests"
    )


if __name__ == "__main__":
    main()
