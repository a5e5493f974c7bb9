"""The floors: the least that a program in Python can do to store the same as a consumer.

They validate each event, compute its digest, and write with the same version check, on one socket,
with signatures of their own. They retry nothing, understand no error, set nothing aside, and write
neither logs nor metrics. No product could be like this.
"""

import datetime as dt
import hashlib
import hmac
import os
import re
import socket
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.event import Image as OurImage
from shared.item import IMAGE_ATTRIBUTES

_Text = Annotated[str, Meta(max_length=8 * 1024)]
_Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Time = Annotated[dt.datetime, Meta(tz=True)]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}").fullmatch
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch
_OK = b" 200 "


class _Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=8 * 1024)]
    description: Annotated[str, Meta(max_length=32 * 1024)] | UnsetType = UNSET
    url: _Text | UnsetType = UNSET
    content_type: _Text | UnsetType = UNSET
    size_bytes: _Count | UnsetType = UNSET
    width: _Count | UnsetType = UNSET
    height: _Count | UnsetType = UNSET
    checksum: _Text | UnsetType = UNSET
    uploaded_by: _Text | UnsetType = UNSET
    taken_at: _Time | UnsetType = UNSET
    tags: Annotated[tuple[_Text, ...], Meta(max_length=64)] | UnsetType = UNSET
    attributes: Annotated[dict[str, _Text], Meta(max_length=64)] | UnsetType = UNSET


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["image.uploaded", "image.updated", "image.deleted"]
    image_id: str
    version: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    occurred_at: _Time
    image: _Image


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_from_base64 = msgspec.json.Decoder(bytes).decode
_answer = msgspec.json.Decoder().decode
_known_names: set[str] = set()

assert _Image.__struct_fields__ == OurImage.__struct_fields__  # noqa: S101 - the same events


class _Connection:
    """A socket that requests are sent through, signed with Signature Version 4."""

    def __init__(self, endpoint: str, service: str) -> None:
        split = urlsplit(endpoint)
        self.host = split.netloc
        self._socket = socket.create_connection((split.hostname or "", split.port or 80))
        self._service = service
        self._day, self._key = "", b""

    def post(self, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        """Send a request; return its answer."""
        now = dt.datetime.now(dt.UTC)
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        day = stamp[:8]
        signed = {"host": self.host, "x-amz-date": stamp, **headers}
        names = ";".join(signed)
        lines = "".join([f"{name}:{value}\n" for name, value in signed.items()])
        payload = hashlib.sha256(body).hexdigest()
        canonical = f"POST\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        scope = f"{day}/us-east-1/{self._service}/aws4_request"
        text = (
            f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        )
        signature = hmac.digest(self._signing_key(day), text.encode(), "sha256").hex()
        rest = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        target = f"{path}?{query}" if query else path
        head = (
            f"POST {target} HTTP/1.1\r\n{rest}Content-Length: {len(body)}\r\n"
            "Authorization: AWS4-HMAC-SHA256 "
            f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        return self._read()

    def _signing_key(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
            for word in (day, "us-east-1", self._service, "aws4_request"):
                key = hmac.digest(key, word.encode(), "sha256")
            self._day, self._key = day, key
        return self._key

    def _read(self) -> Any:
        answer = self._socket.recv(1 << 16)
        end = answer.index(b"\r\n\r\n") + 4
        at = answer.index(b"Content-Length:") + 15
        size = int(answer[at : answer.index(b"\r\n", at)])
        while len(answer) < end + size:
            answer += self._socket.recv(1 << 18)
        if _OK not in answer[:16]:
            raise RuntimeError(answer)
        return _answer(answer[end:])


def _event_in(record: dict[str, Any]) -> _Event:
    kinesis = record["kinesis"]
    event = _decode(_from_base64(f'"{kinesis["data"]}"'))
    if not _ID(event.image_id) or event.image_id != kinesis["partitionKey"]:
        raise ValueError(event.image_id)
    attributes = event.image.attributes
    if attributes is not UNSET and not attributes.keys() <= _known_names:
        for name in attributes:
            if not _ATTRIBUTE(name):
                raise ValueError(name)
        _known_names.update(attributes)
    return event


_FIELDS = ", ".join(f"'{name}': ?" for name in ("image_id", *IMAGE_ATTRIBUTES))


def writer() -> Callable[[dict[str, Any], object], None]:
    """A consumer that writes the table."""
    connection = _Connection(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], "dynamodb")
    insert = f'INSERT INTO "{os.environ["TABLE_NAME"]}" VALUE {{{_FIELDS}}}'
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.BatchExecuteStatement",
    }

    def statement(record: dict[str, Any]) -> dict[str, Any]:
        event = _event_in(record)
        image = _encode_sorted(event.image)
        plain = msgspec.to_builtins(event.image)
        typed: dict[str, Any] = {}
        for name, value in plain.items():
            if name == "attributes":
                typed[name] = {"M": {key: {"S": text} for key, text in value.items()}}
            elif name == "tags":
                typed[name] = {"L": [{"S": text} for text in value]}
            else:
                typed[name] = {"S": value} if type(value) is str else {"N": str(value)}
        arrived = round(record["kinesis"]["approximateArrivalTimestamp"] * 1000)
        return {
            "Statement": insert,
            "Parameters": [
                {"S": event.image_id},
                {"N": str(event.version)},
                {"BOOL": False},
                {"S": event.type},
                {"S": msgspec.to_builtins(event.occurred_at)},
                {"N": str(arrived)},
                {"S": record["eventID"].partition(":")[0]},
                {"S": record["kinesis"]["sequenceNumber"]},
                {"S": hashlib.sha256(image).hexdigest()},
                {"M": typed},
            ],
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def handle(event: dict[str, Any], _: object) -> None:
        records = event["Records"]
        for at in range(0, len(records), 25):
            body = _encode({"Statements": [statement(one) for one in records[at : at + 25]]})
            answer = connection.post("/", "", headers, body)
            if any("Error" in one for one in answer["Responses"]):
                raise RuntimeError(answer)

    return handle


def indexer() -> Callable[[dict[str, Any], object], None]:
    """A consumer that writes the index."""
    connection = _Connection(os.environ["OPENSEARCH_ENDPOINT"], "es")
    path = f"/{os.environ['INDEX_ALIAS']}/_bulk"
    query = "filter_path=errors%2Citems.%2A.status%2Citems.%2A.error%2Citems.%2A._index"
    headers = {"content-type": "application/json"}

    def lines(record: dict[str, Any]) -> bytes:
        event = _event_in(record)
        image = msgspec.to_builtins(event.image)
        if "attributes" in image:
            pairs = image["attributes"].items()
            image["attributes"] = [{"name": name, "value": value} for name, value in pairs]
        document = {
            "image_id": event.image_id,
            "version": event.version,
            "deleted": False,
            "event_type": event.type,
            "occurred_at": event.occurred_at,
            "arrived_at": round(record["kinesis"]["approximateArrivalTimestamp"] * 1000),
            "digest": hashlib.sha256(_encode_sorted(event.image)).hexdigest(),
            **image,
        }
        action = (
            f'{{"index":{{"_id":"{event.image_id}","version":{event.version},'
            '"version_type":"external","require_alias":true}}\n'
        )
        return action.encode() + _encode(document) + b"\n"

    def handle(event: dict[str, Any], _: object) -> None:
        body = b"".join([lines(one) for one in event["Records"]])
        answer = connection.post(path, query, headers, body)
        if answer["errors"]:
            raise RuntimeError(answer)

    return handle
