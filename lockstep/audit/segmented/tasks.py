"""The tasks of a first read: what each one does, and the objects in which it leaves its result.

There are two rounds, because a segment of the table and one of the index have other images. A task
of the first round reads one segment of one store, and keeps its entries by partition. A task of
the second round compares one partition, from all segments of both stores.

A task depends on nothing but the stores and the objects of earlier tasks. It may be done in any
order within its round, be killed, and be done again, also at the same time: its first complete
result stays.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Literal

import msgspec

from lockstep.audit.image_comparison import IMAGES, StoreName
from lockstep.audit.partition import joined, suspects_of
from lockstep.audit.pieces.segments import IN_MEMORY, SegmentBuilder, piece_of
from lockstep.audit.suspects import Suspect
from lockstep.stores.objects import PartObjects
from lockstep.stores.readers import Segment, SegmentReader


class Division(msgspec.Struct, frozen=True):
    """How a first read is divided: the segments of each store, and the partitions of the images."""

    segments: int
    partitions: int


class ReadSegment(msgspec.Struct, frozen=True, tag="read"):
    """Read one segment of a store."""

    store: StoreName
    segment: int


class ComparePartition(msgspec.Struct, frozen=True, tag="compare"):
    """Compare one partition of both stores."""

    partition: int


type Task = ReadSegment | ComparePartition


class SegmentRead(msgspec.Struct, frozen=True):
    """The result of `ReadSegment`: the keys of its entries, and their number."""

    keys: tuple[str, ...]
    entries: int


class OutOfOrderError(Exception):
    """A partition cannot be compared before all segments are read."""


class Work:
    """Does tasks of one first read.

    The entries of a segment are written under names that no other attempt has. Its result is
    written last, and only if there is none. So entries of an attempt that was killed never count.
    """

    def __init__(
        self,
        objects: PartObjects,
        division: Division,
        *,
        table: SegmentReader,
        index: SegmentReader,
        now: Callable[[], float],
        check: Callable[[], None] = lambda: None,
        in_memory: int = IN_MEMORY,
    ) -> None:
        """Prepare to work.

        Args:
            objects: where entries and results are kept.
            division: that of the first read.
            table: the system of record.
            index: the search index.
            now: seconds since 1970.
            check: called now and then; it raises if the task must end.
            in_memory: so many entries are in memory before they are written.
        """
        self._objects = objects
        self._division = division
        self._stores: dict[StoreName, SegmentReader] = {"table": table, "index": index}
        self._now = now
        self._check = check
        self._in_memory = in_memory
        self._segments: dict[str, SegmentRead] = {}

    def do(self, task: Task) -> int:
        """Do a task, unless its result is there.

        Returns:
            The number of entries of the segment, or of suspects in the partition.

        Raises:
            StoreUnreadableError: the store could not be read completely. Do the task again.
            OutOfOrderError: a segment is not read yet.
        """
        match task:
            case ReadSegment():
                return self._read(task).entries
            case ComparePartition():
                return len(self._compared(task))

    def suspects(self, task: ComparePartition) -> Sequence[Suspect]:
        """The result of a task that was done."""
        return self._compared(task)

    def _read(self, task: ReadSegment) -> SegmentRead:
        name = f"{task.store}-{task.segment:04d}"
        if (there := self._objects.read(name)) is not None:
            return _read_decoder.decode(there)
        attempt, keys, entries = secrets.token_hex(8), list[str](), 0
        builder = SegmentBuilder(self._division.partitions)

        def keep() -> None:
            keys.append(f"{name}-{attempt}-{len(keys):06d}")
            self._objects.write(keys[-1], builder.build())

        segment = Segment(task.segment, self._division.segments)
        for some in batched(self._stores[task.store].scan_segment(segment), 1000):
            self._check()
            builder.add(some)
            entries += len(some)
            if builder.count >= self._in_memory:
                keep()
        if builder.count:
            keep()
        self._objects.write_new(name, msgspec.json.encode(SegmentRead(tuple(keys), entries)))
        return self._segment_read(task.store, task.segment)

    def _segment_read(self, store: StoreName, segment: int) -> SegmentRead:
        """The result of a segment. It never changes, so it is read once for all partitions."""
        name = f"{store}-{segment:04d}"
        if name not in self._segments:
            there = self._objects.read(name)
            if there is None:
                raise OutOfOrderError(name)
            self._segments[name] = _read_decoder.decode(there)
        return self._segments[name]

    def _compared(self, task: ComparePartition) -> Sequence[Suspect]:
        name = f"partition-{task.partition:06d}"
        if (there := self._objects.read(name)) is not None:
            return _suspects_decoder.decode(there)
        record, replica = (
            joined(self._pieces(store, task.partition)) for store in (IMAGES.record, IMAGES.replica)
        )
        found = list(suspects_of(record, replica, self._now(), IMAGES))
        self._objects.write_new(name, msgspec.msgpack.encode(found))
        return found

    def _pieces(self, store: StoreName, partition: int) -> Iterator[bytes]:
        """The entries of a partition, from each segment of a store."""
        for segment in range(self._division.segments):
            for key in self._segment_read(store, segment).keys:
                self._check()
                if piece := piece_of(self._objects, key, partition):
                    yield piece


_read_decoder = msgspec.json.Decoder(SegmentRead)
_suspects_decoder = msgspec.msgpack.Decoder(list[Suspect])


def rounds(division: Division) -> tuple[Sequence[ReadSegment], Sequence[ComparePartition]]:
    """All tasks, in two rounds."""
    stores: tuple[Literal["table"], Literal["index"]] = ("table", "index")
    return (
        [ReadSegment(store, number) for store in stores for number in range(division.segments)],
        [ComparePartition(number) for number in range(division.partitions)],
    )
