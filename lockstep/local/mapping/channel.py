"""The channel between a mapping and its worker processes: framed messages over a socket pair."""

import socket
import struct

import msgspec

_LENGTH = struct.Struct(">I")


class Invocation(msgspec.Struct, frozen=True):
    """The message before an event; `deadline` is in seconds since 1970."""

    request_id: str
    function_arn: str
    deadline: float


class HandlerReady(msgspec.Struct, frozen=True, tag=True):
    """The handler is imported."""


class FunctionResult(msgspec.Struct, frozen=True, tag=True):
    """The function returned; its JSON is the next message."""


class FunctionError(msgspec.Struct, frozen=True, tag=True):
    """The function, or the import of its handler, raised."""

    error_type: str
    message: str


type Report = HandlerReady | FunctionResult | FunctionError


class ClosedError(Exception):
    """The other process has ended."""


def send(channel: socket.socket, message: bytes) -> None:
    """Send one message.

    Raises:
        ClosedError: the other process has ended.
        TimeoutError: the socket's timeout has passed.
    """
    try:
        channel.sendall(_LENGTH.pack(len(message)))
        channel.sendall(message)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError from error


def receive(channel: socket.socket) -> bytes:
    """Receive one message.

    Raises:
        ClosedError: the other process has ended.
        TimeoutError: the socket's timeout has passed.
    """
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    return _exactly(channel, length)


def _exactly(channel: socket.socket, length: int) -> bytes:
    received = bytearray(length)
    space = memoryview(received)
    while space:
        try:
            count = channel.recv_into(space)
        except ConnectionResetError as error:
            raise ClosedError from error
        if count == 0:
            raise ClosedError
        space = space[count:]
    return bytes(received)
