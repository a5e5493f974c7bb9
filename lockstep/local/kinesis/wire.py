"""The two forms of requests and answers: JSON 1.1 and CBOR 1.1, which the SDK for Java speaks.

Both have the same members. In JSON, a blob is base64 text, and a time is a number of seconds. In
CBOR, a blob is a byte string, and a time is a number of milliseconds with tag 1.
"""

import binascii
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cbor2
import msgspec

from lockstep.local.kinesis.errors import KinesisError
from shared.nesting import MAX_NESTING, nests_too_deep

# In seconds since 1970: the range of times that SDKs support.
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800

# Of the tags that the library decodes, requests have only the one of times. The others would make
# values that are no JSON, cycles, or numbers of any size.
_TIME_TAG = 1
_OTHER_TAGS = (
    *(0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004),
    *(43000, 55799),
)

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
            raise _malformed("the body has too many levels")
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _malformed(f"the body is not JSON: {error}") from None

    def blob(self, value: Any) -> bytes:
        """See `Wire`; the base64 text must be canonical."""
        if not isinstance(value, str):
            raise unexpected(value, "base64 text")
        try:
            found = binascii.a2b_base64(value, strict_mode=True)
        except ValueError as error:  # also raised for text that is not ASCII
            raise _malformed(f"a blob must be base64 text: {error}") from None
        # The decoder ignores bits after the last byte; only the last characters can have any.
        last = found[len(found) - len(found) % 3 :]
        if last and not value.endswith(binascii.b2a_base64(last, newline=False).decode()):
            raise _malformed("a blob must be base64 text: its last character has bits of no byte")
        return found

    def seconds(self, value: Any) -> float:
        """See `Wire`."""
        if not _is_number(value) or not _is_time(value):
            raise unexpected(value, "a number of seconds since 1970, of the years 1 to 9999")
        return float(value)

    def dump(self, answer: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        return msgspec.json.encode(answer, enc_hook=_plain)


class Cbor(Wire):
    """CBOR 1.1."""

    content_type = "application/x-amz-cbor-1.1"

    def load(self, body: bytes | bytearray) -> Any:
        """See `Wire`."""
        try:
            return cbor2.loads(
                body,
                semantic_decoders=_DECODERS,
                max_depth=MAX_NESTING,
                strict_hashable_types=True,
            )
        except cbor2.CBORError as error:
            raise _malformed(f"the body is not CBOR: {error}") from None

    def blob(self, value: Any) -> bytes:
        """See `Wire`."""
        if not isinstance(value, bytes):
            raise unexpected(value, "a byte string")
        return value

    def seconds(self, value: Any) -> float:
        """See `Wire`."""
        if not _is_number(value) or not _is_time(value / 1000):
            raise unexpected(value, "a number of milliseconds since 1970, of the years 1 to 9999")
        return float(value / 1000)

    def dump(self, answer: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        return cbor2.dumps(answer, encoders=_ENCODERS)


JSON = Json()
CBOR = Cbor()
WIRES: Mapping[str, Wire] = MappingProxyType({each.content_type: each for each in (JSON, CBOR)})


def unexpected(value: Any, wanted: str) -> KinesisError:
    """A SerializationException for a value of the wrong type."""
    try:
        # The slice may cut a character.
        shown = msgspec.json.encode(value)[:_VALUE_SHOWN].decode(errors="ignore")
    except (TypeError, ValueError):  # only CBOR has such values
        shown = f"a value of the type {type(value).__name__}"
    return _malformed(f"expected {wanted}, found {shown}")


def _malformed(message: str) -> KinesisError:
    return KinesisError("SerializationException", message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(seconds: float) -> bool:
    """Whether the time is in range; NaN is not."""
    return _YEAR_1 <= seconds < _YEAR_10000


def _plain(value: Any) -> float:
    if isinstance(value, Moment):
        return value.milliseconds / 1000
    raise NotImplementedError(f"an answer with a {type(value).__name__}")


def _time(value: Any, _immutable: bool) -> Any:  # noqa: FBT001 (the library's interface)
    return value


def _refuse(_value: Any, _immutable: bool) -> Any:  # noqa: FBT001 (the library's interface)
    raise cbor2.CBORDecodeError("a tag that requests do not have")


def _write_time(encoder: cbor2.CBOREncoder, value: Any) -> None:
    encoder.encode(cbor2.CBORTag(_TIME_TAG, value.milliseconds))


_DECODERS = {_TIME_TAG: _time} | dict.fromkeys(_OTHER_TAGS, _refuse)
_ENCODERS = MappingProxyType[type, Any]({Moment: _write_time})
