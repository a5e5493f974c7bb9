"""Image IDs from any text.

Two rules. `escape` is reversible: a letter, a digit, `.`, `_` and `-` stay; every other byte of the
UTF-8 text becomes `:` and two upper-case hexadecimal digits. So `1982/12 a` becomes
`1982:2F12:20a`. An ID must begin with a letter or a digit. So a text that does not gets `x::` in
front, which no other text does. `hash` is the SHA-256 of the UTF-8 text, in hexadecimal.
"""

import hashlib
import re
from typing import Literal

Rule = Literal["escape", "hash"]

_ESCAPED = re.compile(rb"[^A-Za-z0-9._-]")
_FRONT = b"x::"
_BEGINS_WELL = re.compile(rb"[A-Za-z0-9]")


def id_of(text: str, rule: Rule) -> str:
    """The image ID of a text. It may be too long for an event; the validator says so."""
    data = text.encode()
    if rule == "hash":
        return hashlib.sha256(data).hexdigest()
    front = b"" if not data or _BEGINS_WELL.match(data) else _FRONT
    return (front + _ESCAPED.sub(lambda found: b":%02X" % found[0][0], data)).decode("ascii")
