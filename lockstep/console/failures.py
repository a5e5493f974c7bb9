"""Turns an exception into one line for the user. A bug of Lockstep has no such line."""

# ruff: noqa: PLC0415 - an exception of a client exists only if its library is loaded already

import errno
from typing import TYPE_CHECKING

from lockstep.console.errors import UserError
from lockstep.console.extras import extra_for
from shared.sink import SinkError

if TYPE_CHECKING:
    from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError

# Errors that occur only when writing.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def message_of(error: Exception) -> str | None:
    """The line that says what is wrong, for an error that a user can cause or repair.

    None for every other exception, and for a closed pipe, which is not an error.
    """
    match error:
        case SinkError(__cause__=Exception() as cause) if is_no_answer(cause):
            return message_of(cause)
        case UserError() | SinkError():
            return str(error)
        case ModuleNotFoundError(name=str(module)):
            extra = extra_for(module)
            return extra and f'{module} is not installed: run `pip install "lockstep[{extra}]"`'
        case BrokenPipeError():
            return None
        case OSError():
            return f"{_place(error)}: {error.strerror or error}"
        case _:
            return _client_message(error)


def _client_message(error: Exception) -> str | None:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionClosedError,
        EndpointConnectionError,
    )
    from botocore.parsers import ResponseParserError
    from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
    from opensearchpy.exceptions import OpenSearchException

    from functions.search_images.search import TooSlowError

    match error:
        case TooSlowError():
            return str(error)
        case OpenSearchConnectionError():
            return f"OpenSearch does not answer{_tried(error)}: {cause_of(error)}"
        case EndpointConnectionError(kwargs={"endpoint_url": url}):
            return f"{url} does not answer: {cause_of(error)}"
        case ConnectionClosedError(kwargs={"endpoint_url": url}):
            return f"{url} does not answer: {cause_of(error)}"
        case ClientError() | BotoCoreError() | ResponseParserError() | OpenSearchException():
            return _first_line(error)
        case _:
            return None


def _tried(error: "OpenSearchConnectionError") -> str:
    """The address that was tried, where the HTTP client tells it."""
    where = getattr(error.info, "conn", None) or getattr(error.info, "pool", None)
    host, port = getattr(where, "host", None), getattr(where, "port", None)
    return "" if host is None else f" at {host}:{port}"


def is_no_answer(error: Exception) -> bool:
    """Whether a server of the stack did not answer."""
    if isinstance(error, SinkError | UserError):
        return isinstance(error.__cause__, Exception) and is_no_answer(error.__cause__)
    if isinstance(error, OSError):
        return False
    from botocore.exceptions import ConnectionError as BotoConnectionError
    from botocore.exceptions import HTTPClientError
    from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError

    return isinstance(error, BotoConnectionError | HTTPClientError | OpenSearchConnectionError)


def cause_of(error: Exception) -> str:
    """Why a request failed, in few words: the reason of the operating system, if there is one."""
    if any(word in type(error).__name__ for word in ("Timeout", "TimedOut")):
        return "no answer in time"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        inner = getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        seen = inner if isinstance(inner, BaseException) else None
    return _first_line(error)


def _place(error: OSError) -> str:
    """What could not be read or written."""
    return str(error.filename or ("output" if error.errno in _FULL else "input or output"))


def _first_line(error: Exception) -> str:
    """The message of a client's exception, without its causes."""
    return str(error).partition(" caused by: ")[0].partition("\n")[0]
