"""The nesting limit of JSON, so that a result does not depend on the version of Python.

Without it, a decoder fails where the interpreter's stack ends: at 1,500 levels in Python 3.12.1, at
10,000 in 3.13.0.
"""

import re

# Other JSON parsers have similar limits. It is below the stack limit of every supported Python.
MAX_NESTING = 1000

_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def nests_too_deep(data: bytes | bytearray) -> bool:
    """Whether JSON in these bytes has more levels of arrays and objects than `MAX_NESTING`.

    If it does not, a decoder meets at most that many levels, even if the bytes are not JSON.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return False
    level = 0
    for bracket in _TEXT.sub(b"", data).translate(None, _NO_BRACKETS):
        level += 1 if bracket in b"[{" else -1
        if level > MAX_NESTING:
            return True
    return False
