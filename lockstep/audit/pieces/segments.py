"""Segments: the entries of a store in the bucket, by partition, as many as fit in memory at once.

A segment is one object: the offsets of its partitions, then the partitions. So a part of the object
has one partition, and the bucket gets few large writes instead of many small ones.
"""

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from lockstep.audit.partition import Chunk, Partition, encoded, joined
from lockstep.stores.entry import Entry
from lockstep.stores.objects import PartObjects, TaggedObjects

# So many entries are in memory before a segment is written: about 60 MB.
IN_MEMORY = 131_072
_OFFSET = 8


def partition_of(image_id: str, parts: int) -> int:
    """The partition of an image: the same in each process."""
    return zlib.crc32(image_id.encode()) % parts


class SegmentBuilder:
    """Collects the entries of the next segment."""

    def __init__(self, parts: int) -> None:
        self.count = 0
        self._parts = parts
        self._chunks: defaultdict[int, Chunk] = defaultdict(lambda: Chunk([], []))

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries."""
        for entry in entries:
            self._chunks[partition_of(entry.image_id, self._parts)].add(entry)
        self.count += len(entries)

    def build(self) -> bytes:
        """The segment; the builder is empty then."""
        pieces = [
            encoded(self._chunks[part]) if part in self._chunks else b""
            for part in range(self._parts)
        ]
        offsets, end = [], _OFFSET * (self._parts + 1)
        for piece in pieces:
            offsets.append(end)
            end += len(piece)
        self.count = 0
        self._chunks.clear()
        return struct.pack(f">{self._parts + 1}Q", *offsets, end) + b"".join(pieces)


def piece_of(objects: PartObjects, key: str, part: int) -> bytes:
    """One partition of a segment, by two reads: of its two offsets only, and of the partition."""
    at = _OFFSET * part
    start, end = struct.unpack(">2Q", objects.read_part(key, at, at + 2 * _OFFSET))
    return objects.read_part(key, start, end) if start < end else b""


class Segments:
    """Reads partitions from segments, and keeps the offsets of each."""

    def __init__(self, objects: TaggedObjects, parts: int) -> None:
        self._objects = objects
        self._parts = parts
        self._offsets: dict[str, Sequence[int]] = {}

    def partition(self, keys: Iterable[str], part: int) -> Partition:
        """One partition, from all segments of a store."""
        return joined(self._pieces(keys, part))

    def _pieces(self, keys: Iterable[str], part: int) -> Iterator[bytes]:
        for key in keys:
            offsets = self._offsets.get(key)
            if offsets is None:
                header = self._objects.read_part(key, 0, _OFFSET * (self._parts + 1))
                offsets = struct.unpack(f">{self._parts + 1}Q", header)
                self._offsets[key] = offsets
            start, end = offsets[part], offsets[part + 1]
            if start < end:
                yield self._objects.read_part(key, start, end)
