"""Stores that answer at once, byte for byte as the real ones, and keep what they are sent.

They run in this process, and what is measured runs in another one. So their work is not counted.
The bytes of the answers were taken from DynamoDB, OpenSearch 3.3 and Kinesis; only ids differ.
"""

import json
import re
import socket
import socketserver
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, override

import msgspec

from lockstep.web.addresses import HOST

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *(\S+)", re.IGNORECASE)
_NAME = re.compile(r"'(\w+)': \?")
_REQUEST_ID = "7C1F8S6DT2N0V5QK3M9JXHBRAEPW4GZL7C1F8S6DT2N0V5QK3M9J"
_DATE = "Sat, 21 Nov 2026 08:00:00 GMT"
_SEQUENCE_NUMBER = "49661234567890123456789012345678901234567890123456789012"

type Stored = dict[str, Any]


class _Stub(socketserver.ThreadingTCPServer):
    """A server of HTTP/1.1. Only as much of it as the clients here use."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Connection)
        self.stored: Stored = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.server_address[1]}"

    def answer(self, path: str, target: str, body: bytes) -> bytes:
        """The whole answer to a request, with its headers."""
        raise NotImplementedError


class _Connection(socketserver.BaseRequestHandler):
    server: _Stub

    @override
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        left = b""
        while True:
            while b"\r\n\r\n" not in left:
                more = self.request.recv(1 << 16)
                if not more:
                    return
                left += more
            head, _, body = left.partition(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head)
            size = int(length[1]) if length else 0
            if b"100-continue" in head.lower():
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            parts = [body]
            have = len(body)
            while have < size:
                more = self.request.recv(1 << 18)
                if not more:
                    return
                parts.append(more)
                have += len(more)
            whole = b"".join(parts)
            target = _TARGET.search(head)
            path = head.split(b" ", 2)[1].decode()
            name = target[1].decode().rpartition(".")[2] if target else ""
            self.request.sendall(self.server.answer(path, name, whole[:size]))
            left = whole[size:]


def _http(status: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _aws(body: object, media_type: str) -> bytes:
    encoded = json.dumps(body, separators=(",", ":")).encode()
    headers = {
        "Server": "Server",
        "Date": _DATE,
        "Content-Type": media_type,
        "Connection": "keep-alive",
        "x-amzn-RequestId": _REQUEST_ID,
        "x-amz-crc32": str(zlib.crc32(encoded)),
    }
    return _http("200 OK", headers, encoded)


class TableStub(_Stub):
    """DynamoDB: a table without items, whatever it is sent."""

    @override
    def answer(self, path: str, target: str, body: bytes) -> bytes:
        request = msgspec.json.decode(body)
        media_type = "application/x-amz-json-1.0"
        if target == "PutItem":
            self._keep(request["Item"])
            return _aws({}, media_type)
        for one in request["Statements"]:
            names = _NAME.findall(one["Statement"])
            self._keep(dict(zip(names, one["Parameters"], strict=True)))
        answers = [{"TableName": "lockstep-images"} for _ in request["Statements"]]
        return _aws({"Responses": answers}, media_type)

    def _keep(self, item: dict[str, Any]) -> None:
        self.stored[item["image_id"]["S"]] = item


class IndexStub(_Stub):
    """OpenSearch: an index without documents, whatever it is sent."""

    @override
    def answer(self, path: str, target: str, body: bytes) -> bytes:
        where, _, parameters = path.partition("?")
        if not where.endswith("/_bulk"):
            image_id = where.rpartition("/")[2]
            self.stored[image_id] = msgspec.json.decode(body)
            return self._json("201 Created", self._item(image_id) | {"_version": 1})
        lines = body.splitlines()
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            image_id = msgspec.json.decode(action)["index"]["_id"]
            self.stored[image_id] = msgspec.json.decode(document)
            full = self._item(image_id) | {"status": 201}
            needed = {"_index": full["_index"], "status": 201}
            items.append({"index": needed if "filter_path" in parameters else full})
        told: dict[str, Any] = {"errors": False, "items": items}
        return self._json("200 OK", told if "filter_path" in parameters else {"took": 9} | told)

    @staticmethod
    def _item(image_id: str) -> dict[str, Any]:
        return {
            "_index": "lockstep-images-000001",
            "_id": image_id,
            "_version": 1795248000123456,
            "result": "created",
            "_shards": {"total": 2, "successful": 1, "failed": 0},
            "_seq_no": 1795,
            "_primary_term": 1,
        }

    @staticmethod
    def _json(status: str, body: object) -> bytes:
        headers = {"content-type": "application/json; charset=UTF-8"}
        return _http(status, headers, json.dumps(body, separators=(",", ":")).encode())


class StreamStub(_Stub):
    """Kinesis: it accepts each record."""

    @override
    def answer(self, path: str, target: str, body: bytes) -> bytes:
        request = msgspec.json.decode(body)
        for one in request["Records"]:
            self.stored[one["PartitionKey"]] = one["Data"]
        entry = {"SequenceNumber": _SEQUENCE_NUMBER, "ShardId": "shardId-000000000000"}
        answers = [entry for _ in request["Records"]]
        return _aws({"FailedRecordCount": 0, "Records": answers}, "application/x-amz-json-1.1")


@contextmanager
def serving[S: _Stub](stub: S) -> Iterator[S]:
    """Run a stub; it stops at the end."""
    thread = threading.Thread(target=stub.serve_forever, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.shutdown()
        stub.server_close()
