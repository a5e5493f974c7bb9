"""Separate JSON values that have no lines of their own: arrays and pretty-printed objects.

Only brackets and strings are looked at, so each value keeps its bytes: numbers stay as written, and
the validator says what is wrong with a value. After a broken value, the next one is found again.
"""

import re
from collections.abc import Iterator
from io import BufferedReader

from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord

_CHUNK_BYTES = 64 * 1024
# What is neither a bracket nor a broken string. No JSON string has a line break. Possessive
# quantifiers (`*+`) keep the time linear.
_STRING_BEGIN = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
_PLAIN = re.compile(rb'(?:[^]["{}]++|%b")*+' % _STRING_BEGIN)
_BROKEN_STRING = re.compile(_STRING_BEGIN + rb"\\?")
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}
_BLANK = b" \t\r\n,"
_IN_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # outside strings, one blank is as good as another


def json_values(file: BufferedReader, name: str) -> Iterator[bytes | UnreadableRecord]:
    """Yield each value of a file, on one line; of an array, each element.

    Args:
        file: the file: one array, or any number of values one after another.
        name: its name, for messages.
    """
    values = _Values()
    held = b""
    while chunk := file.read1(_CHUNK_BYTES):
        held += chunk
        used = values.parts_of(held, is_end=len(held) > MAX_LINE_BYTES)
        yield from values.taken()
        held = held[used:]
    values.parts_of(held, is_end=True)
    yield from values.taken()
    yield from values.end(name)


def _end_of(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """The end of what matches here; `at` if nothing does."""
    found = pattern.match(text, at)
    return found.end() if found else at


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
        begin = at = 0
        while (at := _end_of(_PLAIN, text, at)) < len(text):
            sign = text[at]
            if sign == ord('"'):
                end = _end_of(_BROKEN_STRING, text, at)
                if end == len(text) and not is_end:
                    self._keep(text[begin:at])
                    return at
                at = end
                continue
            if self._open:
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
            at += 1
        used = len(text)
        if not self._open and not is_end:  # the last thing between two values may go on
            used = text.rfind(b",", begin) + 1 or begin
        self._keep(text[begin:used])
        return used

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
