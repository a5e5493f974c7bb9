"""The values of a source record as those of an event: texts, tags, numbers."""

import re

import msgspec
from msgspec import Raw

from lockstep.source_files.source_fields import items
from shared.event import InvalidEventError

SEPARATOR = "; "  # between the items of an array that becomes one string

# `640`, ` 640`, `0640`. Also `640.0` and `640.00`, as some programs write integers if a cell of the
# column is empty. Not `1.000`: in some countries, that is a thousand.
_WHOLE_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,20})(?:\.0{1,2})?\s*")


def text(name: str, raw: Raw) -> str:
    """A value as a string: numbers and booleans unchanged, arrays joined.

    Raises:
        InvalidEventError: it holds an object; `name` is the source field, for the message.
    """
    written = bytes(raw)
    if written.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    if written.startswith(b"["):
        return SEPARATOR.join(texts(name, raw))
    if written.startswith(b"{"):
        detail = f"field `{name}` has objects in a list of lists: make it a list of objects"
        raise InvalidEventError("schema", detail)
    return written.decode()


def texts(name: str, raw: Raw, split: str | None = None) -> list[str]:
    """The items of an array as strings, without nulls; a single value is an array of one.

    Args:
        name: the source field, for messages.
        raw: its value.
        split: a separator: each string becomes its parts, without white space around them and
            without empty parts.

    Raises:
        InvalidEventError: it holds an object.
    """
    if bytes(raw).startswith(b"["):
        found = [text(name, item) for item in items(raw) if bytes(item) != b"null"]
    else:
        found = [text(name, raw)]
    if split is None:
        return found
    parts = (part.strip() for one in found for part in one.split(split))
    return [part for part in parts if part]


def number(name: str, raw: Raw) -> Raw:
    """An integer, also one in a string; the validator judges every value that is not a string.

    Raises:
        InvalidEventError: a string holds no integer; `name` is the source field, for the message.
    """
    if not bytes(raw).startswith(b'"'):
        return raw
    written = msgspec.json.decode(raw, type=str)
    if (found := _WHOLE_NUMBER.fullmatch(written)) is None:
        detail = (
            f"field `{name}`: `{written}` is not a whole number: write only digits, without "
            "separators, unit or fraction (1024); if there is no number, write nothing"
        )
        raise InvalidEventError("schema", detail)
    return Raw(str(int(found[1])).encode())
