"""The HTTP server of the Kinesis endpoint."""

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lockstep.local.kinesis import event_stream, protocol
from lockstep.local.kinesis.arrivals import RINGING
from lockstep.local.kinesis.cbor import CBOR
from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations import OPERATIONS, SUBSCRIBE
from lockstep.local.kinesis.operations.subscribing import Subscription, subscribe_to_shard
from lockstep.local.kinesis.wire import JSON, Wire

_TARGET_PREFIX = "Kinesis_20131202."

_WIRES: Mapping[str, Wire] = MappingProxyType({each.content_type: each for each in (JSON, CBOR)})

# 10 MiB of data in base64, and room for 500 partition keys and the JSON around them.
_MAX_BODY_BYTES = 16 * 1024 * 1024

# Requests of this size are large. So are reads, because a response may have this size.
_LARGE_BYTES = 1024 * 1024
_CHUNK_BYTES = 256 * 1024

_TRIM_EVERY_SECONDS = 60

# Kinesis answers any web page (`*`), because each request must be signed. This endpoint checks no
# signature, so only pages of this machine may read the streams.
_CORS = Middleware(
    CORSMiddleware,
    allow_origin_regex=r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?",
    allow_methods=["GET", "POST"],
    allow_headers=["*"],
    expose_headers=[
        "x-amzn-RequestId",
        "x-amzn-ErrorType",
        "x-amz-request-id",
        "x-amz-id-2",
        "x-amzn-ErrorMessage",
        "Date",
    ],
    max_age=172_800,
)

_STATUS = {
    "InternalFailureException": 500,
    "RequestEntityTooLargeException": 413,
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str


def reply(
    endpoint: Endpoint, headers: Mapping[str, str], body: bytes | bytearray
) -> Reply | Subscription:
    """Answer one request, in its own form. `headers` has lowercase names."""
    wire = _wire(headers) or JSON
    try:
        operation = _operation(headers)
        request = protocol.kinesis_requests(wire).decode(operation, body)
        if operation == SUBSCRIBE:
            return subscribe_to_shard(endpoint, request, wire)
        answer = OPERATIONS[operation](endpoint, request)
        if operation in RINGING:
            endpoint.arrivals.ring()
    except KinesisError as error:
        return _refusal(error, wire)
    return Reply(200, b"" if answer is None else wire.dump(answer), wire.content_type)


def application(endpoint: Endpoint, *, turn_seconds: float = 10) -> Starlette:
    """The ASGI application: every POST is an operation; GET /health succeeds while the server runs.

    GET /arrivals waits until something is put onto a stream (`lockstep.local.kinesis.arrivals`).
    Large requests run one at a time, so that memory is bounded for any number of clients. A client
    that takes longer than `turn_seconds` for a large request is disconnected. Web pages of this
    machine may send requests (CORS).
    """

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def internal_failure(_request: Request, _error: Exception) -> Response:
        # Starlette raises the error again after this response, so it is logged with its traceback.
        failure = KinesisError("InternalFailureException", "see the endpoint's log")
        answer = _refusal(failure, JSON)
        return Response(answer.body, answer.status, _answer_headers(answer.content_type))

    @contextlib.asynccontextmanager
    async def trimming(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_trim_forever(endpoint))
        yield
        task.cancel()

    app = Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/arrivals", endpoint.arrivals.answer, methods=["GET"]),
            Route("/{path:path}", _Operations(endpoint, turn_seconds), methods=["POST"]),
        ],
        middleware=[_CORS],
        exception_handlers={Exception: internal_failure},
        lifespan=trimming,
    )
    # Starlette would redirect a request with an empty path, and fails if its query is not UTF-8.
    app.router.redirect_slashes = False
    return app


