"""Printing several contents side by side, field by field."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from rich.text import Text

from lockstep.console.terminal import cut, print_table
from lockstep.console.text import printable, told_apart
from lockstep.console.wrapping import ShortenedCell, TableCell

# Characters of a field.
SHOWN_OF_A_FIELD = 200
# Names of fields up to this length stay whole on a terminal of 80 columns.
_WHOLE_NAME = 30
# In a column that is too narrow, both ends of these fields tell two of them apart.
_SHORTENED = frozenset({"digest", "sequence_number"})


def show_side_by_side(
    fields: Mapping[str, Mapping[str, Any]], marked: Collection[str] | None = None
) -> None:
    """Print several contents, field by field. What is piped has each value in one line.

    Args:
        fields: the fields of each content, by its name.
        marked: the fields that get a star; None: those that differ.
    """
    names = dict.fromkeys(field for one in fields.values() for field in one)
    rows: list[list[str | TableCell]] = []
    for field in names:
        values = told_apart([_text(one.get(field)) for one in fields.values()])
        differs = len(set(values)) > 1 if marked is None else field in marked
        rows.append(["*" if differs else "", printable(field), *(_cell(field, v) for v in values)])
    short = all(len(printable(field)) <= _WHOLE_NAME for field in names)
    print_table(["", "field", *fields], rows, whole=["field"] if short else [])


def _cell(field: str, value: str) -> str | TableCell:
    shown = cut(value, SHOWN_OF_A_FIELD)
    return ShortenedCell(Text(shown)) if field in _SHORTENED else shown


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
