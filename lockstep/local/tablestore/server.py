"""The HTTP server of the Table Store endpoint, and the server in a thread."""

import contextlib
import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from google.protobuf.unknown_fields import UnknownFieldSet
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.errors import TableStoreError, invalid, unsupported
from lockstep.local.tablestore.faults import INTERNAL_ERROR, Attempt, Faults, no_faults
from lockstep.local.tablestore.messages import NotAMessageError, parsed
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.operations import OPERATIONS
from lockstep.local.tablestore.signatures import Account, check_signed, content_md5, signer_for
from lockstep.local.tablestore.store import TableFile
from lockstep.web import server as web
from lockstep.web.addresses import HOST
from lockstep.web.local_names import LocalNamesOnly

# 4 MiB of data, and room for the names and checksums around them.
MOST_BODY_BYTES = 16 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedReply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def reply(
    endpoint: TableStoreEndpoint, path: str, headers: Mapping[str, str], body: bytes
) -> SignedReply:
    """Answer one request. `headers` has lowercase names. It raises nothing for bad input."""
    try:
        check_signed(endpoint.account, path, headers, body, endpoint.now())
        answer = _answer(endpoint, path.removeprefix("/"), body)
    except TableStoreError as error:
        return refusal(endpoint, path, headers, error)
    return _signed(endpoint, path, headers, 200, answer.SerializeToString())


def refusal(
    endpoint: TableStoreEndpoint, path: str, headers: Mapping[str, str], error: TableStoreError
) -> SignedReply:
    """The answer to a request that is refused. `headers` has lowercase names."""
    body = pb.Error(code=error.code, message=error.message).SerializeToString()
    return _signed(endpoint, path, headers, error.status, body)


def _answer(endpoint: TableStoreEndpoint, operation: str, body: bytes) -> Any:
    if operation not in OPERATIONS:
        raise TableStoreError("OTSUnsupportOperation", f"Unsupported operation: '{operation}'.")
    fault = endpoint.faults(Attempt(operation))
    if fault is not None and not fault.applied:
        raise fault.error
    kind, perform = OPERATIONS[operation]
    try:
        request = parsed(kind, body)
    except NotAMessageError:
        raise invalid("Parse PBMessage from RawString failed.") from None
    for field in UnknownFieldSet(request):
        # Such as `is_atomic` of BatchWriteRow, which only the SDK for Java has.
        raise unsupported(f"field {field.field_number} of {operation}")
    answer = perform(endpoint, request)
    if fault is not None:
        raise fault.error
    return answer


def _signed(
    endpoint: TableStoreEndpoint, path: str, request: Mapping[str, str], status: int, body: bytes
) -> SignedReply:
    at = dt.datetime.fromtimestamp(endpoint.now() / 1000, dt.UTC)
    headers = {
        "x-ots-contentmd5": content_md5(body),
        "x-ots-contenttype": "protocol buffer",
        "x-ots-date": f"{at:%Y-%m-%dT%H:%M:%S}.000Z",
        "x-ots-requestid": str(uuid.uuid4()),
    }
    signer = signer_for(endpoint.account, path, request)
    if signer is not None:
        headers["authorization"] = signer.authorization(headers)
    return SignedReply(status, headers, body)


def application(endpoint: TableStoreEndpoint, host: str = HOST) -> ASGIApp:
    """The ASGI application: every POST is an operation; GET /health succeeds while it runs.

    It refuses web pages of the internet, and names that are not of this machine.
    """

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def internal_error(request: Request, _error: Exception) -> Response:
        # Starlette raises the error again after this response, so it is logged with its traceback.
        message = pb.Error(code=INTERNAL_ERROR.code, message="see the endpoint's log")
        path = request.scope["path"]
        return _response(_signed(endpoint, path, request.headers, 500, message.SerializeToString()))

    app = Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/{path:path}", _TableStoreOperations(endpoint)),
        ],
        exception_handlers={Exception: internal_error},
    )
    app.router.redirect_slashes = False
    return LocalNamesOnly(app, host)


class _TableStoreOperations:
    """The ASGI application for every operation."""

    def __init__(self, endpoint: TableStoreEndpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        # A client that disconnects is not an error: no traceback in the log.
        with contextlib.suppress(ClientDisconnect):
            answer = await self._exchange(request)
            await _response(answer)(scope, receive, send)

    async def _exchange(self, request: Request) -> SignedReply:
        path = request.scope["path"]
        if request.method != "POST":
            return self._refused(request, "OTSMethodNotAllowed", "Only POST method is supported.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                return self._refused(
                    request, "OTSRequestBodyTooLarge", "The size of POST data is too large."
                )
        return reply(self._endpoint, path, request.headers, bytes(body))

    def _refused(self, request: Request, code: str, message: str) -> SignedReply:
        error = TableStoreError(code, message)
        return refusal(self._endpoint, request.scope["path"], request.headers, error)


def _response(answer: SignedReply) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))


class LocalTableStore:
    """A Table Store in a thread of this process: `start` it, use `address`, `stop` it.

    Or use it as a context manager. It listens on 127.0.0.1.

    Args:
        database: the SQLite file; None: in memory.
        account: who may use it.
        faults: what fails on demand.
        port: the port to listen on; 0 means a free one.
    """

    def __init__(
        self,
        database: Path | None = None,
        *,
        account: Account | None = None,
        faults: Faults = no_faults,
        port: int = 0,
    ) -> None:
        self.account = account or Account()
        self._database = database
        self._faults = faults
        self._port = port
        self._closing = contextlib.ExitStack()
        self.address = ""

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is in use.
            UnusableTableFileError: the file cannot be used.
        """
        with contextlib.ExitStack() as closing:
            store = closing.enter_context(TableFile.open(self._database))
            listener = closing.enter_context(web.listen(HOST, self._port))
            endpoint = TableStoreEndpoint(store, now, self.account, self._faults)
            server = web.server(application(endpoint))
            thread = threading.Thread(target=server.run, args=([listener],), name="tablestore")
            thread.start()
            closing.callback(thread.join)
            closing.callback(setattr, server, "should_exit", True)  # noqa: FBT003
            self.address = f"http://{HOST}:{listener.getsockname()[1]}"
            self._closing = closing.pop_all()

    def stop(self) -> None:
        """Answer what has begun, then close the file."""
        self._closing.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def now() -> int:
    """Milliseconds since 1970, by the clock of the machine."""
    return time.time_ns() // 1_000_000
