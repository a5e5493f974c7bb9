"""Why a record is refused: what was done to it, where, and what to do.

`shared.event.decode` asks only after a refusal, so a valid record costs nothing here. Every part
that refuses an event (the consumers, `put`, `import`, `redrive --mend`, the library) decodes it
with that function. So the same fault has the same reason and the same words everywhere.
"""

import base64
import json
import re
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.event import (
    AGGREGATED_MAGIC,
    ATTRIBUTE_NAME_PATTERN,
    MAX_ATTRIBUTES,
    MAX_EVENT_BYTES,
    Event,
    Image,
    ImageId,
    InvalidEventError,
    Value,
)
from shared.nesting import nests_too_deep
from shared.wrong_fields import not_an_event
from shared.wrong_json import not_json

# `decode` stops at the first number that is out of range and does not see what follows. These two
# read on. Only the second one finds lone surrogates, but it stops at integers over 4,300 digits.
_syntax_decoder = msgspec.json.Decoder(msgspec.Raw)
_any_decoder = msgspec.json.Decoder(float_hook=str)


class _StrictImage(Image, frozen=True):
    """An image whose type has all rules, also those that `shared.event.decode` checks itself."""

    attributes: (
        Annotated[
            dict[Annotated[str, Meta(pattern=ATTRIBUTE_NAME_PATTERN)], Value],
            Meta(max_length=MAX_ATTRIBUTES),
        ]
        | UnsetType
    ) = UNSET


class _StrictEvent(Event, frozen=True):
    """An event with such an image. Its decoder finds the first fault of a record."""

    image_id: ImageId
    image: _StrictImage | UnsetType = UNSET


_strict_decoder = msgspec.json.Decoder(_StrictEvent)


def why_refused(data: bytes, error: Exception | None) -> InvalidEventError:
    """Find why a record's data is not a valid event.

    Args:
        data: what `decode` refuses, for another reason than the rules that it checks itself.
        error: what the decoder raised; None if the data is too large to be decoded.
    """
    if (form := _other_form(data)) is not None:
        return form
    if error is None:
        detail = f"{len(data)} bytes, at most {MAX_EVENT_BYTES}: shorten the description"
        return InvalidEventError("too_large", detail)
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        detail = f"byte {bad.start} is not UTF-8 ({bad.reason}): encode the JSON as UTF-8"
        return InvalidEventError("not_utf8", detail)
    if nests_too_deep(data):
        return InvalidEventError("schema", "too many levels: an event has three")
    try:
        _syntax_decoder.decode(data)
        _any_decoder.decode(data)
    except msgspec.ValidationError:  # well-formed JSON with an integer out of range
        pass
    except msgspec.DecodeError as bad:
        if not data.strip():
            return InvalidEventError("not_json", "empty: send one JSON object per record")
        if _has_lone_surrogate(data):
            return lone_surrogate()
        return not_json(data, str(bad))
    return not_an_event(data, _first_fault(data) or str(error))


def _first_fault(data: bytes) -> str | None:
    """What the decoder says about the first fault, in the order of the record; None: no fault."""
    try:
        _strict_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    return None


def lone_surrogate() -> InvalidEventError:
    """The refusal of a text that is not valid Unicode."""
    detail = "a text has a lone surrogate (half of a character): remove it"
    return InvalidEventError("not_json", detail)


def _has_lone_surrogate(data: bytes) -> bool:
    """Whether lone surrogates are all that is wrong. The decoder may call such data truncated."""
    try:
        json.loads(data, parse_constant=_refuse)  # takes lone surrogates
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN, Infinity


_COMPRESSED = (
    (re.compile(rb"\x1f\x8b"), "gzip"),
    (re.compile(rb"x[\x01\x9c\xda]"), "zlib"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "xz"),
    (re.compile(rb"\x04\x22\x4d\x18"), "lz4"),
    (re.compile(rb"\xff\x06\0\0sNaPpY"), "snappy"),
    (re.compile(rb"PK\x03\x04"), "zip"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
_BLANK = re.compile(rb"\s+")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")  # base64 for URLs
# Enough to see what is in base64; a whole number of its groups.
_HEAD = 256
_OBJECT = re.compile(rb'\s*\{\s*("|\}|$)')


def _other_form(data: bytes) -> InvalidEventError | None:
    """The refusal of data that something was done to; None if it may be JSON in UTF-8."""
    if data.startswith(AGGREGATED_MAGIC):
        detail = "a KPL-aggregated record: turn aggregation off in the producer"
        return InvalidEventError("aggregated", detail)
    if (name := _compression(data)) is not None:
        detail = f"compressed ({name}): send the JSON uncompressed"
        return InvalidEventError("compressed", detail)
    if _is_base64_of_event(data):
        detail = (
            "base64 of an event: send the JSON itself, because the Kinesis client encodes the data"
        )
        return InvalidEventError("base64", detail)
    if (encoding := _wide_encoding(data)) is not None:
        detail = f"the text is UTF-{encoding}: encode the JSON as UTF-8"
        return InvalidEventError("utf_16" if encoding == "16" else "not_utf8", detail)
    if data.startswith(_BYTE_ORDER_MARK):
        return InvalidEventError("not_json", "starts with a byte order mark: send UTF-8 without it")
    return None


def _compression(data: bytes) -> str | None:
    return next((name for signature, name in _COMPRESSED if signature.match(data)), None)


def _is_base64_of_event(data: bytes) -> bool:
    """Whether these bytes are base64 of a JSON object, of something compressed, or of base64.

    In any of its forms: also for URLs, without padding, in lines, and as a JSON string.
    """
    text = _BLANK.sub(b"", data).removeprefix(b'"').removesuffix(b'"')
    if not _BASE64.fullmatch(text):
        return False
    head = text[:_HEAD].rstrip(b"=").translate(_TO_STANDARD)
    whole = head[: len(head) - (len(head) % 4 == 1)]
    inner = base64.b64decode(whole + b"=" * (-len(whole) % 4))
    return bool(
        _OBJECT.match(inner)
        or _compression(inner)
        or _wide_encoding(inner)
        or _is_base64_of_event(inner)
    )


def _wide_encoding(data: bytes) -> str | None:
    """`16` or `32` if this is JSON in UTF-16 or UTF-32, with a byte order mark or without one."""
    encoding = json.detect_encoding(data)
    _, width, *unmarked = encoding.split("-")
    if width not in {"16", "32"}:
        return None
    begins = data[:_HEAD].decode(encoding, errors="replace")
    is_json = begins[:2].isascii() and begins.lstrip()[:1] in {"{", "[", '"'}
    return width if is_json or not unmarked else None
