"""Separate JSON values that have no lines of their own: arrays and pretty-printed objects.

Only brackets and strings are looked at, so each value keeps its bytes: numbers stay as written, and
the validator says what is wrong with a value. After a broken value, the next one is found again.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from lockstep.producing.unreadable import MAX_LINE_BYTES, UnreadableRecord

_CHUNK_BYTES = 64 * 1024
# A string, or the beginning of one: no JSON string has a line break. Possessive quantifiers (`*+`)
# keep the time linear.
_TOKEN = re.compile(rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+(?P<end>"|\\?\Z|)|[][{}]')
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}
_BLANK = b" \t\r\n,"
_IN_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # outside strings, one blank is as good as another


def json_values(file: BinaryIO, name: str) -> Iterator[bytes | UnreadableRecord]:
    """Yield each value of a file, on one line; of an array, each element.

    Args:
        file: the file: one array, or any number of values one after another.
        name: its name, for messages.
    """
    values = _Values()
    held = b""
    while chunk := file.readline(_CHUNK_BYTES):
        held += chunk
        used = values.parts_of(held, is_end=len(held) > MAX_LINE_BYTES)
        yield from values.taken()
        held = held[used:]
    values.parts_of(held, is_end=True)
    yield from values.taken()
    yield from values.end(name)


class _Values:
    """The values of a file that is read in parts."""

    def __init__(self) -> None:
        self._found: list[bytes | UnreadableRecord] = []
        self._value = bytearray()  # what is read of a value that is still open
        self._open = bytearray()  # what closes its brackets, the innermost last
        self._in_array = False

    def taken(self) -> list[bytes | UnreadableRecord]:
        """The values since the last call."""
        found, self._found = self._found, []
        return found

    def parts_of(self, text: bytes, *, is_end: bool) -> int:
        """Read a part of the file; return how much of it is used.

        Args:
            text: the part. What is not used must be the beginning of the next part.
            is_end: a string that is open at the end of the part is broken.
        """
        begin = 0
        for token in _TOKEN.finditer(text):
            at = token.start()
            sign = text[at]
            if sign == ord('"'):
                if token["end"] != b'"' and token.end() == len(text) and not is_end:
                    self._keep(text[begin:at])
                    return at
            elif self._open:
                if self._closes(sign):
                    self._keep(text[begin : at + 1], whole=True)
                    begin = at + 1
            elif sign in _CLOSING:
                self._keep(text[begin:at])
                begin = at
                if sign == ord("[") and not self._in_array:
                    self._in_array = True
                    begin += 1
                else:
                    self._open.append(_CLOSING[sign])
            elif sign == ord("]") and self._in_array:
                self._keep(text[begin:at])
                self._in_array = False
                begin = at + 1
        self._keep(text[begin:])
        return len(text)

    def end(self, name: str) -> Iterator[bytes | UnreadableRecord]:
        """Yield what is open at the end of the file."""
        if self._open:
            text = bytes(self._value)
            detail = "the file ends before this object does: is the file complete?"
            yield UnreadableRecord(text, "not_json", detail)
        elif self._in_array:
            yield UnreadableRecord(
                b"", "not_json", f"{name} ends before its array: is it complete?"
            )

    def _closes(self, sign: int) -> bool:
        """Note a bracket in a value; whether it ends the value."""
        if sign in _CLOSING:
            self._open.append(_CLOSING[sign])
        elif sign in self._open:
            del self._open[self._open.rindex(sign) :]
        return not self._open

    def _keep(self, part: bytes, *, whole: bool = False) -> None:
        """Keep a part of the value that is open, or what is between two values."""
        if not self._open and not whole:
            for odd in part.split(b","):
                if stripped := odd.strip(_BLANK):
                    self._found.append(stripped.translate(_IN_ONE_LINE))
            return
        if len(self._value) <= MAX_LINE_BYTES:
            self._value += part
        if not whole:
            return
        value = bytes(self._value).translate(_IN_ONE_LINE)
        self._value.clear()
        if len(value) > MAX_LINE_BYTES:
            detail = (
                f"more than {MAX_LINE_BYTES} bytes in one object: check its brackets, or make one "
                "object of each image"
            )
            self._found.append(UnreadableRecord(value[:MAX_LINE_BYTES], "too_large", detail))
        else:
            self._found.append(value)
