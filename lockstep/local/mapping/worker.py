"""A worker process: runs one function, as an execution environment of Lambda does.

A mapping starts it as `python -m lockstep.local.mapping.worker FD`, with the function's environment
only. FD is its end of the channel. The function's output goes to its log.
"""

import importlib
import io
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import msgspec

from lockstep.local.mapping.channel import (
    ClosedError,
    FunctionError,
    FunctionResult,
    HandlerReady,
    Invocation,
    Report,
    receive,
    send,
)


class MarshalError(Exception):
    """The function returned something that is not JSON serializable."""


class Identity:
    """The Cognito identity, which an invocation by a stream does not have."""

    cognito_identity_id: None = None
    cognito_identity_pool_id: None = None


class Context:
    """Lambda's context object. https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, invocation: Invocation) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = invocation.function_arn
        self.aws_request_id = invocation.request_id
        self.client_context = None
        self.identity = Identity()
        self.tenant_id = None
        self._deadline = invocation.deadline

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until this invocation times out, at least 0."""
        return max(0, round((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


def serve(channel: socket.socket) -> None:
    """Import the handler, then run invocations one at a time, until the process is killed."""
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Its own thread, so that this process ends with its mapping even while the handler runs.
    threading.Thread(target=_listen, args=(channel, inbox), daemon=True).start()
    try:
        handler = _handler(os.environ["_HANDLER"])
    except Exception as error:  # noqa: BLE001  # an import may raise anything
        traceback.print_exc()
        _report(channel, FunctionError(f"Runtime.{_import_error(error)}", str(error)))
        return
    _report(channel, HandlerReady())
    while True:
        invocation = msgspec.json.decode(inbox.get(), type=Invocation)
        event = msgspec.json.decode(inbox.get())
        try:
            answer = _encoded(handler(event, Context(invocation)))
        except Exception as error:  # noqa: BLE001  # the mapping gets whatever the function raises
            sys.stderr.write(f"[ERROR] {type(error).__name__}: {error} {invocation.request_id}\n")
            traceback.print_exc()
            _report(channel, FunctionError(type(error).__name__, str(error)))
        else:
            _report(channel, FunctionResult())
            send(channel, answer)


def _encoded(returned: object) -> bytes:
    """The return value as JSON. Not with msgspec: it encodes more types than Lambda does."""
    try:
        return json.dumps(returned, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise MarshalError(f"the response is not JSON serializable: {error}") from error


def _listen(channel: socket.socket, inbox: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            inbox.put(receive(channel))
        except ClosedError:
            os._exit(0)  # at once: the handler's result is not needed


def _report(channel: socket.socket, report: Report) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    send(channel, msgspec.json.encode(report))


def _handler(path: str) -> Callable[[Any, Context], Any]:
    module, _, name = path.rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), name)
    return handler


def _import_error(error: Exception) -> str:
    match error:
        case ImportError():
            return "ImportModuleError"
        case AttributeError():
            return "HandlerNotFound"
        case SyntaxError():
            return "UserCodeSyntaxError"
        case _:
            return type(error).__name__


if __name__ == "__main__":
    # The processes of a function share its log. A whole line at a time, so that no two lines mix:
    # `print` writes the end of a line by itself.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, write_through=False)
    serve(socket.socket(fileno=int(sys.argv[1])))
