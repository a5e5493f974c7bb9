"""The readers of a source and of its replica, as an audit needs them: all entries, and lookups."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.keys import key_as_text, key_in
from functions.write_to_tablestore.names import GUARD_COLUMNS, VERSION
from functions.write_to_tablestore.values import ConversionError
from lockstep.stores.entry import Entry
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.segments import SegmentPage
from lockstep.stores.writing import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS
from lockstep.tablestore.comparison import RowEntry
from lockstep.tablestore.repair import ItemKey, ItemLookup, RowKey
from lockstep.tablestore.stored_row import (
    Cells,
    arrival_of,
    columns_of_item,
    flaw_in_guard,
    is_tombstone,
)
from shared.clock import Clock
from shared.outcome import Failed
from shared.pace import Pace
from shared.shortened import shortened
from shared.sink import RequestFailedError, RequestRefusedError
from shared.table_stream import keys_as_text

# The digest of each item and row if values are not compared.
_NOT_COMPARED: Final = "not compared"


class RowPage(msgspec.Struct, frozen=True):
    """Some rows: key and columns. `position`: where reading goes on; None: at the end."""

    rows: Sequence[tuple[RowKey, Cells]]
    position: str | None


class ItemPages(Protocol):
    """The source, in pages."""

    def page(self, segment: int, position: str | None) -> SegmentPage:
        """See `TableSegments.page`."""
        ...


class ReadableRows(Protocol):
    """The replica."""

    def page(self, position: str | None, columns: Sequence[str], most: int | None) -> RowPage:
        """The rows of the page at this position; None: the first page.

        Args:
            position: where to go on.
            columns: return only these columns; none: all.
            most: at most so many rows; None: as many as Table Store returns.
        """
        ...

    def some(
        self, keys: Sequence[RowKey], columns: Sequence[str]
    ) -> Sequence[Cells | Failed | None]:
        """These columns of these rows; no columns: all. None: there is no such row."""
        ...


class SourceReader:
    """The items of a source; see `EntryReader`. An item that cannot be converted is malformed."""

    def __init__(
        self,
        pages: ItemPages,
        items: ItemLookup,
        *,
        conversion: Conversion,
        values: bool,
        pace: Pace | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            pages: reads all items; only their keys, if values are not compared.
            items: looks up items.
            conversion: how items become rows.
            values: whether values are compared.
            pace: limits the read units of pages.
        """
        self._pages = pages
        self._items = items
        self._conversion = conversion
        self._values = values
        self._pace = pace

    def scan(self) -> Iterator[Entry]:
        """Every item, in any order.

        Raises:
            StoreUnreadableError: the source cannot be read.
        """
        position: str | None = None
        while True:
            page = self._pages.page(0, position)
            if self._pace is not None:
                self._pace.spend(page.units)
            for item in page.items:
                yield self._entry(item)
            position = page.position
            if position is None:
                return

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """See `EntryLookup`.

        Raises:
            StoreUnreadableError: the source cannot be read.
        """
        keys = [item_key(text, self._conversion) for text in image_ids]
        try:
            found = [self._looked_up(item) for item in self._items.lookup(keys)]
        except RequestRefusedError as error:
            raise StoreUnreadableError(str(error)) from error
        return {entry.image_id: entry for entry in found}

    def _entry(self, item: Mapping[str, Any]) -> Entry:
        text, flaw = self._text(item)
        if flaw is not None:
            return Entry(text, malformed=flaw)
        if not self._values:
            return Entry(text, digest=_NOT_COMPARED)
        try:
            columns = dict(self._conversion.columns_of(item))
        except ConversionError as error:
            return Entry(text, malformed=shortened(str(error)))
        return Entry(text, digest=digest(columns))

    def _looked_up(self, item: Mapping[str, Any]) -> Entry:
        text, flaw = self._text(item)
        if flaw is not None:
            return RowEntry(text, malformed=flaw)
        try:
            columns = dict(self._conversion.columns_of(item))
        except ConversionError as error:
            return RowEntry(text, malformed=shortened(str(error)))
        if not self._values:
            return RowEntry(text, digest=_NOT_COMPARED)
        return RowEntry(text, digest=digest(columns), columns=digests(columns))

    def _text(self, item: Mapping[str, Any]) -> tuple[str, str | None]:
        """The key as text, and why it cannot be converted."""
        keys = {name: item[name] for name in self._conversion.primary_key}
        try:
            return key_as_text(self._conversion.key_of(keys)), None
        except ConversionError as error:
            return keys_as_text(keys), shortened(str(error))


