"""The load: copy all items of a DynamoDB table into its replica in Table Store.

Each row gets a version below that of each record of the stream, so whatever the consumer writes
wins, before and after. So the items may be read in any order, and long before they are written.
What makes that right: the consumer reads the stream before the first item is read
(docs/guides/tablestore.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.conversion import Conversion, OtherKeyError
from functions.write_to_tablestore.rows import RowChange, RowPut
from functions.write_to_tablestore.values import ConversionError
from lockstep.console.errors import UserError
from lockstep.stores.segments import SegmentPage
from lockstep.stores.writing import settled
from lockstep.tablestore.progress import (
    LoadCounts,
    LoadedSegment,
    LoadProgress,
    LoadProgressError,
)
from shared.clock import Clock
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.pace import Pace
from shared.sink import MisconfiguredError, SinkOf
from shared.table_stream import keys_as_text

# At most so many rows are written before the pace and the refusals are looked at.
ROWS_AT_ONCE = 200


class ReadsNotYetError(UserError):
    """The consumer does not read the stream, so a load would lose changes."""


class StreamReader(msgspec.Struct, frozen=True):
    """The event source mapping of the consumer, as Lambda tells it.

    `last_result` is its `LastProcessingResult`: `OK`, `No records processed`, or `PROBLEM: ...`.
    """

    state: str
    last_result: str


class RefusedItem(msgspec.Struct, frozen=True):
    """An item that Table Store cannot hold. `key` is the item's key as JSON."""

    key: str
    reason: str
    detail: str


class SegmentedSource(Protocol):
    """The source, in segments."""

    def page(self, segment: int, position: str | None) -> SegmentPage:
        """See `TableSegments.page`."""
        ...


class LoadParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a load works with.

    Attributes:
        source: reads the source.
        keys: the names of the attributes of the source's key.
        stream: the stream of the source that the consumer reads, `TABLE/stream/LABEL`.
        target: the table in Table Store, `INSTANCE/TABLE`.
        conversion: how items become rows.
        label: the label of all versions, normalized.
        sink: the table in Table Store.
        reader: asks for the event source mapping of the consumer.
        clock: time.
        reads, writes: limit the read units and the rows a second; None: no limit.
        rows_at_once: at most so many rows are written at once.
        on_refused: is told of each item that Table Store cannot hold.
        on_step: is told how far the load is, each time that it could be resumed from there.
    """

    source: SegmentedSource
    keys: Sequence[str]
    stream: str
    target: str
    conversion: Conversion
    label: str
    sink: SinkOf[RowChange]
    reader: Callable[[], StreamReader]
    clock: Clock
    reads: Pace | None = None
    writes: Pace | None = None
    rows_at_once: int = ROWS_AT_ONCE
    on_refused: Callable[[RefusedItem], None] = lambda _: None
    on_step: Callable[[LoadProgress], None] = lambda _: None


class Load:
    """A load of one table."""

    def __init__(self, parts: LoadParts, *, applies: bool) -> None:
        """Prepare a load; without `applies`, it only reads and converts."""
        self._parts = parts
        self._applies = applies

    def run(
        self,
        begun: LoadProgress,
        read_all: Callable[
            [Callable[[int], SegmentPage], Iterable[int]], Iterable[SegmentPage]
        ] = map,
    ) -> LoadProgress:
        """Load what is left.

        Args:
            begun: how far an earlier run came, or `self.beginning`.
            read_all: reads one page of each segment, perhaps several at the same time.

        Raises:
            ReadsNotYetError: the consumer does not read the stream.
            LoadProgressError: the progress is that of another load.
            StoreUnreadableError: the source cannot be read.
            RequestFailedError: Table Store failed for too long.
            MisconfiguredError: the settings, or the table in Table Store, are not right.
        """
        parts = self._parts
        if (begun.stream, begun.target) != (parts.stream, parts.target):
            raise LoadProgressError(
                f"the progress is that of a load from {begun.stream} to {begun.target}, and this "
                f"is one from {parts.stream} to {parts.target}: choose another file for --resume"
            )
        need_reading(parts.reader())
        parts.sink.check()
        progress = begun
        while not progress.is_done:
            segments = [*progress.segments]
            left = [at for at, segment in enumerate(segments) if not segment.is_done]
            pages = read_all(partial(self._page, progress), left)
            for at, page in zip(left, pages, strict=True):
                if parts.reads is not None:
                    parts.reads.spend(page.units)
                counts = self._load(page.items, progress.counts)
                segments[at] = LoadedSegment(page.position, page.position is None)
                progress = msgspec.structs.replace(progress, segments=[*segments], counts=counts)
                parts.on_step(progress)
        return progress

    def _page(self, progress: LoadProgress, segment: int) -> SegmentPage:
        return self._parts.source.page(segment, progress.segments[segment].position)

    def beginning(self, segments: int) -> LoadProgress:
        """The progress of a load that has not begun, of this number of segments."""
        return LoadProgress(self._parts.stream, self._parts.target, [LoadedSegment()] * segments)

    def _load(self, items: Sequence[Mapping[str, Any]], before: LoadCounts) -> LoadCounts:
        counts = msgspec.structs.asdict(before)
        rows: list[RowChange] = []
        for item in items:
            try:
                rows.append(self._row(item))
            except ConversionError as error:
                counts["refused"] += 1
                keys = keys_as_text(self._keys_of(item))
                self._parts.on_refused(RefusedItem(keys, "conversion", str(error)))
        if not self._applies:
            counts["written"] += len(rows)
            return LoadCounts(**counts)
        for start in range(0, len(rows), self._parts.rows_at_once):
            some = rows[start : start + self._parts.rows_at_once]
            for row, outcome in settled(some, self._parts.sink, self._parts.clock):
                counts[self._name_of(row, outcome)] += 1
            if self._parts.writes is not None:
                self._parts.writes.spend(len(some))
        return LoadCounts(**counts)

    def _row(self, item: Mapping[str, Any]) -> RowChange:
        keys, conversion = self._keys_of(item), self._parts.conversion
        try:
            key = conversion.key_of(keys)
        except OtherKeyError as error:
            raise MisconfiguredError(str(error)) from None
        return RowPut(
            id=keys_as_text(keys),
            key=key,
            version=guard.lowest_version(self._parts.label),
            at=round(self._parts.clock.now() * 1000),
            columns=conversion.columns_of(item),
        )

    def _keys_of(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: item[name] for name in self._parts.keys}

    def _name_of(self, row: RowChange, outcome: Outcome) -> str:
        """The name of the count; the caller is told of a row that Table Store refuses."""
        match outcome:
            case Applied():
                return "written"
            case Duplicate():
                return "there"
            case Stale():
                return "newer"
            case Refused(detail) | Conflict(detail) | Failed(detail):
                self._parts.on_refused(RefusedItem(row.id, "refused_by_store", detail))
                return "refused"


def need_reading(reader: StreamReader) -> None:
    """Check that the consumer reads the stream.

    Otherwise, a change during the load could be lost: nobody would write it, and the stream keeps
    it for 24 hours.

    Raises:
        ReadsNotYetError: it does not, or it is not known yet whether it does.
    """
    if reader.state != "Enabled":
        raise ReadsNotYetError(
            f"the event source mapping of the consumer is {reader.state}: wait until it is "
            "Enabled, or enable it; otherwise, changes during the load would be lost"
        )
    if reader.last_result == "OK":
        return
    if reader.last_result.startswith("PROBLEM"):
        raise ReadsNotYetError(
            f"the consumer does not write what it reads ({reader.last_result}): correct that "
            "first; its log has the cause"
        )
    raise ReadsNotYetError(
        f"the consumer has not read the stream yet ({reader.last_result or 'no result'}): change "
        "one item of the table, wait until its row is there, and run this again"
    )
