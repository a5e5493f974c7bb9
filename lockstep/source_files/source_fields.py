"""The fields of a source record, flat: a field inside objects and lists gets one name.

`{"camera": {"maker": "Z"}}` has the field `camera.maker`. `{"people": [{"name": "A"}]}` has the
field `people[].name`, a list of what the objects have, in their order.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from shared import event
from shared.event import InvalidEventError
from shared.nesting import nests_too_deep

MAX_DEPTH = 16

# An empty object has no field that could name it, so it is taken as an empty list.
_EMPTY_OBJECT, _EMPTY_LIST = b"{}", Raw(b"[]")

_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class SourceFields(msgspec.Struct, frozen=True):
    """The fields of one record: each value is JSON as it was written.

    `repeated`: names that the record has more than once. Only one of their values is in `values`.
    """

    values: Mapping[str, Raw]
    repeated: frozenset[str]


def source_fields(line: bytes) -> SourceFields:
    """Decode a source record.

    Raises:
        InvalidEventError: it is not a JSON object, or it is nested too deep.
    """
    try:
        line.decode()
        if nests_too_deep(line):
            raise InvalidEventError("schema", "too many levels: make the record flatter")
        _fields.decode(line)
        whole = Raw(msgspec.json.format(line, indent=-1))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        event.decode(line)  # raises: neither UTF-8, nor JSON, nor an object
        raise
    repeated = set[str]()
    values: dict[str, Raw] = {}
    for name, value in _flat_object("", whole, MAX_DEPTH, repeated):
        if name in values:
            repeated.add(name)
        values[name] = value
    return SourceFields(values, frozenset(repeated))


def is_in(name: str, outer: str) -> bool:
    """Whether a field is this outer field, or inside it."""
    return name == outer or name.startswith((f"{outer}.", f"{outer}[]"))


def items(raw: Raw) -> list[Raw]:
    """The items of a JSON array."""
    return _items.decode(raw)


def _flat_object(
    prefix: str, raw: Raw, depth: int, repeated: set[str]
) -> Iterator[tuple[str, Raw]]:
    fields = _fields.decode(raw)
    for name in _repeated_names(raw, fields):
        repeated.add(prefix + name)
    if not depth:
        detail = f"field `{prefix}` is nested deeper than {MAX_DEPTH}: flatten the record"
        raise InvalidEventError("schema", detail)
    for name, value in fields.items():
        yield from _flat_value(prefix + name, value, depth, repeated)


def _flat_value(name: str, value: Raw, depth: int, repeated: set[str]) -> Iterator[tuple[str, Raw]]:
    written = bytes(value)
    if written == _EMPTY_OBJECT:
        yield name, _EMPTY_LIST
    elif written.startswith(b"{"):
        yield from _flat_object(f"{name}.", value, depth - 1, repeated)
    elif written.startswith(b"[") and b"{" in written:
        yield from _flat_list(name, value, depth, repeated)
    else:
        yield name, value


def _flat_list(name: str, value: Raw, depth: int, repeated: set[str]) -> Iterator[tuple[str, Raw]]:
    """The items that are no objects under the name of the list; of objects, each field."""
    others: list[Raw] = []
    found: dict[str, list[Raw]] = {}
    for item in _items.decode(value):
        if not bytes(item).startswith(b"{"):
            others.append(item)
            continue
        seen = set[str]()
        for inner, held in _flat_object(f"{name}[].", item, depth - 1, repeated):
            if inner in seen:
                repeated.add(inner)
            seen.add(inner)
            values = _items.decode(held) if bytes(held).startswith(b"[") else [held]
            found.setdefault(inner, []).extend(values)
    if others or not found:
        yield name, Raw(msgspec.json.encode(others))
    for inner, values in found.items():
        yield inner, Raw(msgspec.json.encode(values))


def _repeated_names(raw: Raw, fields: Mapping[str, Raw]) -> list[str]:
    """The names that a JSON object without white space has more than once."""
    if len(bytes(raw)) == len(msgspec.json.encode(fields)):
        return []
    return repeated_names(bytes(raw))


def repeated_names(data: bytes) -> list[str]:
    """The names that the outermost object of this JSON has more than once."""
    pairs: list[tuple[str, object]] = []

    def keep(of_object: list[tuple[str, object]]) -> None:
        pairs[:] = of_object  # the outermost object comes last

    json.loads(data, object_pairs_hook=keep, parse_int=str, parse_float=str)
    count = Counter(name for name, _ in pairs)
    return [name for name, times in count.items() if times > 1]
