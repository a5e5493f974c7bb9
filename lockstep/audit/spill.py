"""Spills both stores' entries to disk, and compares them in bounded memory.

The stores return their entries in different orders. So each entry goes into one of many
partitions, by a hash of its image ID, and the two stores are compared partition by partition, as a
Grace hash join does. Memory holds one partition of each store at a time.

Nearly all entries are plain: images of which only version and digest are compared. They are kept as
rows, without an object for each, and compared as sets.

The files have no names, so they vanish with the process. What is small stays in memory: the files
of few entries (tempfile.SpooledTemporaryFile), and SQLite's temporary database while it fits its
cache. So an audit of few images costs no file.
"""

import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import batched
from typing import Any, Literal

import msgspec

from lockstep.audit.compare import difference
from lockstep.stores.entry import Entry

type Store = Literal["table", "index"]
_STORES: Sequence[Store] = ("table", "index")

_BATCH = 1000
# With ten million entries, a partition has about twenty thousand.
_PARTITIONS = 512
# So many entries are kept in memory before they are written: pieces of a partition are large.
_IN_MEMORY = 131_072
# So many bytes of a store stay in memory instead of a file.
_SMALL = 1_048_576


class Suspect(msgspec.Struct, frozen=True):
    """An image that seems to differ, and which stores had it when they were read.

    `seen` is the newest version that a store had when the image was first found in progress; 0 if
    it never was.
    """

    image_id: str
    in_table: bool
    in_index: bool
    seen: int = 0


type _Row = tuple[str, int, str]
"""Image ID, version, digest."""


class _Chunk(msgspec.Struct):
    """A piece of a partition, as it is on disk; `rows` are flattened into one list."""

    rows: list[str | int]
    others: list[Entry]


class _Partition(msgspec.Struct):
    """One store's entries of a partition."""

    rows: set[_Row]
    others: dict[str, Entry]


class _PartitionFile:
    """One file with one store's entries, and the offsets of the pieces of each partition."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_SMALL)  # noqa: SIM115 - closed by `close`
        self._end = 0
        self._pieces: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    @property
    def partitions(self) -> AbstractSet[int]:
        """The partitions that have a piece."""
        return self._pieces.keys()

    def add(self, partition: int, piece: bytes) -> None:
        """Write a piece of a partition."""
        self._file.write(piece)
        self._pieces[partition].append((self._end, len(piece)))
        self._end += len(piece)

    def pieces(self, partition: int) -> Iterator[bytes]:
        """The pieces of a partition, in order."""
        for start, length in self._pieces.get(partition, ()):
            self._file.seek(start)
            yield self._file.read(length)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Spill:
    """Entries and suspects in temporary files."""

    def __init__(self) -> None:
        self._chunks: defaultdict[int, _Chunk] = defaultdict(lambda: _Chunk([], []))
        self._count = 0
        self._store: Store = "table"
        self._files = {store: _PartitionFile() for store in _STORES}
        self._opened: sqlite3.Connection | None = None

    def add(self, store: Store, entries: Sequence[Entry]) -> None:
        """Add entries of a store."""
        if store != self._store:
            self._flush()
            self._store = store
        chunks = self._chunks
        for entry in entries:
            image_id, version, digest = entry.image_id, entry.version, entry.digest
            chunk = chunks[hash(image_id) % _PARTITIONS]
            if digest is None or entry.checked_version != version or entry.rest is not None:
                chunk.others.append(entry)
            else:
                chunk.rows.extend((image_id, version, digest))
        self._count += len(entries)
        if self._count >= _IN_MEMORY:
            self._flush()

    def compare(self, now: float) -> None:
        """Suspect every image whose entries differ, or of which one is malformed."""
        self._flush()
        for partition in self._files["table"].partitions | self._files["index"].partitions:
            self.suspect(
                _suspects(self._read("table", partition), self._read("index", partition), now)
            )

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """Add suspects, or replace them."""
        for some in batched(suspects, _BATCH):
            rows = map(msgspec.structs.astuple, some)
            self._change("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?, ?)", rows)

    def suspects(self, at_once: int) -> Iterator[Sequence[Suspect]]:
        """All suspects by image ID, in batches. The caller may clear a batch when it has it."""
        after = ""
        if self._opened is None:
            return
        while rows := self._database.execute(
            "SELECT * FROM suspect WHERE image_id > ? ORDER BY image_id LIMIT ?", (after, at_once)
        ).fetchall():
            yield [
                Suspect(one, bool(in_table), bool(in_index), seen)
                for one, in_table, in_index, seen in rows
            ]
            after = rows[-1][0]

    def clear(self, image_ids: Iterable[str]) -> None:
        """Remove suspects."""
        self._change("DELETE FROM suspect WHERE image_id = ?", ((one,) for one in image_ids))

    def close(self) -> None:
        """Close the files."""
        if self._opened is not None:
            self._opened.close()
        for file in self._files.values():
            file.close()

    @property
    def _database(self) -> sqlite3.Connection:
        """The suspects, from the first one on. Without a name, it is a temporary database."""
        if self._opened is None:
            self._opened = sqlite3.connect("", isolation_level=None)
            self._opened.executescript("""
                PRAGMA journal_mode = OFF;
                PRAGMA synchronous = OFF;
                CREATE TABLE suspect
                    (image_id TEXT PRIMARY KEY, in_table INT, in_index INT, seen INT) WITHOUT ROWID;
            """)
        return self._opened

    def _flush(self) -> None:
        """Write the entries in memory to disk."""
        file = self._files[self._store]
        for partition, chunk in self._chunks.items():
            file.add(partition, _encoder.encode(chunk))
        self._chunks.clear()
        self._count = 0

    def _read(self, store: Store, partition: int) -> _Partition:
        """One store's entries of a partition."""
        found = _Partition(set(), {})
        for piece in self._files[store].pieces(partition):
            decoded = _decoder.decode(piece)
            rows: Any = decoded.rows
            found.rows.update(zip(rows[0::3], rows[1::3], rows[2::3], strict=True))
            found.others.update((entry.image_id, entry) for entry in decoded.others)
        return found

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Chunk)


def _suspects(table: _Partition, index: _Partition, now: float) -> Iterator[Suspect]:
    # If only one store has a row, the other store has another row of the image, or none. Or the
    # scan returned an item twice, before and after a change, because its DynamoDB partition split:
    # then the second lookup finds the stores equal.
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
