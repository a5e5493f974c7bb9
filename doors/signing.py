"""The signature of requests: Signature Version 4 of AWS, by botocore, without what it does twice.

botocore derives the key of the day for each request, selects the headers twice, and prepares the
whole request to find its body. The signer of opensearch-py also hashes each body twice, and
converts each address to its parts and back. The signed headers here are the same.
"""

import hmac
from functools import lru_cache
from hashlib import sha256
from http.client import HTTPMessage
from typing import TYPE_CHECKING, Any, override

from botocore.auth import AUTH_TYPE_MAPS, EMPTY_SHA256_HASH, SigV4Auth
from botocore.awsrequest import AWSRequest

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import Credentials, ReadOnlyCredentials

_V4, _OURS = "v4", "lockstep-v4"


class IndexSigner:
    """Signs requests, as a connection of opensearch-py asks for it.

    Args:
        credentials: sign the requests; botocore refreshes them.
        region: the AWS region of the domain.
        service: the name of the service in the signature.
    """

    def __init__(self, credentials: "Credentials", region: str, service: str) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service

    def __call__(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign a request with this method, whole address and body."""
        request = AWSRequest(method=method, url=url, data=body)
        frozen = self._credentials.get_frozen_credentials()
        auth = _LeanSigV4(frozen, self._service, self._region)
        auth.add_auth(request)
        return {**dict(request.headers.items()), "X-Amz-Content-SHA256": auth.payload(request)}


def sign_at_once(client: "BaseClient", operation: str) -> None:
    """Let `_LeanSigV4` sign the requests of this operation. Their bodies must be in memory."""

    def choose(signature_version: str, **_: object) -> str | None:
        return _OURS if signature_version == _V4 else None

    AUTH_TYPE_MAPS[_OURS] = _LeanSigV4
    service = client.meta.service_model.service_id.hyphenize()
    handler: Any = choose
    client.meta.events.register_last(f"choose-signer.{service}.{operation}", handler)


class _LeanSigV4(SigV4Auth):
    """The signature of one request, whose body is in memory."""

    def __init__(
        self, credentials: "ReadOnlyCredentials", service_name: str, region_name: str
    ) -> None:
        super().__init__(credentials, service_name, region_name)
        self._scope = region_name, service_name
        self._hash: str | None = None
        self._headers: HTTPMessage | None = None

    @override
    def payload(self, request: AWSRequest) -> str:
        if self._hash is None:
            self._hash = sha256(request.data).hexdigest() if request.data else EMPTY_SHA256_HASH
        return self._hash

    @override
    def headers_to_sign(self, request: AWSRequest) -> HTTPMessage:
        # The headers of a request are complete when botocore asks for them the first time.
        if self._headers is None:
            self._headers = super().headers_to_sign(request)
        return self._headers

    @override
    def signature(self, string_to_sign: str, request: AWSRequest) -> str:
        day = request.context["timestamp"][:8]
        key = _key(self.credentials.secret_key, day, *self._scope)
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=4)
def _key(secret: str, *scope: str) -> bytes:
    """The key of a day, a region and a service.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
