"""Turns an exception into one line for the user. A bug of Lockstep has no such line."""

# ruff: noqa: PLC0415 - an exception of a client exists only if its library is loaded already

import errno

from lockstep.console.errors import UserError
from lockstep.console.extras import extra_for
from shared.sink import SinkError

# Errors that occur only when writing.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def message_of(error: Exception) -> str | None:
    """The line that says what is wrong, for an error that a user can cause or repair.

    None for every other exception, and for a closed pipe, which is not an error.
    """
    match error:
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
        case EndpointConnectionError() | ConnectionClosedError() | OpenSearchConnectionError():
            hint = "is the stack running? `lockstep up` (with your --state) starts a local one"
            return f"{_first_line(error)}: {hint}"
        case ClientError() | BotoCoreError() | ResponseParserError() | OpenSearchException():
            return _first_line(error)
        case _:
            return None


def _place(error: OSError) -> str:
    """What could not be read or written."""
    return str(error.filename or ("output" if error.errno in _FULL else "input or output"))


def _first_line(error: Exception) -> str:
    """The message of a client's exception, without its causes."""
    return str(error).partition(" caused by: ")[0].partition("\n")[0]
