"""The repair of single keys: make the row of a key what its source has now.

The guard of the row is read first, then the item. The row is written only if its guard is still the
same, and keeps it. So whatever the stream delivers later wins. With the other order, a change and
the delivery of its record could fall between both reads: then an old item would be written under
the guard of the new one, for good.

Rules: docs/internals/invariants.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Final, Protocol

import msgspec

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.conversion import Conversion, OtherKeyError
from functions.write_to_tablestore.names import AT, VERSION
from functions.write_to_tablestore.rows import Column, RowChange, RowPut, RowRemoval
from functions.write_to_tablestore.values import Cell, ConversionError
from lockstep.tablestore.stored_row import (
    Cells,
    columns_of_item,
    flaw_in_guard,
    is_tombstone,
    is_version,
    same_columns,
)
from shared.clock import Clock
from shared.horizon import end_of_tombstone
from shared.outcome import Applied, Duplicate, Failed, Outcome, Refused, Stale
from shared.table_stream import keys_as_text

# As many keys as one request of DynamoDB, and one of Table Store, can read.
KEYS_AT_ONCE: Final = 100
# How often a row that changes meanwhile is read and written again at once.
ROUNDS: Final = 5

type ItemKey = Mapping[str, Any]
"""The key of an item in DynamoDB's typed form. Binaries are bytes, or base64."""

type RowKey = tuple[Column, ...]


class NoRow(msgspec.Struct, frozen=True):
    """There is no such row."""


class NoVersion(msgspec.Struct, frozen=True):
    """The row has no version, or one below `below`."""

    below: str


class SameVersion(msgspec.Struct, frozen=True):
    """The row has exactly this in the column of its version, whatever it is."""

    version: Cell


type Expected = NoRow | NoVersion | SameVersion
"""What must still be so when a row is written."""


class GuardedWrite(msgspec.Struct, frozen=True):
    """A change of a row, and what it expects of the row."""

    change: RowChange
    expected: Expected


class Mending(msgspec.Struct, frozen=True):
    """What makes the row equal to the item.

    `again`: the row has a version that stops each record of the stream. After the write, it has one
    that does not, and the repair must begin again: records that were stale meanwhile are lost.
    """

    write: GuardedWrite
    again: bool


class ItemLookup(Protocol):
    """The source."""

    def lookup(self, keys: Sequence[ItemKey]) -> Iterable[Mapping[str, Any]]:
        """The current items with these keys, read consistently; absent items are left out.

        Raises:
            RequestRefusedError: one of the keys is no key of the table.
            StoreUnreadableError: the table cannot be read.
        """
        ...


class GuardedRows(Protocol):
    """The replica."""

    @property
    def longest_request(self) -> float:
        """The longest time of one request, in seconds."""
        ...

    def read(
        self, keys: Sequence[RowKey], within: float | None = None
    ) -> Sequence[Cells | Failed | None]:
        """All columns of these rows; None: there is no such row."""
        ...

    def write(
        self, writes: Sequence[GuardedWrite], within: float | None = None
    ) -> Sequence[Outcome]:
        """Write rows; `Stale`: a row is not as expected, and is not written."""
        ...

    def check(self) -> None:
        """See `SinkOf.check`."""
        ...


