"""The spill: both stores' entries on disk, and the images that are suspect.

Neither store hands its entries over in an order that the other one has. So each entry goes into
one of many parts, by a hash of its id; then both stores' entries of a part are compared in memory.
What is held at once is one part of each store.

Nearly all entries are plain: an image of which the version pass compares version and digest. They
are kept as rows, without an object for each, and compared as sets.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any, Literal

import msgspec

from lockstep.audit.compare import difference
from lockstep.stores.entry import Entry

type Store = Literal["table", "index"]
_STORES: Sequence[Store] = ("table", "index")

_AT_ONCE = 1000
# Ten million entries make parts of some twenty thousand.
_PARTS = 512
# Entries held before they go to disk: some for each part, so that its pieces are few.
_HELD = 131_072


class Suspect(msgspec.Struct, frozen=True):
    """An image that seems to differ, and where it was when both stores were read.

    `seen` is the newest version that one of them had at a look when it was under way, 0 if none.
    """

    image_id: str
    in_table: bool
    in_index: bool
    seen: int = 0


type _Row = tuple[str, int, str]
"""Image id, version, digest."""


class _Held(msgspec.Struct):
    """Entries of a part, on their way to disk; `rows` one after the other, in one list."""

    rows: list[str | int]
    others: list[Entry]


class _Part(msgspec.Struct):
    """One store's entries of a part."""

    rows: set[_Row]
    others: dict[str, Entry]


class _Kept:
    """One store's entries on disk: one file, and where in it the pieces of each part are."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("xb+")
        self._end = 0
        self._pieces: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]

    def add(self, part: int, packed: bytes) -> None:
        """Keep a piece of a part."""
        self._file.write(packed)
        self._pieces[part].append((self._end, len(packed)))
        self._end += len(packed)

    def of(self, part: int) -> Iterator[bytes]:
        """The pieces of a part, in their order."""
        for start, length in self._pieces[part]:
            self._file.seek(start)
            yield self._file.read(length)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


class Spill:
    """Files in this folder; it may go when the audit is done."""

    def __init__(self, folder: Path) -> None:
        self._rows: list[list[str | int]] = [[] for _ in range(_PARTS)]
        self._others: list[list[Entry]] = [[] for _ in range(_PARTS)]
        self._count = 0
        self._store: Store = "table"
        self._kept = {store: _Kept(folder / store) for store in _STORES}
        self._database = sqlite3.connect(folder / "suspects.db", isolation_level=None)
        self._database.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE suspect
                (image_id TEXT PRIMARY KEY, in_table INT, in_index INT, seen INT) WITHOUT ROWID;
        """)

    def add(self, store: Store, entries: Sequence[Entry]) -> None:
        """Keep these entries of a store."""
        if store != self._store:
            self._flush()
            self._store = store
        rows, others = self._rows, self._others
        for entry in entries:
            image_id, version, digest = entry.image_id, entry.version, entry.digest
            part = hash(image_id) % _PARTS
            if digest is None or entry.guard != version or entry.rest is not None:
                others[part].append(entry)
            else:
                rows[part].extend((image_id, version, digest))
        self._count += len(entries)
        if self._count >= _HELD:
            self._flush()

    def compare(self, now: float) -> None:
        """Suspect every image of which the stores' entries differ, or one is malformed."""
        self._flush()
        for part in range(_PARTS):
            self.suspect(_suspects(self._read("table", part), self._read("index", part), now))

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """Keep these as suspect."""
        for some in batched(suspects, _AT_ONCE, strict=False):
            rows = map(msgspec.structs.astuple, some)
            self._change("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?, ?)", rows)

    def suspects(self, at_once: int) -> Iterator[Sequence[Suspect]]:
        """All suspects, in the order of ids, so many at once; those seen may be cleared."""
        after = ""
        while rows := self._database.execute(
            "SELECT * FROM suspect WHERE image_id > ? ORDER BY image_id LIMIT ?", (after, at_once)
        ).fetchall():
            yield [
                Suspect(one, bool(in_table), bool(in_index), seen)
                for one, in_table, in_index, seen in rows
            ]
            after = rows[-1][0]

    def clear(self, image_ids: Iterable[str]) -> None:
        """These are suspect no more."""
        self._change("DELETE FROM suspect WHERE image_id = ?", ((one,) for one in image_ids))

    def close(self) -> None:
        """Let the files go."""
        self._database.close()
        for kept in self._kept.values():
            kept.close()

    def _flush(self) -> None:
        """What is held goes to disk."""
        kept = self._kept[self._store]
        for part, (rows, others) in enumerate(zip(self._rows, self._others, strict=True)):
            if rows or others:
                kept.add(part, _encoder.encode(_Held(rows, others)))
                rows.clear()
                others.clear()
        self._count = 0

    def _read(self, store: Store, part: int) -> _Part:
        """A part's entries of one store."""
        found = _Part(set(), {})
        for packed in self._kept[store].of(part):
            held = _decoder.decode(packed)
            rows: Any = held.rows
            found.rows.update(zip(rows[0::3], rows[1::3], rows[2::3], strict=True))
            found.others.update((entry.image_id, entry) for entry in held.others)
        return found

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Held)


def _suspects(table: _Part, index: _Part, now: float) -> Iterator[Suspect]:
    # A row that only one store has differs from whatever the other one has, if anything. (Or a scan
    # showed an item twice, as it was and as it is, when its partition split under it: a second look
    # will tell.)
    in_table = {image_id for image_id, _, _ in table.rows - index.rows}
    in_index = {image_id for image_id, _, _ in index.rows - table.rows}
    differing = in_table | in_index
    for image_id in differing | table.others.keys() | index.others.keys():
        one, other = table.others.get(image_id), index.others.get(image_id)
        if image_id in differing or difference(one, other, now=now) is not None:
            yield Suspect(
                image_id,
                in_table=image_id in in_table or one is not None,
                in_index=image_id in in_index or other is not None,
            )
