"""Answers that end after some bytes, as boto3 and opensearch-py return them.

If the status line is complete, both treat the answer as a success, even if the rest is missing.
They notice that only if the length is known or if they parse a document. tests/contract/clients
compares this with the real clients.
"""

import io
from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.exceptions import ConnectionClosedError, ResponseStreamingError
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import SerializationError

from lockstep.simulation.fakes.network import CutOffError

# The length of "HTTP/1.1 200". With fewer bytes there is no answer.
STATUS_BYTES = 12
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
HEAD_OF_PUT = b'HTTP/1.1 200 OK\r\nETag: "etag"\r\nContent-Length: 0\r\n\r\n'
_HEAD_ALONE = b"HTTP/1.1 200 OK\r\n\r\n"
# After this many bytes, the answer has an ETag, which may be incomplete.
_ETAG_AT = HEAD_OF_PUT.index(b"ETag:") + len(b"ETag:")


def whole(body: bytes, *, says_length: bool = True) -> bytes:
    """An answer as bytes. Without a length, it ends when the connection closes."""
    if not says_length:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
    return HEAD + str(len(body)).encode() + b"\r\n\r\n" + body


def boto3_document(cut: CutOffError) -> dict[str, Any]:
    """What a boto3 method with a JSON or XML answer returns."""
    cut_at(whole(_encoded(cut.answer)), cut.share)
    return {}


def boto3_put(cut: CutOffError) -> Mapping[str, Any]:
    """What PutObject returns. Its answer is in the headers."""
    return cut.answer if cut_at(HEAD_OF_PUT, cut.share) >= _ETAG_AT else {}


def boto3_body(cut: CutOffError, body: bytes) -> dict[str, Any]:
    """What GetObject returns: an empty object if the length is missing, else a broken one."""
    at = cut_at(whole(body), cut.share)
    if at > len(HEAD):
        return {"Body": _Broken(), "ContentLength": len(body)}
    return {"Body": io.BytesIO()}


def opensearch_document(cut: CutOffError) -> Any:
    """What opensearch-py returns: an empty text if the length is missing."""
    body = _encoded(cut.answer)
    # A proxy may mark the end of an answer by closing the connection. OpenSearch does not.
    says_length = len(body) % 4 > 0
    answer = whole(body, says_length=says_length)
    try:
        at = cut_at(answer, cut.share)
    except ConnectionClosedError as error:
        raise OpenSearchConnectionError("N/A", str(error), error) from error
    if at <= (len(HEAD) if says_length else len(answer) - len(body)):
        return ""
    if says_length:
        reason = "Connection broken: IncompleteRead"
        raise OpenSearchConnectionError("N/A", reason, cut) from cut
    raise SerializationError(body[: at - len(answer)].decode(errors="replace"), cut) from cut


def opensearch_status(cut: CutOffError) -> bool:
    """What opensearch-py returns for a HEAD request, whose answer has no body."""
    try:
        cut_at(_HEAD_ALONE, cut.share)
    except ConnectionClosedError as error:
        raise OpenSearchConnectionError("N/A", str(error), error) from error
    return bool(cut.answer)


def cut_at(answer: bytes, share: float) -> int:
    """The number of bytes that arrive.

    Raises:
        ConnectionClosedError: too few bytes for a status.
    """
    at = int(share * len(answer))
    if at < STATUS_BYTES:
        raise ConnectionClosedError(endpoint_url="http")
    return at


class _Broken(io.BytesIO):
    def read(self, _: int | None = -1, /) -> bytes:
        raise ResponseStreamingError(error="Connection broken: IncompleteRead")


def _encoded(answer: Any) -> bytes:
    return msgspec.json.encode(answer)
