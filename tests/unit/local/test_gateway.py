"""The local API Gateway: requests as its payload format says, answers as functions give them."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from starlette.types import ASGIApp

from lockstep.local.gateway.event import MalformedAnswerError, answer, event
from lockstep.local.gateway.server import application
from lockstep.local.mapping.response import Errored, InvocationResult, Returned, Throttled
from lockstep.local.metrics import EmittedMetric
from lockstep.web.server import MOST_BYTES, Answer, Request

AT = 1_795_248_000.5


def exchanged(
    app: ASGIApp, method: str, target: str, body: bytes = b"", host: bytes = b"localhost"
) -> tuple[int, bytes]:
    """Status and body of the application's answer, without a network."""
    path, _, query = target.partition("?")
    got: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", host)],
    }

    async def exchange() -> None:
        await app(scope, receive, send)

    asyncio.run(exchange())
    start, *rest = got
    return start["status"], b"".join(part.get("body", b"") for part in rest)


def test_the_event_of_a_request_is_like_that_of_api_gateway() -> None:
    request = Request(
        method="GET",
        path="/images/a%3Ab",
        query="tag=x&tag=y%2Cz&q=",
        headers=(("Host", "127.0.0.1:1"), ("User-Agent", "curl"), ("X-A", "1"), ("x-a", "2")),
    )
    assert event(request, "request-1", AT) == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/images/a:b",
        "rawQueryString": "tag=x&tag=y%2Cz&q=",
        "headers": {"host": "127.0.0.1:1", "user-agent": "curl", "x-a": "1,2"},
        "queryStringParameters": {"tag": "x,y,z", "q": ""},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "127.0.0.1:1",
            "domainPrefix": "local",
            "http": {
                "method": "GET",
                "path": "/images/a:b",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "curl",
            },
            "requestId": "request-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:08:00:00 +0000",
            "timeEpoch": 1_795_248_000_500,
        },
        "isBase64Encoded": False,
    }


def test_a_body_goes_in_base64_and_cookies_apart() -> None:
    made = event(Request("POST", "/", headers=(("Cookie", "a=1; b=2"),), body=b"\xff"), "r", AT)
    assert (made["body"], made["isBase64Encoded"]) == ("/w==", True)
    assert made["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in made["headers"]


def test_a_functions_response_becomes_an_http_response() -> None:
    returned = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "X": 5},
        "cookies": ["a=1"],
        "body": base64.b64encode(b"\xff").decode(),
        "isBase64Encoded": True,
    }
    assert answer(msgspec.json.encode(returned)) == Answer(
        201, (("Content-Type", "text/plain"), ("X", "5"), ("Set-Cookie", "a=1")), b"\xff"
    )


@pytest.mark.parametrize(
    "returned",
    [
        *(b"null", b"{}", b'{"statusCode":"x"}', b'{"statusCode":200,"body":"\xff"}', b"<html>"),
        b'{"statusCode":200,"body":"x","isBase64Encoded":true}',
    ],
)
def test_an_invalid_response_of_the_function_is_an_error(returned: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        answer(returned)


@pytest.mark.parametrize(
    ("invoked", "status"),
    [
        (Returned(b'{"statusCode":204}'), 204),
        (Returned(b"null"), 500),
        (Errored("Sandbox.Timedout", "secret"), 500),
        (Throttled(), 503),
    ],
)
def test_every_result_of_the_function_gets_an_http_response(invoked: Any, status: int) -> None:
    app = application(lambda _event, _request_id: invoked)
    got, body = exchanged(app, "GET", "/images?q=a")
    assert got == status
    assert b"secret" not in body


def test_a_request_is_measured_as_aws_does() -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html."""
    emitted: list[tuple[EmittedMetric, float]] = []
    answers: Iterator[InvocationResult] = iter(
        [Returned(b'{"statusCode":404}'), Errored("ValueError", ""), Throttled()]
    )

    def emit(metric: EmittedMetric, value: float) -> None:
        emitted.append((metric, value))

    app = application(lambda _event, _id: next(answers), emit=emit, function="search_images")
    for _ in range(3):
        exchanged(app, "GET", "/")
    values: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    for metric, value in emitted:
        values.setdefault((metric.name, metric.dimensions), []).append(value)
    api, function = (
        (("ApiId", "local"), ("Stage", "$default")),
        (("FunctionName", "search_images"),),
    )
    assert len(values.pop(("Latency", api))) == 3
    assert values == {
        ("Count", api): [1, 1, 1],
        ("5xx", api): [0, 1, 1],
        ("Errors", function): [0, 1],
        ("Throttles", function): [1],
    }


def test_every_method_and_path_reaches_the_function() -> None:
    seen: list[tuple[str, str, str]] = []

    def invoke(sent: bytes, _request_id: str) -> Returned:
        got = msgspec.json.decode(sent)
        http = got["requestContext"]["http"]
        seen.append((http["method"], got["rawPath"], got["rawQueryString"]))
        return Returned(b'{"statusCode":200,"body":"done"}')

    app = application(invoke)
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        assert exchanged(app, method, "/a/b%20c?d=%26&d=2") == (200, b"done")
        assert seen.pop() == (method, "/a/b c", "d=%26&d=2")
    assert exchanged(app, "POST", "/", b"x" * (MOST_BYTES + 1))[0] == 413
    assert seen == []


@pytest.mark.parametrize("name", [b"evil.example", b"127.0.0.1.evil.example", b""])
def test_only_local_host_names_and_its_address_are_accepted(name: bytes) -> None:
    app = application(lambda _event, _id: Returned(b'{"statusCode": 200}'), "172.17.0.1")
    assert exchanged(app, "GET", "/", host=name)[0] == 421
    for local in (b"127.0.0.1:4711", b"localhost:4711", b"172.17.0.1:4711"):
        assert exchanged(app, "GET", "/", host=local)[0] == 200
