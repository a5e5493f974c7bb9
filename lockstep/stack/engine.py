"""The check of the index's engine in a command: before its first request, and only once."""

from threading import Lock
from typing import Any

from opensearchpy import Transport

from functions.write_to_es.engine import UnsuitableEngineError, check_engine
from lockstep.console.errors import UserError


class EngineRefusedError(UserError):
    """Lockstep cannot use the engine of the index; the message says what to do."""


def checking_transport() -> type[Transport]:
    """A transport that checks the engine before its first request.

    All clients with this transport share one check: a command sends one request more. If the engine
    does not answer, the first request fails like any other, and the next one checks again.
    """
    lock, checked = Lock(), False

    class CheckingTransport(Transport):
        def perform_request(self, *args: Any, **kwargs: Any) -> Any:
            """Check the engine, unless that was done; then send the request.

            Raises:
                EngineRefusedError: Lockstep cannot use it.
            """
            nonlocal checked
            with lock:
                if not checked:
                    try:
                        check_engine(self)
                    except UnsuitableEngineError as error:
                        raise EngineRefusedError(str(error)) from error
                    checked = True
            return super().perform_request(*args, **kwargs)

    return CheckingTransport
