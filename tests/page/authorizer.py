"""What API Gateway asks of a request before it reaches the function: a signature, or a token.

The signature is computed anew from the bytes of the request, as AWS's guide describes it
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), with
nothing of botocore's.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SERVICE = "execute-api"


class Authorizer:
    """Lets in whoever has the secret, or the token; `refused` counts the others.

    Args:
        app: what stands behind it.
        takes: signed requests, or tokens.
        secret: the key that signs for `key_id`, or the token.
        key_id: whose requests.
        region: where it stands.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        takes: Literal["signatures", "tokens"],
        secret: str,
        key_id: str = "",
        region: str = "",
    ) -> None:
        self._app = app
        self._takes = takes
        self._secret, self._key_id, self._region = secret, key_id, region
        self.asked: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self.asked.append((scope["method"], scope["raw_path"].decode()))
        self.headers.append(headers)
        if self._takes == "tokens":
            lets_in = headers.get("authorization") == f"Bearer {self._secret}"
            no = JSONResponse({"message": "Unauthorized"}, 401)
        else:
            lets_in = headers.get("authorization") == self._expected(scope, headers)
            no = JSONResponse({"message": "Forbidden"}, 403)
        await (self._app if lets_in else no)(scope, receive, send)

    def _expected(self, scope: Scope, headers: Headers) -> str:
        moment = headers.get("x-amz-date", "")
        signed = sorted(name for name in {*headers} if name == "host" or name.startswith("x-amz-"))
        canonical = "\n".join(
            [
                scope["method"],
                quote(scope["raw_path"].decode(), safe="/"),
                _canonical_query(scope["query_string"].decode()),
                *(f"{name}:{headers[name]}" for name in signed),
                "",
                ";".join(signed),
                hashlib.sha256(b"").hexdigest(),
            ]
        )
        what_for = [moment[:8], self._region, SERVICE, "aws4_request"]
        text = ["AWS4-HMAC-SHA256", moment, "/".join(what_for)]
        text.append(hashlib.sha256(canonical.encode()).hexdigest())
        key = _chained(f"AWS4{self._secret}".encode(), what_for)
        signature = hmac.new(key, "\n".join(text).encode(), hashlib.sha256).hexdigest()
        return (
            f"AWS4-HMAC-SHA256 Credential={self._key_id}/{'/'.join(what_for)}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}"
        )


def _canonical_query(query: str) -> str:
    """Names and values decoded, a plus being a plus, and encoded again, in their order."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="")


def _chained(key: bytes, parts: Sequence[str]) -> bytes:
    for part in parts:
        key = hmac.digest(key, part.encode(), "sha256")
    return key
