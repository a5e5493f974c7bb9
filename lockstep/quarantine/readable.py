"""Reads what can be read of a record that is not a valid event: its image id and its version."""

import base64
import binascii
import bz2
import json
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Any

from shared.event import MAX_EVENT_BYTES, MAX_VERSION
from shared.nesting import nests_too_deep

# A version as many producers write it by mistake: `"1"`, `"007"`, `"1.0"`.
_VERSION_AS_TEXT = re.compile(r"\s*0*([1-9][0-9]{0,15})(?:\.0+)?\s*", re.ASCII)
# A record may be base64 of gzip of base64 of a JSON string. No event needs more than that.
_MOST_LAYERS = 5
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_DECOMPRESS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data, MAX_EVENT_BYTES),
    lambda data: bz2.BZ2Decompressor().decompress(data, MAX_EVENT_BYTES),
    lambda data: lzma.LZMADecompressor().decompress(data, MAX_EVENT_BYTES),
)
_BLANK = re.compile(rb"\s+")
_OPENING, _COLON, _COMMA = (re.compile(rf"\s*{re.escape(sign)}\s*") for sign in "{:,")
_decoder = json.JSONDecoder()
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")  # base64 for URLs


def readable_fields(record: bytes) -> dict[str, Any]:
    """The JSON fields of a record that is not a valid event; none if it is not a JSON object.

    More is read than an event may have: base64, gzip, zlib, bzip2 and xz, a JSON string with JSON
    in it, other encodings of Unicode, bytes that are not UTF-8 (each one becomes U+FFFD), and lone
    surrogates. Of an object that is cut off or broken, the fields before that place are read. Of a
    compressed record, at most the size of an event is read.
    """
    for _ in range(_MOST_LAYERS):
        if fields := _fields(record):
            return fields
        inner = _inner(record)
        if inner is None:
            break
        record = inner
    return {}


def version_in(fields: dict[str, Any]) -> int | None:
    """The version in the fields of a record, also as text or as `1.0`; None if it is not valid."""
    match fields.get("version"):
        case bool():
            return None
        case int(version):
            pass
        case float(number) if number.is_integer():
            version = int(number)
        case str(text) if whole := _VERSION_AS_TEXT.fullmatch(text):
            version = int(whole[1])
        case _:
            return None
    return version if 1 <= version <= MAX_VERSION else None


def _fields(record: bytes) -> dict[str, Any]:
    text = _text(record)
    if nests_too_deep(text.encode(errors="replace")):
        return {}
    try:
        fields = json.loads(text)
    except ValueError:
        return _fields_before_fault(text)
    return fields if isinstance(fields, dict) else {}


def _fields_before_fault(text: str) -> dict[str, Any]:
    """The fields of a JSON object up to the place where it is cut off or broken.

    A value counts only if a comma follows it: a number without one may be cut off.
    """
    fields: dict[str, Any] = {}
    next_field = _OPENING.match(text)
    try:
        while next_field:
            name, end = _decoder.raw_decode(text, next_field.end())
            colon = _COLON.match(text, end)
            if colon is None:
                break
            value, end = _decoder.raw_decode(text, colon.end())
            if next_field := _COMMA.match(text, end):
                fields[str(name)] = value
    except ValueError:
        pass
    return fields


def _text(record: bytes) -> str:
    return record.decode(json.detect_encoding(record), errors="replace")


def _inner(record: bytes) -> bytes | None:
    """What is compressed, in a JSON string, or encoded in base64; None if it is none of these."""
    for decompress in _DECOMPRESS:
        try:
            return decompress(record)
        except (zlib.error, lzma.LZMAError, OSError, EOFError):
            continue
    if (said := _string(_text(record))) is not None:
        return said.encode(errors="replace")
    text = _BLANK.sub(b"", record).translate(_TO_STANDARD).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def _string(text: str) -> str | None:
    """What a JSON string says, also if it is cut off; None if this is no JSON string."""
    text = text.strip()
    if text.startswith('"'):
        for whole in (text, f'{text}"'):
            try:
                return str(json.loads(whole))
            except ValueError:
                continue
    return None
