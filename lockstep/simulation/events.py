"""Events as their authors mean them: plain JSON, drawn at random.

Each field of an image is drawn by its schema, so a new field is drawn without a change here.
"""

import datetime as dt
import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from lockstep.simulation.oracle import Meaning
from shared.event import Image

# Most images have few fields, because everything costs time for each of them.
MOST_FIELDS = 3
ALL_FIELDS_SHARE = 0.05
# The share of images with a text as long as it may be.
LONG_SHARE = 0.001
_POOL = 256
_MOST_VALUES = 4
_MINUTES_OF_18_HOURS = 18 * 60
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the offset is written by hand
# Several scripts, marks that combine, texts from right to left, characters beyond the first plane,
# and what JSON or HTML escapes.
_WORDS = (
    *("", "sea", "Richmond Hill", "é", "e\u0301", "Straße", "İstanbul", "Ελλάδα", "Москва", "ﬁn"),
    *("שלום", "\u202eabc\u202c", "العربية", "हिन्दी", "ไทย", "日本語", "漢字", "한국어"),
    *("\u1112\u1161\u11ab",),
    *("😀", "👩\u200d👩\u200d👧", "\U0001d49c", "\U0010ffff", "\ufeff", "\ufffe", "\u2028"),
    *("\0", "\x1f", "\x7f", "\t\r\n", '"', "\\", "/", "<&>", "\\u0041", "0", "null", "1e5", " "),
    *("a b", "A", "a", "%s", "{}"),
)
_FRACTIONS = ("", "", ".5", ".000", ".000001", ".123456", ".1234565", ".99999949", ".1")
_NUMBERS = (0, 1, 9, 10, 255, 65_536, 2**31, 2**32, 2**53 - 2, 2**53 - 1)
_NAMES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def draw_image(chance: random.Random, name: str) -> dict[str, Any]:
    """An image with this name, and any of the other fields in any order."""
    pools = _pools()
    drawn = chance.random()
    names = pools if drawn < ALL_FIELDS_SHARE else _some(chance, pools)
    image = {field: chance.choice(pools[field]) for field in names}
    if drawn > 1 - LONG_SHARE:
        field = chance.choice(list(_longest()))
        image[field] = _longest()[field]
    if drawn < 0.5:  # noqa: PLR2004 - half of them
        return {"name": name, **image}
    image["name"] = name
    return image


def draw_change(chance: random.Random, image: Mapping[str, Any]) -> dict[str, Any]:
    """The same image, but one field is another one, is missing, or is there."""
    pools = _pools()
    field = chance.choice(list(pools))
    changed = dict(image)
    value = changed.pop(field, None)
    other = chance.choice(pools[field])
    if value is None or (other != value and chance.random() < 0.5):  # noqa: PLR2004 - a coin
        changed[field] = other
    return changed


def draw_time(chance: random.Random, stamp: int) -> str:
    """The time of a stamp in any zone, to the microsecond, the millisecond or the second."""
    offset = chance.choice(_OFFSETS)
    local = _EPOCH + dt.timedelta(microseconds=stamp, minutes=offset)
    precision = chance.choice(("microseconds", "microseconds", "milliseconds", "seconds"))
    return local.isoformat(timespec=precision) + _zone(chance, offset)


def as_json(chance: random.Random, event: Mapping[str, Any]) -> bytes:
    """The JSON of an event as any program may write it: with any order, escapes and spaces."""
    drawn = chance.random()
    if drawn < 0.5:  # noqa: PLR2004 - half of them
        return json.dumps(event).encode()
    backwards = {name: event[name] for name in reversed(list(event))}
    separators = (",", ":") if drawn < 0.75 else (" ,\t", ": ")  # noqa: PLR2004 - a quarter each
    return json.dumps(backwards, ensure_ascii=False, separators=separators).encode()


def event_of(meant: Meaning) -> dict[str, Any]:
    """The event as JSON has it."""
    event: dict[str, Any] = {
        "type": meant.event_type,
        "image_id": meant.image_id,
        "version": meant.version,
        "occurred_at": meant.occurred_at,
    }
    return event if meant.image is None else event | {"image": meant.image}


