"""Spills both stores' entries to disk, and compares them in bounded memory.

The stores return their entries in different orders. So each entry goes into one of many
partitions, by a hash of its image ID, and the two stores are compared partition by partition, as a
Grace hash join does. Memory holds one partition of each store at a time.

The files have no names, so they vanish with the process. Few entries stay in memory
(tempfile.SpooledTemporaryFile), so an audit of few images costs no file.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from lockstep.audit.comparison import DifferenceRule
from lockstep.audit.partition import Chunk, encoded, joined, suspects_of
from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry

# With ten million entries, a partition has about twenty thousand.
_PARTITIONS = 512
# So many entries are kept in memory before they are written: pieces of a partition are large.
_IN_MEMORY = 131_072
# So many bytes of a store stay in memory instead of a file.
_SMALL = 1_048_576


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
    """The entries of both stores, in temporary files."""

    def __init__(self, record: str, replica: str) -> None:
        """Set up the files of the system of record and of the replica, which have these names."""
        self._chunks: defaultdict[int, Chunk] = defaultdict(lambda: Chunk([], []))
        self._count = 0
        self._store = record
        self._files = {record: _PartitionFile(), replica: _PartitionFile()}

    def add(self, store: str, entries: Sequence[Entry]) -> None:
        """Add entries of a store."""
        if store != self._store:
            self._flush()
            self._store = store
        chunks = self._chunks
        for entry in entries:
            chunks[hash(entry.image_id) % _PARTITIONS].add(entry)
        self._count += len(entries)
        if self._count >= _IN_MEMORY:
            self._flush()

    def compare(self, now: float, comparison: DifferenceRule) -> Iterator[Suspect]:
        """Every image whose entries differ, or of which one is malformed."""
        self._flush()
        record, replica = self._files.values()
        for partition in record.partitions | replica.partitions:
            yield from suspects_of(
                joined(record.pieces(partition)),
                joined(replica.pieces(partition)),
                now,
                comparison,
            )

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _flush(self) -> None:
        """Write the entries in memory to disk."""
        file = self._files[self._store]
        for partition, chunk in self._chunks.items():
            file.add(partition, encoded(chunk))
        self._chunks.clear()
        self._count = 0
