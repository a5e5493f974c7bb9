"""The answer cut at a byte: what boto3 and opensearch-py make of the bytes before it.

A status that was read whole is a success to both, whatever is missing behind it, until the length
is known or there is a document to parse. tests/contract/clients holds this against the clients.
"""

import io
from collections.abc import Mapping
from typing import Any

import msgspec
from botocore.exceptions import ConnectionClosedError, ResponseStreamingError
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import SerializationError

from lockstep.simulation.fakes.network import CutOffError

# "HTTP/1.1 200": before its last byte, nobody knows of any answer.
STATUS_BYTES = 12
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
HEAD_OF_PUT = b'HTTP/1.1 200 OK\r\nETag: "etag"\r\nContent-Length: 0\r\n\r\n'
# From here on the ETag is there, if not whole.
_ETAG_AT = HEAD_OF_PUT.index(b"ETag:") + len(b"ETag:")


def whole(body: bytes, *, says_length: bool = True) -> bytes:
    """An answer as it goes over the wire; without a length it ends with the connection."""
    if not says_length:
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
    return HEAD + str(len(body)).encode() + b"\r\n\r\n" + body


def boto3_document(cut: CutOffError) -> dict[str, Any]:
    """What a method returns whose answer is a JSON or XML document."""
    cut_at(whole(_encoded(cut.answer)), cut.share)
    return {}


def boto3_put(cut: CutOffError) -> Mapping[str, Any]:
    """What PutObject returns, which has its answer in the headers."""
    return cut.answer if cut_at(HEAD_OF_PUT, cut.share) >= _ETAG_AT else {}


def boto3_body(cut: CutOffError, body: bytes) -> dict[str, Any]:
    """What GetObject returns: an empty object where the length was cut off, else a broken one."""
    at = cut_at(whole(body), cut.share)
    if at > len(HEAD):
        return {"Body": _Broken(), "ContentLength": len(body)}
    return {"Body": io.BytesIO()}


def opensearch_document(cut: CutOffError) -> Any:
    """What opensearch-py returns: an empty text where the length was cut off."""
    body = _encoded(cut.answer)
    # Proxies may end an answer with the connection; OpenSearch itself does not.
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


def cut_at(answer: bytes, share: float) -> int:
    """How many bytes of the answer arrive.

    Raises:
        ConnectionClosedError: too few to know of any.
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
