"""The spill: both stores' entries on disk, and the images that are suspect.

Neither store hands its entries over in an order that the other one has. So each entry goes into
one of many files, by a hash of its id; then the two files of a part are compared in memory. What
is held at once is one part of each store.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Literal

import msgspec

from lockstep.audit.compare import difference
from lockstep.audit.entry import Entry

type Store = Literal["table", "index"]

_AT_ONCE = 1000
# Ten million entries make parts of some twenty thousand.
_PARTS = 512
# Entries held before they go to disk: some for each part, so that a file is seldom opened.
_HELD = 131_072


class Suspect(msgspec.Struct, frozen=True):
    """An image that seems to differ, and where it was when both stores were read.

    `seen` is the newest version that one of them had at a look when it was under way, 0 if none.
    """

    image_id: str
    in_table: bool
    in_index: bool
    seen: int = 0


class Spill:
    """Files in this folder; it may go when the audit is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[list[Entry]] = [[] for _ in range(_PARTS)]
        self._count = 0
        self._store: Store = "table"
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
        held = self._held
        for entry in entries:
            held[hash(entry.image_id) % _PARTS].append(entry)
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

    def _flush(self) -> None:
        """What is held goes to disk."""
        for part, entries in enumerate(self._held):
            if entries:
                packed = _encoder.encode(entries)
                with self._file(self._store, part).open("ab") as file:
                    file.write(len(packed).to_bytes(4) + packed)
                entries.clear()
        self._count = 0

    def _read(self, store: Store, part: int) -> Mapping[str, Entry]:
        """A part's entries of one store, by id; its file goes."""
        file = self._file(store, part)
        entries: dict[str, Entry] = {}
        if not file.exists():
            return entries
        packed = memoryview(file.read_bytes())
        file.unlink()
        while packed:
            end = 4 + int.from_bytes(packed[:4])
            # A scan may show an item twice when its partition splits under it: the last one counts.
            entries.update({entry.image_id: entry for entry in _decoder.decode(packed[4:end])})
            packed = packed[end:]
        return entries

    def _file(self, store: Store, part: int) -> Path:
        return self._folder / f"{store}-{part}"

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


def _suspects(
    table: Mapping[str, Entry], index: Mapping[str, Entry], now: float
) -> Iterator[Suspect]:
    for image_id, entry in table.items():
        other = index.get(image_id)
        if entry == other and not entry.malformed and entry.guard == entry.version:
            continue
        if difference(entry, other, now=now) is not None:
            yield Suspect(image_id, in_table=True, in_index=other is not None)
    for image_id, entry in index.items():
        if image_id not in table and difference(None, entry, now=now) is not None:
            yield Suspect(image_id, in_table=False, in_index=True)
