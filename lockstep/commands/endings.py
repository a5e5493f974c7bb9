"""How a command ends: its exit code, and one line for whatever a user can cause."""

import signal
import sys

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

from lockstep.audit.stores import StoreUnreadableError
from lockstep.backfill import SourceError
from lockstep.converters import MappingError
from lockstep.demo import DemoError
from lockstep.local.kinesis.backlog import UnknownBacklogError
from lockstep.local.mapping.checkpoints import CheckpointsError
from lockstep.local.processes import LocalStackError
from lockstep.page import PageError
from lockstep.producer import PutError
from lockstep.rebuild.export import ExportError
from lockstep.rebuild.indices import SomebodyElseError
from lockstep.rebuild.rebuild import NotFinishedError, NotSwitchedError
from lockstep.stack import StackNotFoundError
from lockstep.terminal import notes, printable
from shared.sink import SinkError

# 1 is a no: not caught up, different, lines refused. 2 is for not knowing, and for a wrong call.
NO, NOT_KNOWN = 1, 2
INTERRUPTED = 128 + signal.SIGINT


class Refusal(click.ClickException):
    """One line on standard error."""

    exit_code = NOT_KNOWN

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class OneLine(click.Group):
    """Whatever a user can cause ends in one line that says what to do; a traceback is our fault."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (
            StackNotFoundError,
            LocalStackError,
            UnknownBacklogError,
            CheckpointsError,
            MappingError,
            SourceError,
            PageError,
            PutError,
            NotFinishedError,
            NotSwitchedError,
            SomebodyElseError,
            SinkError,
            StoreUnreadableError,
            DemoError,
            ExportError,
        ) as error:
            raise Refusal(str(error)) from error
        except (EndpointConnectionError, ConnectionClosedError, OpenSearchConnectionError) as error:
            message = f"{_first_line(error)}: does the stack run? `lockstep up` starts a local one"
            raise Refusal(message) from error
        except (ClientError, BotoCoreError, ResponseParserError, OpenSearchException) as error:
            raise Refusal(_first_line(error)) from error
        except OSError as error:
            raise Refusal(f"{error.filename or 'input'}: {error.strerror}") from error
        except KeyboardInterrupt:
            notes.print("interrupted")
            sys.exit(INTERRUPTED)


def _first_line(error: Exception) -> str:
    """What a client's exception says, without the history behind it."""
    return str(error).partition(" caused by: ")[0].partition("\n")[0]
