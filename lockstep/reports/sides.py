"""What both stores hold under one key, field by field, in texts that a page can show."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from functions.search_images.visible import shown
from lockstep.console.text import printable
from lockstep.images.held import OWN_FIELDS, fields_of, side_by_side

# Longer values are cut, around the first character that differs.
LONGEST = 300
_BEFORE = 80

Mark = Literal["same", "differs", "not compared"]


class FieldPair(msgspec.Struct, frozen=True):
    """A field of both entries; None if an entry does not have it.

    `record` is what the store has that is right, `replica` what the other one has.
    """

    name: str
    record: str | None
    replica: str | None
    mark: Mark


def field_pairs(
    item: Mapping[str, Any] | None, document: Mapping[str, Any] | None, *, now: float
) -> list[FieldPair]:
    """The fields of an image in both stores; see `side_by_side`."""
    both = side_by_side(item, document, now=now)
    table = {"state": "absent"} | fields_of(both.table)
    index = {"state": "absent"} | fields_of(both.index)

    def mark(name: str) -> Mark:
        if name in OWN_FIELDS:
            return "not compared"
        return "differs" if name in both.differs else "same"

    names = dict.fromkeys([*table, *index])
    return [field_pair(name, table.get(name), index.get(name), mark(name)) for name in names]


def field_pair(name: str, record: object, replica: object, mark: Mark) -> FieldPair:
    """A field, with both values cut to the same place. None: an entry does not have it."""
    texts = [None if value is None else _text(value) for value in (record, replica)]
    cut = _cutting(*(text or "" for text in texts))
    one, other = (None if text is None else readable(cut(text)) for text in texts)
    return FieldPair(readable(name), one, other, mark)


def readable(text: str) -> str:
    """Text from a store: without what controls a page, and never blank."""
    return shown(printable(text))


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case list() if all(isinstance(one, str) for one in value):
            return "; ".join(value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)


def _cutting(one: str, other: str) -> Callable[[str], str]:
    """Cuts both values to the same place, where the first character differs."""
    first = next(_differences(one, other), 0)
    begin = max(0, first - _BEFORE) if max(len(one), len(other)) > LONGEST else 0

    def cut(text: str) -> str:
        if len(text) <= LONGEST:
            return text
        part = text[begin : begin + LONGEST]
        before, after = "…" if begin else "", "…" if begin + LONGEST < len(text) else ""
        return f"{before}{part}{after} ({len(text):,} characters)"

    return cut


def _differences(one: str, other: str) -> Iterator[int]:
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            yield at
    if len(one) != len(other):
        yield min(len(one), len(other))
