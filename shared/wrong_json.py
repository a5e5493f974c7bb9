"""What is wrong with data that is not JSON: where, and what to write."""

import re

from shared.event import InvalidEventError

_PLACE = re.compile(r" \(byte ([0-9]+)\)")
_AROUND = 16  # bytes before and after a fault that are quoted
_ONE = "send one JSON object per record"
# By a part of the message of msgspec's decoder: what is wrong, and what to do.
_WORDS = (
    ("truncated", "the JSON ends too early", "complete it"),
    (
        "trailing characters",
        "something follows the JSON",
        "remove it, or send it as another record",
    ),
    ("trailing comma", "a comma has nothing after it", "remove it"),
    ("keys must be strings", "a name is not in double quotes", 'write "name"'),
    ("expected '\"'", "a name is not in double quotes", 'write "name"'),
    ("expected ':'", "a name has no colon after it", "add the colon"),
    ("expected ','", "a comma or a closing bracket is missing", "add it"),
    ("escape", "JSON does not allow this character after a backslash", r"write \\ for a backslash"),
    ("invalid number", "this number does not have the form of JSON", "write it as 1024 or 0.5"),
)
_CONTROL = ("a string has a control character", r"write \n for a line break, \t for a tab")
_NO_VALUE = (
    "this is not a value of JSON",
    "write a string in double quotes, a number, true or false",
)


def not_json(data: bytes, said: str) -> InvalidEventError:
    """The refusal of data that is not JSON, in our words.

    Args:
        data: text in UTF-8, not empty.
        said: what the decoder says about it.
    """
    if not data.lstrip().startswith((b"{", b"[", b'"')):
        begin = _quoted(data[: 2 * _AROUND])
        detail = f"the record is not JSON, it begins with {begin}: {_ONE}"
        return InvalidEventError("not_json", detail)
    place = _PLACE.search(said)
    at = int(place[1]) if place else len(data)
    what, do = next(
        ((what, do) for part, what, do in _WORDS if part in said),
        _CONTROL if data[at : at + 1] < b" " else _NO_VALUE,
    )
    near = _quoted(data[max(0, at - _AROUND) : at + _AROUND])
    return InvalidEventError("not_json", f"{what} (byte {at}, near {near}): {do}")


def _quoted(part: bytes) -> str:
    """A part of a text, which may begin and end inside of a character."""
    return f"`{' '.join(part.decode(errors='ignore').split())}`"
