"""The forms of requests and answers, and the first one: JSON 1.1. The other one is CBOR 1.1.

Both have the same members. In JSON, a blob is base64 text, and a time is a number of seconds.
"""

import binascii
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec

from lockstep.local.kinesis.errors import KinesisError
from shared.nesting import nests_too_deep

# In seconds since 1970: the range of times that SDKs support.
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800

# How much of a value is in a message.
_VALUE_SHOWN = 100


class Moment:
    """A time in an answer, in milliseconds since 1970."""

    __slots__ = ("milliseconds",)

    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds


class Wire(ABC):
    """A form of requests and answers."""

    content_type: str

    @abstractmethod
    def load(self, body: bytes | bytearray) -> Any:
        """Decode a body into dictionaries, lists and plain values.

        Raises:
            KinesisError: SerializationException.
        """

    @abstractmethod
    def blob(self, value: Any) -> bytes:
        """The bytes of a member that is a blob.

        Raises:
            KinesisError: SerializationException.
        """

    @abstractmethod
    def seconds(self, value: Any) -> float:
        """The time of a member that is a timestamp, in seconds since 1970.

        Raises:
            KinesisError: SerializationException.
        """

    @abstractmethod
    def dump(self, answer: Mapping[str, Any]) -> bytes:
        """Encode an answer, whose blobs are bytes and whose times are `Moment`s."""


class Json(Wire):
    """JSON 1.1."""

    content_type = "application/x-amz-json-1.1"

    def load(self, body: bytes | bytearray) -> Any:
        """See `Wire`."""
        if nests_too_deep(body):
            raise malformed("the body has too many levels")
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(f"the body is not JSON: {error}") from None

    def blob(self, value: Any) -> bytes:
        """See `Wire`; the base64 text must be canonical."""
        if not isinstance(value, str):
            raise unexpected(value, "base64 text")
        try:
            found = binascii.a2b_base64(value, strict_mode=True)
        except ValueError as error:  # also raised for text that is not ASCII
            raise malformed(f"a blob must be base64 text: {error}") from None
        # The decoder ignores bits after the last byte; only the last characters can have any.
        last = found[len(found) - len(found) % 3 :]
        if last and not value.endswith(binascii.b2a_base64(last, newline=False).decode()):
            raise malformed("a blob must be base64 text: its last character has bits of no byte")
        return found

    def seconds(self, value: Any) -> float:
        """See `Wire`."""
        if not is_number(value) or not is_time(value):
            raise unexpected(value, "a number of seconds since 1970, of the years 1 to 9999")
        return float(value)

    def dump(self, answer: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        return msgspec.json.encode(answer, enc_hook=_plain)


JSON = Json()


def unexpected(value: Any, wanted: str) -> KinesisError:
    """A SerializationException for a value of the wrong type."""
    try:
        # The slice may cut a character.
        shown = msgspec.json.encode(value)[:_VALUE_SHOWN].decode(errors="ignore")
    except (TypeError, ValueError):  # only CBOR has such values
        shown = f"a value of the type {type(value).__name__}"
    return malformed(f"expected {wanted}, found {shown}")


def malformed(message: str) -> KinesisError:
    """A SerializationException with this message."""
    return KinesisError("SerializationException", message)


def is_number(value: Any) -> bool:
    """Whether this is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_time(seconds: float) -> bool:
    """Whether the time is in range; NaN is not."""
    return _YEAR_1 <= seconds < _YEAR_10000


def _plain(value: Any) -> float:
    if isinstance(value, Moment):
        return value.milliseconds / 1000
    raise NotImplementedError(f"an answer with a {type(value).__name__}")
