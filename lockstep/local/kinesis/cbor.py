"""CBOR 1.1, which the SDK for Java speaks by default.

A blob is a byte string, and a time is a number of milliseconds with tag 1.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cbor2

from lockstep.local.kinesis.wire import (
    Moment,
    Wire,
    is_number,
    is_time,
    malformed,
    unexpected,
)
from shared.nesting import MAX_NESTING

# Of the tags that the library decodes, requests have only the one of times. The others would make
# values that are no JSON, cycles, or numbers of any size.
_TIME_TAG = 1
_OTHER_TAGS = (
    *(0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004),
    *(43000, 55799),
)


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
            raise malformed(f"the body is not CBOR: {error}") from None

    def blob(self, value: Any) -> bytes:
        """See `Wire`."""
        if not isinstance(value, bytes):
            raise unexpected(value, "a byte string")
        return value

    def seconds(self, value: Any) -> float:
        """See `Wire`."""
        if not is_number(value) or not is_time(value / 1000):
            raise unexpected(value, "a number of milliseconds since 1970, of the years 1 to 9999")
        return float(value / 1000)

    def dump(self, answer: Mapping[str, Any]) -> bytes:
        """See `Wire`."""
        return cbor2.dumps(answer, encoders=_ENCODERS)


CBOR = Cbor()


def _time(value: Any, _immutable: bool) -> Any:  # noqa: FBT001 (the library's interface)
    return value


def _refuse(_value: Any, _immutable: bool) -> Any:  # noqa: FBT001 (the library's interface)
    raise cbor2.CBORDecodeError("a tag that requests do not have")


def _write_time(encoder: cbor2.CBOREncoder, value: Any) -> None:
    encoder.encode(cbor2.CBORTag(_TIME_TAG, value.milliseconds))


_DECODERS = {_TIME_TAG: _time} | dict.fromkeys(_OTHER_TAGS, _refuse)
_ENCODERS = MappingProxyType[type, Any]({Moment: _write_time})
