"""How a command ends: its exit code, and one line for whatever a user can cause."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from lockstep.console.text import printable
from shared.shortened import shortened

# 1 means no: not caught up, different, lines refused. 2 means unknown, or a wrong call.
NO, NOT_KNOWN = 1, 2
INTERRUPTED = 128 + signal.SIGINT
# What to do if the stack that this command is about does not answer: see `click.Context.meta`.
NO_ANSWER_HINT = "lockstep.no_answer_hint"
# What click prints before a message.
_ERROR = "Error: "


class Refusal(click.ClickException):
    """One line on standard error."""

    exit_code = NOT_KNOWN

    def __init__(self, message: str) -> None:
        super().__init__(printable(shortened(message)))


class OneLine(click.Group):
    """A group whose commands end in one line for errors that a user can cause.

    Any other exception is a fault of Lockstep and keeps its traceback.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments."""
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with _one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line(context: click.Context | None = None) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        # click repeats what was typed. For mypy, the attribute is final.
        vars(error)["message"] = _for_reader(shortened(error.message))
        raise
    except (click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        # Not for `--help`.
        from lockstep.console.failures import is_no_answer, message_of  # noqa: PLC0415

        message = message_of(error)
        if message is None:
            raise
        hint = "" if context is None else context.meta.get(NO_ANSWER_HINT, "")
        if hint and is_no_answer(error):
            message += f"; {hint}"
        refusal = Refusal(message)
        vars(refusal)["message"] = _for_reader(refusal.message)
        raise refusal from error
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)


def _for_reader(message: str) -> str:
    """The message as one line, or wrapped on a terminal; click prints `Error: ` before it."""
    if not sys.stderr.isatty():
        return message
    # Not for `--help`.
    from rich.text import Text  # noqa: PLC0415

    from lockstep.console.terminal import notes  # noqa: PLC0415
    from lockstep.console.wrapping import wrapped  # noqa: PLC0415

    return wrapped(Text(f"{_ERROR}{message}"), notes.width).plain.removeprefix(_ERROR)
