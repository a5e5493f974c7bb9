"""How a command ends: its exit code, and one line for whatever a user can cause."""

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
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
from lockstep.console.errors import UserError
from lockstep.console.terminal import notes, printable
from shared.sink import SinkError

# 1 is a no: not caught up, different, lines refused. 2 is for not knowing, and for a wrong call.
NO, NOT_KNOWN = 1, 2
INTERRUPTED = 128 + signal.SIGINT
# What only writing can come to.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Refusal(click.ClickException):
    """One line on standard error."""

    exit_code = NOT_KNOWN

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OneLine(click.Group):
    """Whatever a user can cause ends in one line that says what to do; a traceback is our fault."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words."""
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except (UserError, SinkError, TooSlowError) as error:
        raise Refusal(str(error)) from error
    except (EndpointConnectionError, ConnectionClosedError, OpenSearchConnectionError) as error:
        hint = "does the stack run? `lockstep up` (with your --state) starts a local one"
        raise Refusal(f"{_first_line(error)}: {hint}") from error
    except (ClientError, BotoCoreError, ResponseParserError, OpenSearchException) as error:
        raise Refusal(_first_line(error)) from error
    except BrokenPipeError:
        raise  # who read the answers has enough of them: click ends without a word
    except OSError as error:
        raise Refusal(f"{_place(error)}: {error.strerror or error}") from error
    except KeyboardInterrupt:
        notes.print("interrupted")
        sys.exit(INTERRUPTED)


def _place(error: OSError) -> str:
    """What it was that could not be read or written."""
    return str(error.filename or ("output" if error.errno in _FULL else "input or output"))


def _first_line(error: Exception) -> str:
    """What a client's exception says, without the history behind it."""
    return str(error).partition(" caused by: ")[0].partition("\n")[0]
