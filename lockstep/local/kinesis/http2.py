"""HTTP/2 without TLS, beside uvicorn's HTTP/1.1 on the same port.

The SDKs for Java and JavaScript speak HTTP/2 to Kinesis from the first byte (RFC 9113, 3.3: prior
knowledge). uvicorn does not speak it. `Http1Or2` looks at the first bytes of a connection: it
passes HTTP/1.1 on to uvicorn's own class, and HTTP/2 to `Http2`, which runs the library h2.

Flow control: a client may send more of a body only when the application has received what was sent
before, for each stream separately. So a request that waits holds up no other one, and uses little
memory.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import FrameTooLargeError, ProtocolError
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# RFC 9113, 4.1: three bytes of length, one of type, one of flags, four of the stream's number.
_FRAME_HEADER_BYTES = 9
_TYPE_AT = 3
_GOAWAY = 7
# Seconds that the client has to close the connection after the last answer. If the endpoint closed
# it at once, bytes that the client still sends would reset it, and the answer might be lost.
_LINGER_SECONDS = 1.0

_log = logging.getLogger(__name__)

type _Message = MutableMapping[str, Any]


class Http1Or2(asyncio.Protocol):
    """A new connection, until it is known whether it speaks HTTP/1.1 or HTTP/2."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._arguments = (config, server_state, app_state)
        self._connections = cast("set[asyncio.Protocol]", server_state.connections)
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Decide as soon as the bytes differ from HTTP/2's preface, or are all of it."""
        self._begun += data
        if len(self._begun) < len(PREFACE) and PREFACE.startswith(self._begun):
            return
        chosen: type[H11Protocol | Http2] = (
            Http2 if self._begun.startswith(PREFACE) else H11Protocol
        )
        protocol = chosen(*self._arguments)
        self._connections.discard(self)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._begun)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the interface)
        """Forget the connection."""
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Close the connection: it has sent no request."""
        self._transport.close()


class Http2(asyncio.Protocol):
    """One HTTP/2 connection: its requests run as tasks of the ASGI application."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self.app = config.loaded_app
        self.state = app_state
        self.server_state = server_state
        self._tasks = server_state.tasks
        self._connections = cast("set[asyncio.Protocol]", server_state.connections)
        # The library decodes no header, because ASGI's are bytes.
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._received = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._closing = False
        self._is_done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self.client = transport.get_extra_info("peername")
        self.server = transport.get_extra_info("sockname")
        self.h2.initiate_connection()
        # So much that the windows of the streams alone decide who may send.
        most = (
            self.h2.local_settings.max_concurrent_streams
            * self.h2.local_settings.initial_window_size
        )
        self.h2.increment_flow_control_window(most)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Handle what the client sent. If it is not HTTP/2, say so and close the connection."""
        if self._is_done:
            return
        self._received += data
        try:
            while frame := self._next_frame():
                # The library ends the connection at a GOAWAY frame, but requests before it still
                # wait for their answers (RFC 9113, 6.8).
                if frame[_TYPE_AT] == _GOAWAY:
                    self.shutdown()
                    continue
                for event in self.h2.receive_data(frame):
                    self._handle(event)
        except ProtocolError:
            self.flush()
            self._transport.close()
        self.flush()

    def _next_frame(self) -> bytes:
        """Take the next frame from what was received; the preface counts as one.

        Raises:
            FrameTooLargeError: it is larger than allowed; the library would wait for all of it.
        """
        size = len(PREFACE)
        if not self._received.startswith(PREFACE):
            if len(self._received) < _FRAME_HEADER_BYTES:
                return b""
            size = _FRAME_HEADER_BYTES + int.from_bytes(self._received[:3])
            if size > _FRAME_HEADER_BYTES + self.h2.max_inbound_frame_size:
                self.h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
                raise FrameTooLargeError(f"a frame of {size} bytes")
        if len(self._received) < size:
            return b""
        frame = bytes(self._received[:size])
        del self._received[:size]
        return frame

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the interface)
        """End all requests."""
        self._connections.discard(self)
        self._writable.set()
        for stream in self._streams.values():
            stream.disconnect()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has read."""
        self._writable.set()

    def shutdown(self) -> None:
        """Close the connection when its last request has been answered."""
        self._closing = True
        self._close_if_done()

    def flush(self) -> None:
        """Send what the library wants to send."""
        data = self.h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the client reads too slowly."""
        await self._writable.wait()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(number), headers=headers):
                stream = _Stream(self, number, list(headers or ()))
                self._streams[number] = stream
                task = asyncio.get_running_loop().create_task(stream.run())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(lambda _task: self._end(number))
            case DataReceived(stream_id=int(number), data=data, flow_controlled_length=size):
                if number in self._streams:
                    self._streams[number].receive_data(data or b"", size or 0)
                elif size:  # the request was answered before its end
                    self._acknowledge(size, number)
            case StreamEnded(stream_id=int(number)) if number in self._streams:
                self._streams[number].end_data()
            case StreamReset(stream_id=int(number)) if number in self._streams:
                self._streams[number].disconnect()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in self._streams.values():
                    stream.window_changed()

    def _acknowledge(self, size: int, number: int) -> None:
        with suppress(ProtocolError):  # such as a stream that was reset
            self.h2.acknowledge_received_data(size, number)

    def acknowledge(self, size: int, number: int) -> None:
        """Let the client send so many bytes more."""
        self._acknowledge(size, number)
        self.flush()

    def _end(self, number: int) -> None:
        del self._streams[number]
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._closing and not self._streams and not self._is_done:
            self._is_done = True
            self.h2.close_connection()
            self.flush()
            if self._transport.is_closing():
                return
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)


class _Stream:
    """One request and its answer."""

    def __init__(self, connection: Http2, number: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = connection
        self._number = number
        self._headers = headers
        self._body: deque[tuple[bytes, int]] = deque()
        self._changed = asyncio.Event()
        self._all_arrived = self._all_given = False
        self._disconnected = self._started = self._complete = False

    def receive_data(self, data: bytes, size: int) -> None:
        """The client sent a part of the body, for which flow control counts `size` bytes."""
        self._body.append((data, size))
        self._changed.set()

    def end_data(self) -> None:
        """The body is complete."""
        self._all_arrived = True
        self._changed.set()

    def window_changed(self) -> None:
        """The client may have allowed more of the answer."""
        self._changed.set()

    def disconnect(self) -> None:
        """The client does not want the answer any more."""
        self._disconnected = True
        self._changed.set()

    async def run(self) -> None:
        """Run the application for this request."""
        try:
            app = cast("Callable[..., Any]", self._connection.app)
            await app(self._scope(), self._receive, self._send)
        except Exception:  # noqa: BLE001 (the server goes on)
            _log.exception("Exception in ASGI application")
        finally:
            self._finish()

    def _finish(self) -> None:
        """Leave no request half answered, and no body half received."""
        for _data, size in self._body:
            self._connection.acknowledge(size, self._number)
        if self._disconnected or (self._complete and self._all_arrived):
            return
        code = ErrorCodes.NO_ERROR if self._complete else ErrorCodes.INTERNAL_ERROR
        with suppress(ProtocolError):
            self._connection.h2.reset_stream(self._number, code)
        self._connection.flush()

    def _scope(self) -> dict[str, Any]:
        pseudo = {name: value for name, value in self._headers if name.startswith(b":")}
        headers = [each for each in self._headers if not each[0].startswith(b":")]
        # The library refuses a request whose Host header and authority differ.
        if b":authority" in pseudo and not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", pseudo[b":authority"]))
        path, _, query = pseudo.get(b":path", b"").partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "2",
            "method": pseudo[b":method"].decode("latin-1"),
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._connection.client,
            "server": self._connection.server,
            "state": self._connection.state.copy(),
        }

    async def _receive(self) -> _Message:
        while True:
            if self._disconnected:
                return {"type": "http.disconnect"}
            if self._body and not self._all_given:
                data, size = self._body.popleft()
                self._connection.acknowledge(size, self._number)
                self._all_given = self._all_arrived and not self._body
                return {"type": "http.request", "body": data, "more_body": not self._all_given}
            if self._all_arrived and not self._all_given:
                self._all_given = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self._next_change()

    async def _send(self, message: Mapping[str, Any]) -> None:
        try:
            if message["type"] == "http.response.start":
                headers = [(b":status", str(message["status"]).encode()), *message["headers"]]
                headers += self._connection.server_state.default_headers
                self._connection.h2.send_headers(self._number, headers)
                self._connection.flush()
            else:
                await self._send_body(message.get("body", b""))
                if not message.get("more_body", False):
                    self._connection.h2.end_stream(self._number)
                    self._complete = True
                    self._connection.flush()
        except ProtocolError as error:
            raise OSError(str(error)) from None

    async def _send_body(self, body: bytes) -> None:
        """Send a part of the answer, as fast as the client allows.

        Raises:
            OSError: the client does not want it any more.
        """
        rest = memoryview(body)
        while rest:
            await self._connection.drain()
            if self._disconnected:
                raise OSError("the client closed the stream")
            size = min(
                self._connection.h2.local_flow_control_window(self._number),
                self._connection.h2.max_outbound_frame_size,
                len(rest),
            )
            if size <= 0:
                await self._next_change()
                continue
            self._connection.h2.send_data(self._number, bytes(rest[:size]))
            self._connection.flush()
            rest = rest[size:]

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
