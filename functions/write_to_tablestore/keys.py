"""The key of a row as text: for a position in a table, and for messages."""

import base64
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from functions.write_to_tablestore.rows import Column
from functions.write_to_tablestore.values import Cell

_KINDS: Final[Mapping[type, str]] = {str: "S", int: "N", bytes: "B"}

type Key = tuple[Column, ...]


def key_as_text(key: Iterable[Column]) -> str:
    """A key as JSON: its columns in their order, with the types of DynamoDB."""
    typed = [
        {name: {_KINDS[type(cell)]: cell if isinstance(cell, bytes) else str(cell)}}
        for name, cell in key
    ]
    return msgspec.json.encode(typed).decode()


def key_in(text: str) -> Key:
    """The key that `key_as_text` has written.

    Raises:
        ValueError: it has not.
    """
    typed = msgspec.json.decode(text, type=list[dict[str, dict[str, str]]])
    return tuple(
        (name, _cell(kind, cell))
        for column in typed
        for name, value in column.items()
        for kind, cell in value.items()
    )


def _cell(kind: str, text: str) -> Cell:
    match kind:
        case "N":
            return int(text)
        case "B":
            return base64.b64decode(text)
        case _:
            return text
