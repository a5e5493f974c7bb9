"""The channel between a mapping and its workers: messages, framed, over a pair of sockets."""

import socket
import struct

import msgspec

_LENGTH = struct.Struct(">I")


class Invocation(msgspec.Struct, frozen=True):
    """What goes ahead of an event: `deadline` is in seconds since 1970."""

    request_id: str
    function_arn: str
    deadline: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The handler is imported."""


class Result(msgspec.Struct, frozen=True, tag=True):
    """The function returned; its JSON follows as a message of its own."""


class Failure(msgspec.Struct, frozen=True, tag=True):
    """The function, or the import of its handler, raised."""

    error_type: str
    message: str


type Report = Ready | Result | Failure


class ClosedError(Exception):
    """The other side is gone."""


def send(channel: socket.socket, message: bytes) -> None:
    """Send one message.

    Raises:
        ClosedError: the other side is gone.
        TimeoutError: the socket's time ran out.
    """
    try:
        channel.sendall(_LENGTH.pack(len(message)))
        channel.sendall(message)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClosedError from error


def receive(channel: socket.socket) -> bytes:
    """Wait for one whole message.

    Raises:
        ClosedError: the other side is gone.
        TimeoutError: the socket's time ran out.
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
