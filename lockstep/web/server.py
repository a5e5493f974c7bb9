"""An HTTP server on this machine: requests, their answers, and the server itself."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import click
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

# API Gateway accepts ten times as much, but no request to these servers needs a body.
MOST_BYTES = 1024 * 1024
# On a busy machine, a client may use a connection again after many seconds. Some clients fail if it
# is closed at that moment.
IDLE_SECONDS = 60
SHUTDOWN_SECONDS = 5

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


class Request(msgspec.Struct, frozen=True):
    """An HTTP request; `path` is still encoded, `query` has no question mark."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    source: str = "127.0.0.1"


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def application(answer: Callable[[Request], Answer], *, at_once: int) -> Starlette:
    """The ASGI application that calls `answer` for every request.

    Args:
        answer: called in threads.
        at_once: the number of threads.
    """
    workers = ThreadPoolExecutor(at_once)

    async def pass_on(http: HttpRequest) -> Response:
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return _response(message(413, "Request Entity Too Large"))
        request = Request(
            method=http.method,
            path=http.scope["raw_path"].decode("latin-1"),
            query=http.scope["query_string"].decode("latin-1"),
            headers=tuple(http.headers.items()),
            body=bytes(body),
        )
        loop = asyncio.get_running_loop()
        return _response(await loop.run_in_executor(workers, answer, request))

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=_METHODS)])


def message(status: int, text: str) -> Answer:
    """An answer with a message, in API Gateway's format."""
    body = msgspec.json.encode({"message": text})
    return Answer(status, (("content-type", "application/json"),), body)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; port 0 means a free port.

    Raises:
        OSError: this machine does not have the address, or the port is in use.
    """
    # The protocol is explicit, because asyncio disables Nagle's algorithm for IPPROTO_TCP only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def listen_or_exit(host: str, port: int, *, program: str) -> socket.socket:
    """As `listen`, for a program that ends with one line on standard error if it cannot listen."""
    try:
        return listen(host, port)
    except OSError as error:
        message = f"{program}: cannot listen on port {port} of {host}: {error.strerror}"
        sys.exit(f"{message}: use another --port or --host")


def server(
    app: ASGIApp,
    *,
    lifespan: Literal["on", "off"] = "off",
    http: type[asyncio.Protocol] = H11Protocol,
) -> uvicorn.Server:
    """A server for an application, without an access log and without a Server header.

    Args:
        app: the application.
        lifespan: whether the application handles its startup and shutdown.
        http: speaks HTTP on one connection; uvicorn creates it as its own class.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=http,
            access_log=False,
            log_level="warning",
            lifespan=lifespan,
            ws="none",
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    lifespan: Literal["on", "off"] = "off",
    http: type[asyncio.Protocol] = H11Protocol,
    announcement: str | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return.

    Args:
        app: the application.
        listener: the socket for connections.
        lifespan: whether the application handles its startup and shutdown.
        http: speaks HTTP on one connection.
        announcement: a line for standard output. Signals are handled before it is printed.
        stopping: called at the signal, before open connections are waited for.
    """
    serving = server(app, lifespan=lifespan, http=http)

    def stop(_signal: int, _frame: object) -> None:
        stopping()
        # uvicorn raises the signal again once it has shut down.
        serving.should_exit = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if announcement is not None:
        click.echo(announcement)
    serving.run(sockets=[listener])


def _response(answer: Answer) -> Response:
    made = Response(answer.body, answer.status)
    for name, value in answer.headers:
        made.headers.append(name, value)
    return made