class ReplicaReader:
    """The rows of a replica; see `EntryReader`.

    A row with a flaw in the columns of its version is malformed. Requests that fail are repeated.
    """

    def __init__(
        self,
        rows: ReadableRows,
        *,
        label: str,
        values: bool,
        clock: Clock,
        pace: Pace | None = None,
        page_size: int | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            rows: reads the replica.
            label: the label of the stream that the consumer reads, normalized.
            values: whether values are compared.
            clock: the clock.
            pace: limits the rows of pages.
            page_size: at most so many rows in a page; None: as many as Table Store returns.
        """
        self._rows = rows
        self._label = label
        self._values = values
        self._columns = () if values else GUARD_COLUMNS
        self._clock = clock
        self._pace = pace
        self._page_size = page_size

    def scan(self) -> Iterator[Entry]:
        """Every row, in the order of the keys.

        Raises:
            StoreUnreadableError: the replica cannot be read for too long.
            MisconfiguredError: the table, or the permission to read it, is not right.
        """
        position: str | None = None
        while True:
            page = self._patiently(partial(self._page, position))
            if self._pace is not None:
                self._pace.spend(len(page.rows))
            for key, cells in page.rows:
                yield self._entry(key_as_text(key), cells)
            position = page.position
            if position is None:
                return

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """See `EntryLookup`.

        Raises:
            StoreUnreadableError: the replica cannot be read for too long.
            MisconfiguredError: the table, or the permission to read it, is not right.
        """
        texts = [text for text in image_ids if text.startswith("[")]
        if not texts:
            return {}
        keys = [key_in(text) for text in texts]
        found = self._patiently(partial(self._some, keys))
        return {
            text: self._looked_up(text, row)
            for text, row in zip(texts, found, strict=True)
            if row is not None
        }

    def _page(self, position: str | None) -> RowPage:
        return self._rows.page(position, self._columns, self._page_size)

    def _some(self, keys: Sequence[RowKey]) -> Sequence[Cells | None]:
        found: list[Cells | None] = []
        for row in self._rows.some(keys, self._columns):
            if isinstance(row, Failed):
                raise RequestFailedError(row.detail)
            found.append(row)
        return found

    def _entry(self, text: str, cells: Cells) -> Entry:
        flaw = flaw_in_guard(cells, self._label)
        if flaw is not None or is_tombstone(cells):
            return Entry(text, deleted=is_tombstone(cells), malformed=flaw)
        return Entry(text, digest=self._digest(cells))

    def _looked_up(self, text: str, cells: Cells) -> Entry:
        flaw, deleted = flaw_in_guard(cells, self._label), is_tombstone(cells)
        return RowEntry(
            text,
            deleted=deleted,
            digest=None if flaw is not None or deleted else self._digest(cells),
            malformed=flaw,
            arrived_at=arrival_of(cells),
            row_version=str(cells.get(VERSION, "")),
            columns=digests(columns_of_item(cells)) if self._values else None,
        )

    def _digest(self, cells: Cells) -> str:
        return digest(columns_of_item(cells)) if self._values else _NOT_COMPARED

    def _patiently[T](self, read: Callable[[], T]) -> T:
        began, pause = self._clock.elapsed(), FIRST_PAUSE_SECONDS
        while True:
            try:
                return read()
            except RequestRefusedError as error:
                raise StoreUnreadableError(str(error)) from error
            except RequestFailedError as error:
                if self._clock.elapsed() - began >= PATIENCE_SECONDS:
                    raise StoreUnreadableError(str(error)) from error
            self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def item_key(text: str, conversion: Conversion) -> ItemKey:
    """The key of an item, from the text that an audit names it with."""
    if text.startswith("["):
        return conversion.keys_of(key_in(text))
    # A key that cannot be converted, so it is no binary, as `keys_as_text` has written it.
    return msgspec.json.decode(text, type=dict[str, dict[str, Any]])


def digest(columns: Cells) -> str:
    """A digest of columns: the same for the same names, types and values only."""
    return _digest_of(sorted(columns.items()), 16)


def digests(columns: Cells) -> Mapping[str, str]:
    """A digest of each column."""
    return {name: _digest_of(cell, 8) for name, cell in columns.items()}


def _digest_of(value: Any, size: int) -> str:
    # MessagePack keeps the types apart: 1, 1.0, true, text and binary.
    return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=size).hexdigest()
