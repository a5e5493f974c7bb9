"""Keys as they are now: the item in the source, the row in Table Store, what a repair would do."""

from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import Any

import msgspec

from functions.write_to_tablestore.conversion import Conversion, OtherKeyError
from functions.write_to_tablestore.rows import RowRemoval
from functions.write_to_tablestore.values import ConversionError
from lockstep.tablestore.repair import (
    KEYS_AT_ONCE,
    ItemKey,
    ItemLookup,
    Mending,
    RowKey,
    RowRepair,
)
from lockstep.tablestore.stored_row import Cells
from shared.outcome import Duplicate, Failed, Refused
from shared.sink import RequestRefusedError

type Would = Mending | Duplicate | Refused | Failed
"""What a repair would do: write the row, or leave it, because it is equal, or cannot be written."""


def in_words(would: Would) -> str:
    """What a repair would do, for an operator."""
    match would:
        case Duplicate():
            return "nothing: the row is as the source says"
        case Refused(detail):
            return f"nothing: {detail}"
        case Failed(detail):
            return f"unknown now: {detail}"
        case Mending(write) if isinstance(write.change, RowRemoval):
            return "remove the row: the source has no such item"
        case _:
            return "write the row as the source says"


class KeyState(msgspec.Struct, frozen=True):
    """One key as it is now; `row` was read before `item`. None: there is none.

    `columns` are those that the item becomes; None if it cannot.
    """

    row: Cells | None
    item: Mapping[str, Any] | None
    columns: Cells | None
    would: Would


class KeyStates:
    """Looks at keys, and changes nothing."""

    def __init__(
        self,
        source: ItemLookup,
        read_rows: Callable[[Sequence[RowKey]], Sequence[Cells | Failed | None]],
        repair: RowRepair,
        conversion: Conversion,
    ) -> None:
        """Prepare to look.

        Args:
            source: reads the source.
            read_rows: reads rows of Table Store, as `GuardedRows.read`.
            repair: decides what a repair would do.
            conversion: how items become rows.
        """
        self._source = source
        self._read_rows = read_rows
        self._repair = repair
        self._conversion = conversion

    def of(self, keys: Sequence[ItemKey]) -> Sequence[KeyState]:
        """The keys as they are now.

        Raises:
            SinkError: Table Store cannot be read now.
            StoreUnreadableError: the source cannot be read.
        """
        return [state for some in batched(keys, KEYS_AT_ONCE) for state in self._of(some)]

    def _of(self, keys: Sequence[ItemKey]) -> Sequence[KeyState]:
        states: dict[int, KeyState] = {}
        rows: dict[int, RowKey] = {}
        for at, key in enumerate(keys):
            try:
                rows[at] = self._conversion.key_of(key)
            except (ConversionError, OtherKeyError) as error:
                states[at] = KeyState(None, None, None, Refused(str(error)))
        try:
            states |= self._read(rows)
        except RequestRefusedError as error:
            # One key of them is none of the source.
            if len(keys) == 1:
                return [KeyState(None, None, None, Refused(str(error)))]
            return [state for key in keys for state in self._of([key])]
        return [states[at] for at in range(len(keys))]

    def _read(self, keys: Mapping[int, RowKey]) -> Mapping[int, KeyState]:
        if not keys:
            return {}
        conversion = self._conversion
        rows = self._read_rows([*keys.values()])
        found = self._source.lookup([conversion.keys_of(key) for key in keys.values()])
        items = {
            conversion.key_of({name: item[name] for name in conversion.primary_key}): item
            for item in found
        }
        states = {}
        for (at, key), row in zip(keys.items(), rows, strict=True):
            item = items.get(key)
            columns = self._columns(item)
            if isinstance(row, Failed):
                states[at] = KeyState(None, item, columns, row)
            else:
                states[at] = KeyState(row, item, columns, self._repair.decide(key, row, item))
        return states

    def _columns(self, item: Mapping[str, Any] | None) -> Cells | None:
        if item is None:
            return None
        try:
            return dict(self._conversion.columns_of(item))
        except ConversionError:
            return None
