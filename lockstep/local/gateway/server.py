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
from lockstep.web import server as web
from lockstep.web.addresses import HOST
from lockstep.web.local_names import LocalNamesOnly
from lockstep.web.server import Answer, Request, message

# Concurrent invocations; each has its own process.
AT_ONCE = 4

_log = logging.getLogger(__name__)

type Invoke = Callable[[bytes, str], Invoked]


def application(invoke: Invoke, host: str = HOST) -> ASGIApp:
    """The ASGI application in front of a function.

    Args:
        invoke: invokes the function with an event and a request ID.
        host: the address that it listens on. It accepts requests for this address and for local
            host names only.
    """
    return LocalNamesOnly(web.application(partial(_answer, invoke), at_once=AT_ONCE), host)


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
