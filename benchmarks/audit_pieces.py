"""Measure the audit in pieces: ids per second of one core, memory, and requests to the bucket.

    python -m benchmarks.audit_pieces [IDS]

No engine runs. The pages of both stores are those of `benchmarks.audit`: versions and digests. The
bucket is a temporary folder, so that its objects are not in the memory that is measured. Time is
processor time of one core.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.audit import CLOCK, IDS, MEBIBYTE, Pages, scan_page, search_page
from lockstep.audit.pieces.pieces import Pieces, parts_for
from lockstep.audit.pieces.schedule import Every, next_audit
from lockstep.audit.pieces.state import hold
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexPoint
from lockstep.stores.pages import SearchPage, SearchPages, scanned
from lockstep.stores.table import EntryPage


class Folder:
    """A bucket in a folder. Counts requests, and bytes that are written."""

    def __init__(self, path: Path) -> None:
        self.requests: Counter[str] = Counter()
        self.bytes = 0
        self._path = path

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`."""
        raise NotImplementedError(prefix)

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        self.requests["GET"] += 1
        file = self._file(key)
        return file.read_bytes() if file.exists() else None

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """See `TaggedObjects.read_tagged`; the only writer needs no ETag."""
        body = self.read(key)
        return None if body is None else (body, "")

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """See `TaggedObjects.read_part`."""
        self.requests["GET"] += 1
        with self._file(key).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def write(self, key: str, body: bytes) -> None:
        """See `Objects.write`."""
        self.requests["PUT"] += 1
        self.bytes += len(body)
        self._file(key).write_bytes(body)

    def write_new(self, key: str, body: bytes) -> None:
        """See `Objects.write_new`."""
        raise NotImplementedError(key)

    def replace(self, key: str, body: bytes, tag: str | None) -> str | None:
        """See `TaggedObjects.replace`."""
        del tag
        self.write(key, body)
        return ""

    def delete(self, key: str) -> None:
        """See `Objects.delete`."""
        raise NotImplementedError(key)

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `Objects.delete_all`."""
        raise NotImplementedError(keys)

    def _file(self, key: str) -> Path:
        return self._path / key.replace("/", "_")


class Table:
    """The table."""

    def __init__(self, pages: Pages[bytes]) -> None:
        self._pages = pages

    def entry_pages(self, position: str | None) -> Iterator[EntryPage]:
        """See `TableReader.entry_pages`."""
        del position
        for page in self._pages:
            decoded = scanned(page)
            if decoded is None:
                raise AssertionError(page)
            yield EntryPage(decoded[0], "more")
        yield EntryPage([], None)

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """Never called, because the stores are equal."""
        raise NotImplementedError(image_ids)


class Index:
    """The index."""

    def __init__(self, pages: Pages[str]) -> None:
        self._pages = pages

    def open_point(self, keep_alive: str) -> IndexPoint:
        """See `IndexReader.open_point`."""
        return IndexPoint("point", keep_alive)

    def entry_pages(self, point: IndexPoint) -> Iterator[tuple[Sequence[Entry], IndexPoint]]:
        """See `IndexReader.entry_pages`."""
        decoder = SearchPages()
        for text in self._pages:
            yield cast("SearchPage", decoder.loads(text)).entries(), point

    def close_point(self, point: IndexPoint) -> None:
        """Nothing to close."""

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """Never called, because the stores are equal."""
        raise NotImplementedError(image_ids)


def main() -> None:
    """Run the pass over versions once, in one invocation, and print what it used."""
    ids = int(sys.argv[1]) if len(sys.argv) > 1 else IDS
    table, index = Pages(ids, 1, scan_page), Pages(ids, 2, search_page)
    with TemporaryDirectory() as folder:
        bucket = Folder(Path(folder))
        held = hold(
            bucket,
            now=0.0,
            until=1.0,
            begin=lambda before: next_audit(
                before, Every(1.0), now=time.time(), parts=lambda: parts_for(ids)
            ),
        )
        if held is None:
            raise AssertionError
        pieces = Pieces(
            held,
            Table(table),
            Index(index),
            quarantined_images=list,
            clock=CLOCK,
            remaining=lambda: 1_000.0,
            settled=lambda: 0.0,
        )
        began = time.process_time()
        found = pieces.go_on()
        took = time.process_time() - began - table.making - index.making
    if found is None or (found.result, found.table, found.index) != ("equal", ids, ids):
        sys.exit(f"the stores must be equal, but the audit found {found}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{ids:,} ids, {held.state.parts} partitions: {ids / took:,.0f} ids/s per core, "
        f"{peak / MEBIBYTE:.0f} MiB peak, {bucket.bytes / ids:.0f} bytes written for each id, "
        f"{bucket.requests['PUT']:,} PUT and {bucket.requests['GET']:,} GET requests"
    )


if __name__ == "__main__":
    main()
