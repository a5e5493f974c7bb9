"""The server of the local API Gateway: invokes the function for every request."""

import logging
import time
import uuid
from collections.abc import Callable
from functools import partial

import msgspec
from starlette.types import ASGIApp

from lockstep.local.gateway import event as payload
from lockstep.local.gateway.event import MalformedAnswerError
from lockstep.local.mapping.response import Errored, Returned, Throttled
from lockstep.local.mapping.response import InvocationResult as Invoked
from lockstep.local.metrics import Emit, EmittedMetric, emit_nothing, of_function
from lockstep.local.processes import SERVER_ERROR
from lockstep.web import server as web
from lockstep.web.addresses import HOST
from lockstep.web.local_names import LocalNamesOnly
from lockstep.web.server import Answer, Request, message

# Concurrent invocations; each has its own process.
AT_ONCE = 4

_log = logging.getLogger(__name__)

type Invoke = Callable[[bytes, str], Invoked]


class Measured:
    """Emits the metrics of an API and of its function, as CloudWatch has them.

    Args:
        emit: emits a value.
        function: the value of the dimension `FunctionName`.
    """

    def __init__(self, emit: Emit, function: str) -> None:
        self._emit = emit
        self._function = function

    def invoke(self, invoke: Invoke, event: bytes, request_id: str) -> Invoked:
        """Invoke the function; tell whether it failed or was throttled."""
        answer = invoke(event, request_id)
        if isinstance(answer, Throttled):
            self._emit(of_function("Throttles", self._function), 1)
        else:
            self._emit(of_function("Errors", self._function), int(isinstance(answer, Errored)))
        return answer

    def answer(self, answer: Callable[[Request], Answer], request: Request) -> Answer:
        """Answer a request; tell how long it took, and whether it failed."""
        began = time.monotonic()
        found = answer(request)
        self._of_api("Count", 1)
        self._of_api("5xx", int(found.status >= SERVER_ERROR))
        self._of_api("Latency", round((time.monotonic() - began) * 1000))
        return found

    def _of_api(self, name: str, value: float) -> None:
        dimensions = (("ApiId", payload.API_ID), ("Stage", payload.STAGE))
        self._emit(EmittedMetric("AWS/ApiGateway", name, dimensions), value)


def application(
    invoke: Invoke, host: str = HOST, *, emit: Emit = emit_nothing, function: str = "function"
) -> ASGIApp:
    """The ASGI application in front of a function.

    Args:
        invoke: invokes the function with an event and a request ID.
        host: the address that it listens on. It accepts requests for this address and for local
            host names only.
        emit: gets the metrics of the API and of the function.
        function: the name of the function in its metrics.
    """
    measured = Measured(emit, function)
    answer = partial(_answer, partial(measured.invoke, invoke))
    answers = web.application(partial(measured.answer, answer), at_once=AT_ONCE)
    return LocalNamesOnly(answers, host)


def _answer(invoke: Invoke, request: Request) -> Answer:
    request_id = str(uuid.uuid4())
    sent = msgspec.json.encode(payload.event(request, request_id, time.time()))
    match invoke(sent, request_id):
        case Returned(returned):
            try:
                return payload.answer(returned)
            except MalformedAnswerError as error:
                _log.error(
                    "%s %s: invalid response of the function: %s",
                    request.method,
                    request.path,
                    error,
                )
        case Errored(error_type, detail):
            _log.error("%s %s: %s: %s", request.method, request.path, error_type, detail)
        case Throttled():
            return message(503, "Service Unavailable")
    return message(500, "Internal Server Error")
