"""The oracle of the replica: what a row in Table Store must hold of an item of DynamoDB.

It knows docs/guides/tablestore.md by heart, and nothing of the product: it imports the standard
library only. It is told items and settings as plain data, and decodes nothing that the product
encoded.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Literal

HORIZON_SECONDS = 121 * 24 * 60 * 60
GUARD = ("lockstep_version", "lockstep_at", "lockstep_deleted", "lockstep_purge_at")
MOST_KEY_BYTES, MOST_COLUMNS, MOST_NAME = 1024, 1024, 255
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789ABCDEF")
_EXACT = Context(prec=400)

type Cell = str | int | float | bool | bytes
type Item = Mapping[str, Mapping[str, Any]]
type Row = dict[str, Cell]
"""The columns of a row without its key, by name."""


class NoRowError(Exception):
    """No row can hold the item, or its key."""


@dataclass(frozen=True)
class RowSettings:
    """The settings of the consumer, as the guide names them."""

    primary_key: tuple[str, ...]
    unfit: Literal["refuse", "string"]
    nulls: Literal["empty", "omit"]
    types: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def version(label: str, number: str | int) -> str:
    """The version of a record: the label with milliseconds, and the number in 40 digits."""
    seconds, _, fraction = label.rstrip("Z").partition(".")
    return f"{seconds}.{(fraction + '000')[:3]}/{int(number):040d}"


def column(attribute: str, settings: RowSettings) -> str:
    """The column of an attribute."""
    if attribute in settings.names:
        return settings.names[attribute]
    if attribute in GUARD:
        return _escape("l") + attribute[1:]
    escaped = []
    for at, character in enumerate(attribute):
        allowed = character in _LETTERS or (character in _DIGITS and at > 0)
        looks_escaped = (
            character == "_"
            and attribute[at + 1 : at + 2] == "x"
            and len(attribute) >= at + 6
            and set(attribute[at + 2 : at + 6]) <= _HEX
        )
        escaped.append(character if allowed and not looks_escaped else _escape(character))
    return "".join(escaped)


def key_of(keys: Item, settings: RowSettings) -> tuple[tuple[str, Cell], ...]:
    """The key of the row: its columns in their order.

    Raises:
        NoRowError: a number is no Integer, or the key is too long.
    """
    found = []
    for name in settings.primary_key:
        ((kind, value),) = keys[name].items()
        cell: Cell
        if kind == "N":
            number = Decimal(value)
            if not _is_integer(number):
                raise NoRowError(f"{name}: {value}")
            cell = int(number)
        else:
            cell = value
            if len(value.encode() if kind == "S" else value) > MOST_KEY_BYTES:
                raise NoRowError(f"{name}: too long")
        found.append((column(name, settings), cell))
    return tuple(found)


def living(item: Item, settings: RowSettings, *, version: str, at: int) -> Row:
    """The row of an item; `at` is when it changed, in milliseconds since 1970.

    Raises:
        NoRowError: Table Store cannot hold it.
    """
    row: Row = {}
    taken = {column(name, settings) for name in settings.primary_key} | set(GUARD)
    for name, value in item.items():
        if name in settings.primary_key:
            continue
        target = column(name, settings)
        if len(target) > MOST_NAME or target in taken or not target:
            raise NoRowError(f"{name}: no such column")
        taken.add(target)
        cell = _cell(value, settings, settings.types.get(name))
        if cell is not None:
            row[target] = cell
    if len(settings.primary_key) + len(row) + len(GUARD) > MOST_COLUMNS:
        raise NoRowError("too many columns")
    row |= {GUARD[0]: version, GUARD[1]: at, GUARD[2]: False}
    return row


def tombstone(*, version: str, at: int) -> Row:
    """The row of a removal; `at` is when, in milliseconds since 1970."""
    return {
        GUARD[0]: version,
        GUARD[1]: at,
        GUARD[2]: True,
        GUARD[3]: at // 1000 + HORIZON_SECONDS,
    }


def same(one: Mapping[str, Cell], other: Mapping[str, Cell]) -> bool:
    """Whether the columns are the same, with their types."""
    return _typed(one) == _typed(other)


def _typed(row: Mapping[str, Cell]) -> Mapping[str, tuple[str, Cell]]:
    return {name: (type(cell).__name__, cell) for name, cell in row.items()}


def _escape(character: str) -> str:
    code = ord(character)
    return f"_x{code:04X}_" if code < 0x10000 else f"_x{code:08X}_"  # noqa: PLR2004 - four digits


def _cell(value: Mapping[str, Any], settings: RowSettings, forced: str | None) -> Cell | None:
    ((kind, inner),) = value.items()
    found: Cell | None
    match kind:
        case "NULL":
            found = "" if settings.nulls == "empty" else None
        case "N":
            found = _number(Decimal(inner), settings, forced)
        case "BS":
            found = b"".join(len(one).to_bytes(4, "big") + one for one in sorted(inner))
        case "L" | "M" | "SS" | "NS":
            found = _json(value)
        case _:
            found = inner
    return found


def _number(number: Decimal, settings: RowSettings, forced: str | None) -> Cell:
    if forced == "string":
        return digits(number)
    if forced in {None, "integer"} and _is_integer(number):
        return int(number)
    if forced in {None, "double"}:
        double = float(digits(number))
        if Decimal(repr(double)) == number:
            return double
    if forced is None and settings.unfit == "string":
        return digits(number)
    raise NoRowError(digits(number))


def _is_integer(number: Decimal) -> bool:
    return number == int(number) and -(2**63) <= int(number) < 2**63


def digits(number: Decimal) -> str:
    """The number in plain digits."""
    sign, digit, exponent = number.normalize(_EXACT).as_tuple()
    if not isinstance(exponent, int) or not any(digit):
        return "0"
    text = "".join(map(str, digit))
    if exponent >= 0:
        text += "0" * exponent
    else:
        text = text.rjust(1 - exponent, "0")
        text = f"{text[:exponent]}.{text[exponent:]}"
    return f"-{text}" if sign else text


def _json(value: Mapping[str, Any]) -> str:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return _text(inner)
        case "N":
            return digits(Decimal(inner))
        case "B":
            return _text(_base64(inner))
        case "BOOL":
            return "true" if inner else "false"
        case "NULL":
            return "null"
        case "L":
            return _array(map(_json, inner))
        case "M":
            pairs = [f"{_text(name)}:{_json(inner[name])}" for name in sorted(inner)]
            return "{" + ",".join(pairs) + "}"
        case "SS":
            return _array(map(_text, sorted(inner)))
        case "NS":
            return _array(map(digits, sorted(map(Decimal, inner))))
        case _:
            return _array(_text(_base64(one)) for one in sorted(inner))


def _array(parts: Iterable[str]) -> str:
    return f"[{','.join(parts)}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _base64(binary: bytes) -> str:
    return base64.b64encode(binary).decode("ascii")


def highest(versions: Sequence[str]) -> str:
    """The highest of these versions; empty if there are none."""
    return max(versions, default="")
