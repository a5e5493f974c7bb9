"""Messages of AWS's event streams (`application/vnd.amazon.eventstream`).

Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
and https://smithy.io/2.0/aws/amazon-eventstream.html. SDKs have decoders only.
"""

import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message: lengths, their checksum, the headers, the payload, and a checksum of all."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    # Beside headers and payload, there are two lengths and two checksums of four bytes each.
    lengths = struct.pack(">II", len(packed) + len(payload) + 16, len(packed))
    before = lengths + struct.pack(">I", crc32(lengths)) + packed + payload
    return before + struct.pack(">I", crc32(before))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
