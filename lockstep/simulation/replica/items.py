"""Items of any table: keys of one or two attributes, and attributes of every type."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.replica import oracle

KeyKind = Literal["S", "N", "B"]

KINDS: Sequence[KeyKind] = ("S", "N", "B")
"""The types of keys in DynamoDB."""
_TYPES: Mapping[KeyKind, str] = {"S": "STRING", "N": "INTEGER", "B": "BINARY"}
"""The types of keys in Table Store."""

# An item with this attribute is refused by the table in Table Store, alone or with its request.
REFUSED, CONDEMNED = "refused", "condemned"
_KEY_NAMES = ("id", "order no.", "Kunde_ß", "2nd", "lockstep_version", "a_x0041_b", "🔑")
_NAMES = (
    "price",
    "price.eur",
    "Größe",
    "2nd price",
    "_",
    "x_x0041",
    "lockstep_at",
    "lockstep_deleted",
    "lockstep_purge_at",
    "価格",
    "\U0001d4b3",
    "a b",
    "n" * 255,
)
# Its column is longer than a name may be.
_LONG_NAME = "ü" * 40
_TEXTS = ("", "a", "Turm am Meer", "מגדל", '"\\\n\t\x01', "2026-11-30", "🗼" * 3, "x" * 300)
_NUMBERS = (
    "0",
    "1",
    "-7",
    "2.5",
    "-0.1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "100000000000000000000",
    "0.30000000000000004",
    "1234567890.123456",
    "3.141592653589793238462643383279502884",
    "99999999999999999999999999999999999999",
    "1E-130",
    "9.9999999999999999999999999999999999999E+125",
    "1.50",
)
_BINARIES = (b"", b"\x00", b"\xff\xfe", b"Lockstep", bytes(range(64)))
_MOST_ATTRIBUTES, _MOST_DEPTH = 5, 2
_RARELY, _OFTEN = 0.03, 0.5
_TOO_MANY_COLUMNS = 1021
_TOO_LONG_KEY = 1025


class Table(msgspec.Struct, frozen=True):
    """A table in DynamoDB: the names and the types of its key, in its own order."""

    key: tuple[tuple[str, KeyKind], ...]

    def target_key(self, settings: oracle.RowSettings) -> Sequence[tuple[str, str]]:
        """The key of the table in Table Store: names and types, in the order of the settings."""
        kinds = dict(self.key)
        return [(oracle.column(one, settings), _TYPES[kinds[one]]) for one in settings.primary_key]

    def keys_in(self, item: Item) -> Item:
        """The key of an item."""
        return {name: item[name] for name, _ in self.key}


def any_table(chance: random.Random) -> Table:
    """A table with one or two keys."""
    names = chance.sample(_KEY_NAMES, chance.choice((1, 1, 2)))
    return Table(tuple((name, chance.choice(KINDS)) for name in names))


def any_settings(chance: random.Random, table: Table) -> oracle.RowSettings:
    """Settings that fit the table."""
    names = [name for name, _ in table.key]
    chance.shuffle(names)
    types = {"price": chance.choice(("integer", "double", "string"))}
    columns = {chance.choice(_NAMES[1:]): chance.choice(("renamed", "price"))}
    return oracle.RowSettings(
        primary_key=tuple(names),
        unfit=chance.choice(("refuse", "string")),
        nulls=chance.choice(("empty", "omit")),
        types=types if chance.random() < _OFTEN else {},
        names=columns if chance.random() < _OFTEN else {},
    )


def any_keys(chance: random.Random, table: Table, count: int) -> list[Item]:
    """Different keys; rarely one that no row can have."""
    found: dict[str, Item] = {}
    while len(found) < count:
        key = {name: _key_value(chance, kind) for name, kind in table.key}
        found.setdefault(repr(key), key)
    return list(found.values())


def any_item(chance: random.Random, keys: Item) -> Item:
    """An item with this key."""
    item = dict(keys)
    if chance.random() < _RARELY / 10:
        return {**item, **{f"c{at}": {"N": str(at)} for at in range(_TOO_MANY_COLUMNS)}}
    for _ in range(chance.randint(0, _MOST_ATTRIBUTES)):
        name = chance.choice(_NAMES)
        item.setdefault(name, any_value(chance, 0))
    if chance.random() < _RARELY:
        item.setdefault(_LONG_NAME, {"S": "its column is too long"})
    if chance.random() < _RARELY:
        item.setdefault(chance.choice((REFUSED, CONDEMNED)), {"BOOL": True})
    return item


def any_value(chance: random.Random, depth: int) -> dict[str, Any]:
    """A value of any type of DynamoDB."""
    kinds = [*_VALUES, *(_NESTED if depth < _MOST_DEPTH else ())]
    kind = chance.choice(kinds)
    make = _VALUES.get(kind)
    if make is not None:
        return {kind: make(chance)}
    inner = [any_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    if kind == "L":
        return {"L": inner}
    return {"M": dict(zip(chance.sample([*_NAMES, ""], len(inner)), inner, strict=True))}


def _key_value(chance: random.Random, kind: KeyKind) -> dict[str, Any]:
    match kind:
        case "S":
            if chance.random() < _RARELY:
                return {"S": "k" * _TOO_LONG_KEY}
            return {"S": chance.choice(("a", "b", "é", "a\x00", "🗼", "z" * 20)) + _digit(chance)}
        case "N":
            if chance.random() < _RARELY:
                return {"N": chance.choice(("0.5", "9223372036854775808"))}
            return {"N": chance.choice(("0", "-5", "9223372036854775807", _digit(chance)))}
        case "B":
            return {"B": chance.choice(_BINARIES[1:]) + _digit(chance).encode()}


def _digit(chance: random.Random) -> str:
    return str(chance.randrange(10))


def _number(chance: random.Random) -> str:
    if chance.random() < _OFTEN:
        return chance.choice(_NUMBERS)
    return str(chance.randint(-(10**6), 10**6))


def _set_of[T](pool: Sequence[T]) -> Callable[[random.Random], list[T]]:
    return lambda chance: chance.sample(list(pool), chance.randint(1, 3))


_VALUES: Mapping[str, Callable[[random.Random], Any]] = {
    "S": lambda chance: chance.choice(_TEXTS),
    "N": _number,
    "B": lambda chance: chance.choice(_BINARIES),
    "BOOL": lambda chance: chance.random() < _OFTEN,
    "NULL": lambda _: True,
    "SS": _set_of(_TEXTS),
    "NS": _set_of(_NUMBERS[:-1]),
    "BS": _set_of(_BINARIES),
}
_NESTED = ("L", "M")
