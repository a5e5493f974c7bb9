"""What is wrong with JSON that is not an event: which field, what it has, and what to write."""

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from shared.event import (
    ATTRIBUTE_NAME_PATTERN,
    MAX_IMAGE_ID,
    MAX_VERSION,
    Event,
    Image,
    InvalidEventError,
    too_long,
)
from shared.shortened import shortened

# The messages of msgspec.
_SAID = re.compile(r"(.*?)(?: - at (?:`key` in )?`(\$[\w.\[\]]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_TYPES = re.compile(r"Expected `(\w+)`, got `(\w+)`")
_BOUND = re.compile(r"Expected `int` (<|>)= (\d+)")
_MOST = re.compile(r"Expected `(\w+)` of length <= (\d+)")
# The steps of a place: `.image`, `[3]`. It does not say which attribute it means.
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_SOME_ATTRIBUTE = "[...]"

_OF_EVENT, _OF_IMAGE = (
    frozenset(field.name for field in msgspec.structs.fields(kind)) for kind in (Event, Image)
)
_NO_LETTER = re.compile(r"[^a-z0-9]")
_REQUIRED = frozenset(
    f"{place}.{field.name}"
    for place, kind in (("$", Event), ("$.image", Image))
    for field in msgspec.structs.fields(kind)
    if field.required
)
_SET_BY_PUT = frozenset({"$.version", "$.occurred_at"})
_NUMBER_IN_TEXT = re.compile(r"\s*([+-]?[0-9]{1,16})(?:\.0*)?\s*")
_OUTSIDE_AN_ID = re.compile(r"[^A-Za-z0-9._:-]")
_ATTRIBUTE_NAME = re.compile(ATTRIBUTE_NAME_PATTERN)
_WRITE_A_TIME = (
    "write a time with a time zone: 2026-11-21T08:00:00Z (in a mapping file: formats, zone)"
)
_WRITE = {
    "int": "write an integer, without quotes or decimal point",
    "str": "write a string, in quotes",
    "array": "write an array, in brackets",
    "object": "write an object, in braces",
    "datetime": _WRITE_A_TIME,
}
_NAMES = {
    "int": "an integer",
    "float": "a number with a fraction",
    "str": "a string",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "datetime": "a time",
    "null": "null",
}
# By a part of the decoder's message.
_OTHER_VALUES = (
    ("Number out of range", (" is out of range", _WRITE["int"])),
    ("Invalid enum value", (" is unknown", "use image.uploaded, image.updated or image.deleted")),
    ("of length >=", (" is empty", "write at least one character")),
    ("timezone", (" has no time zone", _WRITE_A_TIME)),
    ("RFC3339", (" is not a time", _WRITE_A_TIME)),
)
_LONGEST_QUOTE = 80  # enough to recognize a value


def not_an_event(data: bytes, said: str) -> InvalidEventError:
    """The refusal of JSON, in our words.

    Args:
        data: JSON in UTF-8.
        said: what the decoder says about the first fault that it finds.
    """
    parts = _SAID.fullmatch(said)
    finding, place = (said, None) if parts is None else parts.groups()
    try:
        if (inside := _images_inside(data)) is not None:
            return InvalidEventError("schema", inside)
        return _refusal(data, place, finding)
    except (msgspec.MsgspecError, LookupError, ValueError):
        # The decoder met one value, and this module another one, which came later.
        detail = f"{place}: {finding}: a field must not be there twice"
        return InvalidEventError("schema", detail)


def meant_name(name: str) -> str | None:
    """The field of an event or an image that a name means: `imageId`, `Image ID` for `image_id`."""
    letters = _NO_LETTER.sub("", name.lower())
    known = sorted(_OF_EVENT | _OF_IMAGE)
    return next((one for one in known if _NO_LETTER.sub("", one) == letters), None)


def _refusal(data: bytes, place: str | None, finding: str) -> InvalidEventError:
    at = "" if place is None else f"{place}: "
    if unknown := _UNKNOWN.fullmatch(finding):
        name = shortened(unknown[1], _LONGEST_QUOTE)
        detail = f"{at}unknown field `{name}`: {_instead_of_field(place, unknown[1])}"
        return InvalidEventError("schema", detail)
    if missing := _MISSING.fullmatch(finding):
        return InvalidEventError("schema", f"{at}missing required field `{missing[1]}`: add it")
    if types := _TYPES.fullmatch(finding):
        return _other_type(data, place, *types.groups())
    if place is None:
        return InvalidEventError("schema", finding)
    return _other_value(data, place, finding)


def _images_inside(data: bytes) -> str | None:
    """The refusal of an object around images, as many web services answer; None if it is none."""
    if not data.lstrip().startswith(b"{"):
        return None
    members = {name: bytes(raw) for name, raw in _members(data).items()}
    if not members or "image_id" in members or "image" in members:
        return None
    inside = [name for name, raw in members.items() if raw.startswith(b"{")]
    if len(inside) < len(members):
        inside = [name for name, raw in members.items() if _has_objects(raw)]
    if not inside:
        return None
    name = shortened(inside[0], _LONGEST_QUOTE)
    return (
        f"no `image_id`: if the images are the objects inside `{name}`, send "
        "each object as a record (a file may have an array of them); otherwise, use a mapping file"
    )


def _has_objects(value: bytes) -> bool:
    return value.startswith(b"[") and any(bytes(item).startswith(b"{") for item in _items(value))


def _instead_of_field(place: str | None, name: str) -> str:
    """What to do with a field that is not known here."""
    if place is None and name in _OF_IMAGE:
        return f'write it inside `image`: {{"image": {{"{name}": ...}}}}'
    if place == "$.image" and name in _OF_EVENT:
        return "write it beside `image`, not inside"
    here = _OF_IMAGE if place == "$.image" else _OF_EVENT
    if (known := meant_name(name)) in here:
        return f"write `{known}`"
    return "remove it, or make it a string in image.attributes (a mapping file does this)"


def _other_type(data: bytes, place: str | None, expected: str, got: str) -> InvalidEventError:
    """The refusal of a value that has another type than its field."""
    if place is None:
        return _other_record(data, got)
    place, value = _found(data, place, lambda raw: not raw.startswith(b'"'))
    written = _quoted(value)
    if got == "null":
        return InvalidEventError("null", f"{place}: null: {_instead_of_null(place)}")
    if expected == "int" and got == "str" and (number := _NUMBER_IN_TEXT.fullmatch(_text(value))):
        detail = f"{place}: the number is in quotes: write {int(number[1])} instead of {written}"
        return InvalidEventError("number_as_text", detail)
    if expected == "int" and got == "float" and (whole := _whole(value)) is not None:
        detail = f"{place}: the number is not written as an integer: write {whole} instead of"
        return InvalidEventError("decimal_point", f"{detail} {written}")
    detail = f"{place}: expected {_NAMES[expected]}, got {_NAMES[got]}"
    return InvalidEventError("schema", f"{detail}: {_WRITE[expected]}")


def _other_record(data: bytes, got: str) -> InvalidEventError:
    """The refusal of JSON that is not an object."""
    what, do = _NAMES[got], "send one JSON object per record"
    if got == "str" and _text(data).lstrip().startswith("{"):
        what, do = "a string with JSON in it", "encode the event once, not twice"
    return InvalidEventError("schema", f"the record is {what}: {do}")


def _instead_of_null(place: str) -> str:
    if place == "$.image":
        return "leave the field out in image.deleted; in other events, send the whole image"
    if place in _SET_BY_PUT:
        return "write a value; only `lockstep put` and `import` set it if the field is left out"
    if place in _REQUIRED:
        return "write a value"
    if place.startswith("$.image.tags["):
        return "leave the tag out"
    return "leave the field out"


def _other_value(data: bytes, place: str, finding: str) -> InvalidEventError:
    """The refusal of a value that has the right type."""
    if place == "$.image_id":
        return _other_id(_text(_found(data, place)[1]))
    if place == "$.image.attributes" and "regex" in finding:
        return InvalidEventError("schema", f"{place}: {_other_name(data)}")
    if (most := _MOST.fullmatch(finding)) and most[1] == "str":
        limit = int(most[2])
        place, value = _found(data, place, lambda raw: len(_text(raw)) > limit)
        return too_long(place, _text(value), limit)
    place, value = _found(data, place)
    if most:
        count = len(_items(value) if most[1] == "array" else _members(value))
        detail = f"{count} {place.rpartition('.')[2]}, at most {most[2]}: remove some"
    elif bound := _BOUND.fullmatch(finding):
        least_or_most = "most" if bound[1] == "<" else "least"
        detail = f"{_quoted(value)} is out of range: write at {least_or_most} {bound[2]}"
    else:
        what, do = next((words for part, words in _OTHER_VALUES if part in finding), ("", finding))
        detail = f"{_quoted(value)}{what}: {do}"
    return InvalidEventError("schema", f"{place}: {detail}")


def _other_id(image_id: str) -> InvalidEventError:
    if not image_id:
        return InvalidEventError("schema", "$.image_id: empty: write the ID of the image")
    outside = _OUTSIDE_AN_ID.search(image_id)
    if len(image_id) > MAX_IMAGE_ID:
        detail = (
            f"$.image_id: {len(image_id)} characters, at most {MAX_IMAGE_ID}: shorten it, or use a "
            'hash of it (in a mapping file: id = "hash")'
        )
        return InvalidEventError("id_too_long", detail)
    what = f"begins with {_json(image_id[0])}" if outside is None else f"has {_json(outside[0])}"
    detail = (
        f"$.image_id: {_json(image_id)} {what}: use only Latin letters, digits and . _ : -, first "
        'a letter or a digit (in a mapping file: id = "escape")'
    )
    return InvalidEventError("id_characters", detail)


def _other_name(data: bytes) -> str:
    value = _found(data, "$.image.attributes")[1]
    wrong = next((name for name in _members(value) if not _ATTRIBUTE_NAME.match(name)), "")
    return (
        f"{_json(wrong)} cannot be the name of an attribute: write first a "
        "Latin letter, then letters, digits, `_` and `-`, at most 64 in all"
    )


def _found(
    data: bytes, place: str, is_wrong: Callable[[bytes], bool] = lambda _: False
) -> tuple[str, bytes]:
    """The exact place of a fault, and its value as the record has it.

    Of a repeated name, the last one is found.

    Args:
        data: the record.
        place: the place in the decoder's words, which do not say which attribute it is.
        is_wrong: tells whether the value of an attribute is the one.
    """
    value = data
    for name, number in _STEP.findall(place.removesuffix(_SOME_ATTRIBUTE)):
        inner = _members(value)[name] if name else _items(value)[int(number)]
        value = bytes(inner)
    if not place.endswith(_SOME_ATTRIBUTE):
        return place, value
    place = place.removesuffix(_SOME_ATTRIBUTE)
    for name, raw in _members(value).items():
        if is_wrong(bytes(raw)):
            return f"{place}.{name}", bytes(raw)
    return place, value


def _members(value: bytes) -> dict[str, Raw]:
    return msgspec.json.decode(value, type=dict[str, Raw])


def _items(value: bytes) -> list[Raw]:
    return msgspec.json.decode(value, type=list[Raw])


def _text(value: bytes) -> str:
    return msgspec.json.decode(value, type=str)


def _whole(value: bytes) -> int | None:
    """The integer that equals a number with a decimal point or an exponent; None: there is none."""
    number = float(value)
    return int(number) if number.is_integer() and abs(number) <= MAX_VERSION else None


def _json(text: str) -> str:
    return _quoted(msgspec.json.encode(text))


def _quoted(value: bytes) -> str:
    return shortened(value.decode(), _LONGEST_QUOTE)
