"""The objects of an S3 bucket, read and written with a quarter of the processor time of boto3.

boto3 needs more than 1 ms of processor time for a request, and a process does that for one request
at a time. So it, and not the bucket, limits who reads and writes many small objects.
"""

import base64
import re
import ssl
import threading
import zlib
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from lockstep.stores.objects import BucketObjects

if TYPE_CHECKING:
    import boto3
    from types_boto3_s3 import S3Client

# Keys that are the same in a URL.
_PLAIN = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_OK, _NOT_FOUND = 200, 404


class _ObjectAnswer(msgspec.Struct, frozen=True):
    status: int
    headers: Message
    body: bytes


class _Connection:
    """A connection of one thread. Python's own client: urllib3 takes twice the processor time."""

    def __init__(
        self, endpoint: str, timeout: tuple[int, int], trusted: ssl.SSLContext | None
    ) -> None:
        place = urlsplit(endpoint)
        host, seconds = place.hostname or "", timeout[0]
        self._http = (
            HTTPConnection(host, place.port, timeout=seconds)
            if trusted is None
            else HTTPSConnection(host, place.port, timeout=seconds, context=trusted)
        )
        self._read_seconds = timeout[1]

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> _ObjectAnswer:
        """Send a request, and read the whole answer.

        Raises:
            OSError: the server cannot be reached, or the connection ends.
            HTTPException: the answer is incomplete, or not an answer.
        """
        try:
            if self._http.sock is None:
                self._connect()
            self._http.request(method, path, body, headers)
            with self._http.getresponse() as response:
                return _ObjectAnswer(response.status, response.headers, response.read())
        except BaseException:
            self._http.close()  # else the next request could get the answer to this one
            raise

    def _connect(self) -> None:
        self._http.connect()
        self._http.sock.settimeout(self._read_seconds)

    def __del__(self) -> None:
        self._http.close()


class QuickObjects(BucketObjects):
    """As `BucketObjects`, with requests that botocore signs, and nothing else.

    Only a complete success counts. After anything else the boto3 client sends the request again:
    it retries, follows redirects, and raises what it always raises. That is safe: to read, to
    write, and to write unless there is an object can each be done twice.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        session: "boto3.Session",
        *,
        timeout: tuple[int, int],
    ) -> None:
        """Set up the requests.

        Args:
            client: an S3 client with path-style addresses.
            bucket: the bucket.
            session: has the credentials of the client.
            timeout: seconds to connect, and seconds to wait for an answer.
        """
        super().__init__(client, bucket)
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._endpoint = client.meta.endpoint_url
        self._folder = f"/{bucket}/"
        self._timeout = timeout
        self._trusted = (
            ssl.create_default_context(cafile=get_cert_path(verify=True))
            if self._endpoint.startswith("https:")
            else None
        )
        self._own = threading.local()  # a connection for each thread
        # Only the boto3 client knows the way through a proxy.
        self._is_usable = not get_environ_proxies(self._endpoint)
        self._was_answered = False

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        answer = self._ask("GET", key, b"", {})
        if answer is not None:
            is_whole = answer.headers.get("Content-Length") == str(len(answer.body))
            if answer.status == _OK and is_whole:
                return answer.body
            if answer.status == _NOT_FOUND and b"<Code>NoSuchKey</Code>" in answer.body:
                return None
        return super().read(key)

    def _put(self, key: str, body: bytes, condition: dict[str, Any]) -> str:
        checksum = base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()
        headers = {"Content-Type": "application/json", "x-amz-checksum-crc32": checksum}
        if "IfMatch" in condition:
            return super()._put(key, body, condition)
        if condition:
            headers["If-None-Match"] = condition["IfNoneMatch"]
        answer = self._ask("PUT", key, body, headers)
        if answer is None or answer.status != _OK or "ETag" not in answer.headers:
            return super()._put(key, body, condition)
        tag: str = answer.headers["ETag"]
        return tag

    def _ask(
        self, method: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> _ObjectAnswer | None:
        """The answer to one attempt; None if there is none."""
        if self._credentials is None or not (self._is_usable and _PLAIN.fullmatch(key)):
            return None
        path = self._folder + key
        request = AWSRequest(method, self._endpoint + path, dict(headers), body)
        now = self._credentials.get_frozen_credentials()  # those of a role expire and are renewed
        S3SigV4Auth(now, "s3", self._region).add_auth(request)
        try:
            answer = self._connection().ask(method, path, body, dict(request.headers.items()))
        except (OSError, HTTPException):
            # Perhaps only the client knows the way.
            self._is_usable = self._was_answered
            return None
        self._was_answered = True
        return answer

    def _connection(self) -> _Connection:
        found: _Connection | None = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = _Connection(self._endpoint, self._timeout, self._trusted)
        return found
