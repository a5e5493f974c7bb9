"""The server: every request goes to the function, as API Gateway does it."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from lockstep.local.gateway import event as payload
from lockstep.local.gateway.event import Answer, MalformedAnswerError, Request
from lockstep.local.mapping.response import Answer as Invoked
from lockstep.local.mapping.response import Errored, Returned, Throttled

# Each is a process of the function.
AT_ONCE = 4
# API Gateway takes ten million bytes; nothing here takes a body at all.
MOST_BYTES = 1024 * 1024

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
_JSON = (("content-type", "application/json"),)

_log = logging.getLogger(__name__)

type Invoke = Callable[[bytes, str], Invoked]


def application(invoke: Invoke) -> Starlette:
    """The ASGI application in front of a function.

    Args:
        invoke: runs the function on an event, under a request's id.
    """
    workers = ThreadPoolExecutor(AT_ONCE)

    async def pass_on(http: HttpRequest) -> Response:
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return _response(_message(413, "Request Entity Too Large"))
        request = Request(
            method=http.method,
            path=http.scope["raw_path"].decode("latin-1"),
            query=http.scope["query_string"].decode("latin-1"),
            headers=tuple(http.headers.items()),
            body=bytes(body),
        )
        loop = asyncio.get_running_loop()
        return _response(await loop.run_in_executor(workers, _answer, invoke, request))

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=_METHODS)])


def _answer(invoke: Invoke, request: Request) -> Answer:
    request_id = str(uuid.uuid4())
    sent = msgspec.json.encode(payload.event(request, request_id, time.time()))
    match invoke(sent, request_id):
        case Returned(returned):
            try:
                return payload.answer(returned)
            except MalformedAnswerError as error:
                _log.error("%s %s: no answer: %s", request.method, request.path, error)
        case Errored(error_type, message):
            _log.error("%s %s: %s: %s", request.method, request.path, error_type, message)
        case Throttled():
            return _message(503, "Service Unavailable")
    return _message(500, "Internal Server Error")


def _message(status: int, text: str) -> Answer:
    """An answer of API Gateway's own."""
    return Answer(status, _JSON, msgspec.json.encode({"message": text}))


def _response(answer: Answer) -> Response:
    made = Response(answer.body, answer.status)
    for name, value in answer.headers:
        made.headers.append(name, value)
    return made
