"""HTTP requests as events for a function, and the function's responses as HTTP.

Payload format 2.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from lockstep.local.mapping.invocation import ACCOUNT
from lockstep.web.server import Answer, Request
from shared.shortened import BriefError

STAGE = "$default"
API_ID = "local"


class MalformedAnswerError(BriefError):
    """The function's response is not valid for API Gateway; the message says why."""


class _Returned(msgspec.Struct, rename="camel"):
    status_code: int
    headers: dict[str, str | int | bool] = {}
    body: str = ""
    is_base64_encoded: bool = False
    cookies: list[str] = []


def event(request: Request, request_id: str, at: float) -> dict[str, Any]:
    """The event for a request.

    Args:
        request: the request.
        request_id: its ID in logs.
        at: its time, in seconds since 1970.
    """
    headers = _joined((name.lower(), value) for name, value in request.headers)
    path = unquote(request.path)
    parameters = _joined(parse_qsl(request.query, keep_blank_values=True))
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": STAGE,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": {name: value for name, value in headers.items() if name != "cookie"},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": headers.get("host", "localhost"),
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": STAGE,
            "stage": STAGE,
            "time": f"{moment:%d/%b/%Y:%H:%M:%S %z}",
            "timeEpoch": round(at * 1000),
        },
        "isBase64Encoded": False,
    }
    if parameters:
        made["queryStringParameters"] = parameters
    if "cookie" in headers:
        made["cookies"] = headers["cookie"].split("; ")
    if request.body:
        made |= {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True}
    return made


def answer(returned: bytes) -> Answer:
    """The HTTP response for a function's response.

    Raises:
        MalformedAnswerError: the function's response is not valid.
    """
    try:
        found = msgspec.json.decode(returned, type=_Returned)
        body = base64.b64decode(found.body) if found.is_base64_encoded else found.body.encode()
    except (msgspec.MsgspecError, UnicodeError, binascii.Error) as error:
        raise MalformedAnswerError(str(error)) from error
    headers = [(name, str(value)) for name, value in found.headers.items()]
    headers += [("Set-Cookie", cookie) for cookie in found.cookies]
    return Answer(found.status_code, tuple(headers), body)


def _joined(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Names with their values; several values of a name are joined by commas."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}
