"""Values, cells, keys and rows of Table Store, and the order of keys."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum

type Value = bool | int | float | str | bytes
"""Boolean, Integer (64 bit), Double, String or Binary."""


class Bound(Enum):
    """A place in a key column where no value can be: only the ends of a range have one."""

    INF_MIN = "VT_INF_MIN"
    INF_MAX = "VT_INF_MAX"
    AUTO_INCREMENT = "VT_AUTO_INCREMENT"


type KeyValue = int | str | bytes | Bound


class CellOperation(IntEnum):
    """What an update does with a cell, if it does not write it."""

    DELETE_ALL_VERSIONS = 1
    DELETE_ONE_VERSION = 3
    INCREMENT = 4


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a primary key."""

    name: str
    value: KeyValue


type Key = tuple[KeyColumn, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One version of an attribute column. `timestamp`: milliseconds since 1970, its version."""

    name: str
    value: Value | None
    timestamp: int | None = None
    operation: CellOperation | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row, or a change of one. `delete_marker`: the row is to be deleted."""

    key: Key
    cells: tuple[Cell, ...] = field(default=())
    delete_marker: bool = False


def type_name(value: Value | KeyValue) -> str:
    """The name of a value's type in messages of Table Store."""
    match value:
        case Bound():
            return str(value.value)
        case bool():
            return "VT_BOOLEAN"
        case int():
            return "VT_INTEGER"
        case float():
            return "VT_DOUBLE"
        case str():
            return "VT_STRING"
        case bytes():
            return "VT_BLOB"


def size_of(value: Value | KeyValue) -> int:
    """The bytes that Table Store counts for a value."""
    match value:
        case bool():
            return 1
        case int() | float():
            return 8
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case Bound():
            return 0


def key_size(key: Key) -> int:
    """The bytes that Table Store counts for a key: names and values."""
    return sum(len(one.name.encode()) + size_of(one.value) for one in key)


def cells_size(cells: tuple[Cell, ...]) -> int:
    """The bytes that Table Store counts for cells: names, values, and 8 for each timestamp."""
    return sum(
        len(cell.name.encode())
        + (0 if cell.value is None else size_of(cell.value))
        + (0 if cell.timestamp is None else 8)
        for cell in cells
    )


# Each encoded column begins with a byte for its type. The types are in the order of Table Store.
_BELOW_ALL, _INTEGER, _STRING, _BINARY, _ABOVE_ALL = (bytes([byte]) for byte in (0, 1, 2, 3, 255))


def ordered(key: Key) -> bytes:
    """Bytes that have the order of keys: column by column, strings by their bytes in UTF-8.

    A key with `INF_MIN` is below each row that agrees in the columns before it, one with `INF_MAX`
    above.
    """
    return b"".join(_ordered(one.value) for one in key)


def _ordered(value: KeyValue) -> bytes:
    match value:
        case Bound.INF_MIN | Bound.AUTO_INCREMENT:
            return _BELOW_ALL
        case Bound.INF_MAX:
            return _ABOVE_ALL
        case int():
            return _INTEGER + (value + 2**63).to_bytes(8)
        case str():
            return _STRING + _ended(value.encode())
        case bytes():
            return _BINARY + _ended(value)


def _ended(text: bytes) -> bytes:
    # Shorter is lower: the end is below each byte that could follow, so zeros in it are escaped.
    return text.replace(b"\0", b"\0\xff") + b"\0\0"