class RowRepair:
    """A sink (`SinkOf`) whose changes are keys: each row becomes what the source has.

    Outcomes: `Applied`: the row is written, or removed. `Duplicate`: it was equal. `Refused`: it
    cannot be made equal, because Table Store cannot hold the item, or the key is none of the
    source. `Failed`: a retry may succeed.

    `settled` in `lockstep.stores.writing` repairs any number of keys, with retries.
    """

    def __init__(
        self,
        source: ItemLookup,
        rows: GuardedRows,
        *,
        conversion: Conversion,
        key_types: Mapping[str, str],
        label: str,
        clock: Clock,
    ) -> None:
        """Set up a repair.

        Args:
            source: reads the source.
            rows: reads and writes the replica.
            conversion: how items become rows.
            key_types: the type of each attribute of the source's key: S, N or B.
            label: the label of the stream that the consumer reads, normalized.
            clock: the clock.
        """
        self._source = source
        self._rows = rows
        self._conversion = conversion
        self._key_types = key_types
        self._label = label
        self._clock = clock

    @property
    def longest_send(self) -> float:
        """See `SinkOf.longest_send`."""
        return 2 * ROUNDS * self._rows.longest_request

    def requests(self, changes: Sequence[ItemKey]) -> Iterator[Sequence[ItemKey]]:
        """See `SinkOf.requests`."""
        return batched(changes, KEYS_AT_ONCE)

    def check(self) -> None:
        """See `SinkOf.check`."""
        self._rows.check()

    def send(self, changes: Sequence[ItemKey], within: float | None = None) -> Sequence[Outcome]:
        """Repair the rows of these keys; see `SinkOf.send`.

        Raises:
            StoreUnreadableError: the source cannot be read.
        """
        outcomes: dict[int, Outcome] = {}
        keys: dict[int, RowKey] = {}
        for at, key in enumerate(changes):
            try:
                keys[at] = self._row_key(key)
            except (ConversionError, OtherKeyError) as error:
                outcomes[at] = Refused(str(error))
        written: set[int] = set()
        each = None if within is None else within / (2 * ROUNDS)
        for _ in range(ROUNDS):
            left = [at for at in keys if at not in outcomes]
            if not left:
                break
            attempted = self._attempt([keys[at] for at in left], each)
            for at, outcome in zip(left, attempted, strict=True):
                match outcome:
                    case Stale() | None:
                        pass
                    case Duplicate() if at in written:
                        outcomes[at] = Applied()
                    case _:
                        outcomes[at] = outcome
                if outcome is None:
                    written.add(at)
        return [outcomes.get(at, _UNSTEADY) for at in range(len(changes))]

    def _attempt(self, keys: Sequence[RowKey], within: float | None) -> Sequence[Outcome | None]:
        """Repair rows once; None: it is written, but must be repaired again."""
        rows = self._rows.read(keys, within)
        items = self._items(keys)
        outcomes: list[Outcome | None] = []
        mendings: dict[int, Mending] = {}
        for at, (key, row) in enumerate(zip(keys, rows, strict=True)):
            if isinstance(row, Failed):
                outcomes.append(row)
                continue
            decision = self.decide(key, row, items.get(key))
            if isinstance(decision, Mending):
                mendings[at] = decision
                outcomes.append(None)
            else:
                outcomes.append(decision)
        written = self._rows.write([one.write for one in mendings.values()], within)
        for (at, mending), outcome in zip(mendings.items(), written, strict=True):
            is_first = mending.again and isinstance(outcome, Applied)
            outcomes[at] = None if is_first else outcome
        return outcomes

    def decide(
        self, key: RowKey, row: Cells | None, item: Mapping[str, Any] | None
    ) -> Mending | Duplicate | Refused:
        """What makes a row equal to its item.

        Args:
            key: the key of the row.
            row: its columns; None: there is no such row.
            item: the item, read after the row; None: there is no such item.
        """
        if row is None and item is None:
            return Duplicate()
        version, expected, again = self._kept(row)
        change: RowChange
        now = round(self._clock.now() * 1000)
        at = now if row is None or row.get(VERSION) != version else row.get(AT)
        moment = at if type(at) is int else now
        name = keys_as_text(self._conversion.keys_of(key))
        if item is None:
            if row is not None and is_tombstone(row) and not flaw_in_guard(row, self._label):
                return Duplicate()
            change = RowRemoval(name, key, version, moment, end_of_tombstone(now))
        else:
            try:
                columns = self._conversion.columns_of(item)
            except ConversionError as error:
                return Refused(str(error))
            if row is not None and self._is_equal(row, columns):
                return Duplicate()
            change = RowPut(name, key, version, moment, columns)
        return Mending(GuardedWrite(change, expected), again)

    @property
    def _lowest(self) -> str:
        return guard.lowest_version(self._label)

    def _kept(self, row: Cells | None) -> tuple[str, Expected, bool]:
        """The version that the row gets, what is expected of it, and whether to repair it again."""
        if row is None:
            return self._lowest, NoRow(), False
        version = row.get(VERSION)
        if version is None:
            return self._lowest, NoVersion(self._lowest), False
        if isinstance(version, str) and is_version(version, self._label):
            return version, SameVersion(version), False
        return self._lowest, SameVersion(version), True

    def _is_equal(self, row: Cells, columns: Sequence[Column]) -> bool:
        return (
            flaw_in_guard(row, self._label) is None
            and not is_tombstone(row)
            and same_columns(columns_of_item(row), dict(columns))
        )

    def _items(self, keys: Sequence[RowKey]) -> Mapping[RowKey, Mapping[str, Any]]:
        found = self._source.lookup([self._conversion.keys_of(key) for key in keys])
        return {
            self._conversion.key_of({name: item[name] for name in self._key_types}): item
            for item in found
        }

    def _row_key(self, key: ItemKey) -> RowKey:
        found = self._conversion.key_of(key)
        for name, value in key.items():
            if value.keys() != {self._key_types[name]}:
                raise ConversionError(
                    f"{name!r}: the type of this attribute in the source is {self._key_types[name]}"
                )
        return found


_UNSTEADY: Final = Failed("the row changes all the time")