class _Operations:
    """The ASGI application for every POST."""

    def __init__(self, endpoint: Endpoint, turn_seconds: float) -> None:
        self._endpoint = endpoint
        self._turn_seconds = turn_seconds
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A client that disconnects is not an error: no traceback in the log.
        with contextlib.suppress(ClientDisconnect):
            await self._take_turn(Request(scope, receive), send)

    async def _take_turn(self, request: Request, send: Send) -> None:
        if not _may_be_large(request):
            await self._exchange(request, send)
            return
        async with self._turn:
            try:
                async with asyncio.timeout(self._turn_seconds):
                    await self._exchange(request, send)
            except TimeoutError:
                _log.warning(
                    "a client stalled for %s seconds and was disconnected", self._turn_seconds
                )

    async def _exchange(self, request: Request, send: Send) -> None:
        try:
            answer: Reply | Subscription = reply(
                self._endpoint, request.headers, await _receive(request)
            )
        except KinesisError as error:
            answer = _refusal(error, _wire(request.headers) or JSON)
        if isinstance(answer, Subscription):
            await _push(answer, request, send)
            return
        headers = _answer_headers(answer.content_type) | {"content-length": str(len(answer.body))}
        # In chunks, because the server waits for a slow client only between chunks.
        response = StreamingResponse(_chunks(answer.body), answer.status, headers)
        await response(request.scope, request.receive, send)


def _may_be_large(request: Request) -> bool:
    target = request.headers.get("x-amz-target", "")
    if target.endswith(SUBSCRIBE):  # takes minutes, in small parts
        return False
    length = int(request.headers.get("content-length", _LARGE_BYTES))
    return length >= _LARGE_BYTES or target.endswith("GetRecords")


async def _push(subscription: Subscription, request: Request, send: Send) -> None:
    """Send events until the subscription ends or the client disconnects."""
    async with contextlib.aclosing(subscription.events()) as events:
        response = StreamingResponse(events, 200, _answer_headers(event_stream.CONTENT_TYPE))
        await response(request.scope, request.receive, send)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]


def _operation(headers: Mapping[str, str]) -> str:
    target = headers.get("x-amz-target")
    if target is None:
        raise KinesisError(
            "UnknownOperationException",
            f"the x-amz-target header is missing: it must be {_TARGET_PREFIX}OPERATION",
        )
    operation = target.removeprefix(_TARGET_PREFIX)
    if operation == target or operation not in {*OPERATIONS, SUBSCRIBE}:
        raise KinesisError("UnknownOperationException", f"{target} is not supported")
    if _wire(headers) is None:
        raise KinesisError(
            "SerializationException",
            f"the Content-Type must be {' or '.join(_WIRES)}, not"
            f" {headers.get('content-type', 'missing')}",
        )
    return operation


def _wire(headers: Mapping[str, str]) -> Wire | None:
    """The form of a request; None if its Content-Type names none."""
    return _WIRES.get(headers.get("content-type", "").partition(";")[0].strip())


async def _receive(request: Request) -> bytearray:
    _check_size(int(request.headers.get("content-length", 0)))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        _check_size(len(body))
    return body


def _check_size(size: int) -> None:
    if size > _MAX_BODY_BYTES:
        message = f"the request is larger than {_MAX_BODY_BYTES} bytes"
        raise KinesisError("RequestEntityTooLargeException", message)


async def _trim_forever(endpoint: Endpoint) -> None:
    while True:
        try:
            for _deleted in endpoint.store.trim(endpoint.now()):
                await asyncio.sleep(0)
        except sqlite3.OperationalError as error:  # such as a full disk: the server continues
            _log.warning("trimming failed and will be retried: %s", error)
        await asyncio.sleep(_TRIM_EVERY_SECONDS)


def _refusal(error: KinesisError, wire: Wire) -> Reply:
    body = wire.dump(protocol.error_answer(error))
    return Reply(_STATUS.get(error.name, 400), body, wire.content_type)


def _answer_headers(content_type: str) -> dict[str, str]:
    return {"content-type": content_type, "x-amzn-requestid": str(uuid.uuid4())}
