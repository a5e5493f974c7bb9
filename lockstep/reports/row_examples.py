"""The examples of a report of a replica: some rows beside their items, and their repair."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from functions.write_to_tablestore.names import GUARD_COLUMNS
from functions.write_to_tablestore.values import Cell
from lockstep.reports.content import DifferenceExample
from lockstep.reports.sides import FieldPair, Mark, field_pair, readable
from lockstep.tablestore.audit import RowDifference
from lockstep.tablestore.key_states import KeyState, in_words
from lockstep.tablestore.stored_row import columns_of_item, is_tombstone

_TYPES: Mapping[type, str] = {
    str: "String",
    int: "Integer",
    float: "Double",
    bool: "Boolean",
    bytes: "Binary",
}


def row_examples(
    differences: Sequence[RowDifference], states: Sequence[KeyState]
) -> Iterator[DifferenceExample]:
    """These rows as both stores hold them now.

    Args:
        differences: what an audit found of them.
        states: their keys as they are now, in the same order.
    """
    for found, state in zip(differences, states, strict=True):
        pairs = list(_pairs(state))
        wanted = set(GUARD_COLUMNS) if found.kind == "malformed_version" else set[str]()
        shown = [one for one in pairs if one.mark == "differs" or one.name in wanted] or pairs
        yield DifferenceExample(
            key=found.key,
            kind=found.kind,
            shown=shown,
            others=[one for one in pairs if one not in shown],
            repair=readable(in_words(state.would)),
            note=f"The audit found: {readable(found.detail)}." if found.detail else "",
        )


def _pairs(state: KeyState) -> Iterator[FieldPair]:
    row = state.row or {}
    ours = "absent" if state.item is None else "item"
    theirs = "absent" if state.row is None else "tombstone" if is_tombstone(row) else "row"
    both = (ours, theirs) == ("item", "row")
    alone = ours == "absent" and theirs in {"absent", "tombstone"}
    yield field_pair("state", ours, theirs, "same" if both or alone else "differs")
    yield from _columns(state, compared=both)
    for name in GUARD_COLUMNS:
        if name in row:
            yield field_pair(name, None, row[name], "not compared")


def _columns(state: KeyState, *, compared: bool) -> Iterator[FieldPair]:
    row = columns_of_item(state.row or {})
    if state.columns is None and state.item is not None:
        # An item that cannot become a row has other names than a row has, and types.
        for name, value in msgspec.to_builtins(state.item).items():
            yield field_pair(name, value, None, "not compared")
        for name, cell in row.items():
            yield field_pair(name, None, _plain(cell), "not compared")
        return
    item = state.columns or {}
    for name in sorted({**item, **row}):
        one, other = item.get(name), row.get(name)
        differs = compared and (type(one), one) != (type(other), other)
        texts: tuple[Any, Any] = (_plain(one), _plain(other))
        if differs and str(texts[0]) == str(texts[1]):
            texts = (_typed(one), _typed(other))
        mark: Mark = "differs" if differs else "same"
        yield field_pair(name, *texts, mark)


def _plain(cell: Cell | None) -> Any:
    """The value as JSON has it: binary in base64."""
    return msgspec.to_builtins(cell)


def _typed(cell: Cell | None) -> str | None:
    return None if cell is None else f"{_plain(cell)} ({_TYPES[type(cell)]})"
