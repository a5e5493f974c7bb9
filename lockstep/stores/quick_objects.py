"""The objects of an S3 bucket, read and written with a third of the processor time of boto3.

boto3 needs more than 1 ms of processor time for a request, and a process does that for one request
at a time. So it, and not the bucket, limits who reads and writes many small objects.
"""

import base64
import re
import socket
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from lockstep.stores.objects import BucketObjects

if TYPE_CHECKING:
    import boto3
    from types_boto3_s3 import S3Client

# Keys that are the same in a URL.
_PLAIN = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_OK, _NOT_FOUND = 200, 404
# As botocore's clients do. urllib3 sends the body of a request after the headers; without this, the
# body waits until the server acknowledges the headers, which it delays by 40 ms.
_AT_ONCE = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class QuickObjects(BucketObjects):
    """As `BucketObjects`, with requests that botocore signs and sends, and nothing else.

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
        connections: int,
        timeout: tuple[int, int],
    ) -> None:
        """Set up the requests.

        Args:
            client: an S3 client with path-style addresses.
            bucket: the bucket.
            session: has the credentials of the client.
            connections: at most so many requests run at the same time.
            timeout: seconds to connect, and seconds to wait for an answer.
        """
        super().__init__(client, bucket)
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._place = f"{client.meta.endpoint_url}/{bucket}/"
        self._http = URLLib3Session(
            proxies=get_environ_proxies(self._place),
            timeout=timeout,  # type: ignore[arg-type]  # the stub does not know this form
            max_pool_connections=connections,
            socket_options=[_AT_ONCE],  # type: ignore[list-item]  # nor this one
        )
        self._is_usable = True
        self._was_answered = False

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        answer = self._ask("GET", key, b"", {})
        if answer is not None:
            body: bytes = answer.content
            is_whole = answer.headers.get("Content-Length") == str(len(body))
            if answer.status_code == _OK and is_whole:
                return body
            if answer.status_code == _NOT_FOUND and b"<Code>NoSuchKey</Code>" in body:
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
        if answer is None or answer.status_code != _OK or "ETag" not in answer.headers:
            return super()._put(key, body, condition)
        tag: str = answer.headers["ETag"]
        return tag

    def _ask(
        self, method: str, key: str, body: bytes, headers: Mapping[str, str]
    ) -> AWSResponse | None:
        """The answer to one attempt; None if there is none."""
        if self._credentials is None or not (self._is_usable and _PLAIN.fullmatch(key)):
            return None
        request = AWSRequest(method, self._place + key, dict(headers), body)
        now = self._credentials.get_frozen_credentials()  # those of a role expire and are renewed
        S3SigV4Auth(now, "s3", self._region).add_auth(request)
        try:
            answer: AWSResponse = self._http.send(request.prepare())
        except (BotoConnectionError, HTTPClientError):
            # Perhaps only the client knows the way.
            self._is_usable = self._was_answered
            return None
        self._was_answered = True
        return answer