def pools_of(schema: Mapping[str, Any]) -> Mapping[str, Sequence[Any]]:
    """Values of each field of an image except its name, by its schema.

    Raises:
        NotImplementedError: a field has a type that no other one has.
    """
    chance = random.Random(0)  # noqa: S311 - the same values in every run
    properties: Mapping[str, Any] = schema["properties"]
    return {
        name: [draw(chance) for _ in range(_POOL)]
        for name, one in properties.items()
        if name != "name"
        for draw in [_drawer(one)]
    }


@cache
def _pools() -> Mapping[str, Sequence[Any]]:
    return pools_of(_image_schema())


@cache
def _longest() -> Mapping[str, Any]:
    """Each field that has texts, with one that is as long as it may be in UTF-8."""
    properties: Mapping[str, Any] = _image_schema()["properties"]
    return {
        name: longest
        for name, one in properties.items()
        if name != "name" and (longest := _longest_value(one)) is not None
    }


def _longest_value(schema: Mapping[str, Any]) -> Any:
    match schema:
        case {"type": "string", "x-max-bytes": size}:
            return "é€" + "é" * (size // 2 - 3) + "x"
        case {"type": "array", "items": inner}:
            return [_longest_value(inner), ""]
        case {"type": "object", "additionalProperties": inner}:
            return {"B" * 64: _longest_value(inner), "a": ""}
        case _:
            return None


@cache
def _image_schema() -> Mapping[str, Any]:
    schema: Mapping[str, Any] = msgspec.json.schema_components([Image])[1]["Image"]
    return schema


def _some(chance: random.Random, pools: Mapping[str, Any]) -> Sequence[str]:
    return chance.sample(list(pools), chance.randint(0, MOST_FIELDS))


def _drawer(schema: Mapping[str, Any]) -> Callable[[random.Random], Any]:
    match schema:
        case {"format": "date-time"}:
            return _any_time
        case {"type": "integer"}:
            return _number
        case {"type": "array"}:
            return _texts
        case {"type": "object"}:
            return _attributes
        case {"type": "string"}:
            return _text
        case other:
            raise NotImplementedError(other)


def _text(chance: random.Random) -> str:
    return "".join(chance.choice(_WORDS) for _ in range(chance.choice((1, 1, 1, 2, 5))))


def _number(chance: random.Random) -> int:
    return chance.choice((*_NUMBERS, chance.getrandbits(chance.randint(1, 53))))


def _texts(chance: random.Random) -> list[str]:
    texts = [_text(chance) for _ in range(chance.randint(0, _MOST_VALUES))]
    return texts + texts[:1] if chance.random() < 0.3 else texts  # noqa: PLR2004 - a repetition


def _attributes(chance: random.Random) -> dict[str, str]:
    return {_attribute(chance): _text(chance) for _ in range(chance.randint(0, _MOST_VALUES))}


def _attribute(chance: random.Random) -> str:
    length = chance.choice((0, 0, 1, 3, 10, 63))
    return chance.choice(_NAMES[:52]) + "".join(chance.choices(_NAMES, k=length))


def _any_time(chance: random.Random) -> str:
    days, seconds = chance.randint(-600_000, 2_900_000), chance.randint(0, 86_399)
    local = _EPOCH + dt.timedelta(days=days, seconds=seconds)
    letter = chance.choice("TTTt")
    offset = chance.choice(_OFFSETS)
    return local.isoformat(letter) + chance.choice(_FRACTIONS) + _zone(chance, offset)


def _zone(chance: random.Random, offset: int) -> str:
    if offset == 0:
        return chance.choice(("Z", "Z", "z", "+00:00", "-00:00"))
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


_OFFSETS = (0, 0, 0, 60, -60, 330, -765, 1, _MINUTES_OF_18_HOURS, -_MINUTES_OF_18_HOURS)
