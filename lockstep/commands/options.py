"""The options that commands share, and the stack that they name."""

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lockstep.stack.clients import Clients
from lockstep.stack.stack import STATE, StackNotFoundError, read_deployed, read_local

AT_MOST_PERCENT = 1.0
_AGE = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def json_option[F: Callable[..., Any]](command: F) -> F:
    """Every command answers programs as well as people."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")(
        command
    )


def state_option[F: Callable[..., Any]](command: F) -> F:
    """Where a local stack lives."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        default=STATE,
        show_default=True,
        help="The local stack's folder.",
    )(command)


def stack_options[F: Callable[..., Any]](command: F) -> F:
    """Which stack a command is about."""
    named = click.option("--stack", "name", help="A deployed stack; else the local one.")
    return state_option(named(command))


def rate_option[F: Callable[..., Any]](command: F) -> F:
    """How fast the table is read, which others pay for."""
    return click.option(
        "--rate",
        type=click.FloatRange(min=1),
        metavar="UNITS",
        help="Use at most so many of the table's read units a second.",
    )(command)


def at_most_option[F: Callable[..., Any]](words: str) -> Callable[[F], F]:
    """The share at which a change stops by itself; `words` say of what."""
    return click.option(
        "--at-most",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        default=AT_MOST_PERCENT,
        show_default=True,
        help=words,
    )


def at_most_is_said() -> bool:
    """Whether the user said a share, and not the default."""
    source = click.get_current_context().get_parameter_source("at_most")
    return source is not ParameterSource.DEFAULT


def _since(_: click.Context, __: click.Parameter, text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    now = dt.datetime.now(dt.UTC)
    if age := _AGE.fullmatch(text):
        return now - dt.timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write 7d, 12h, 30m, or a time as 2026-11-21T08:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if moment > now:
        raise click.BadParameter(f"{text} is yet to come, now being {now:%Y-%m-%dT%H:%M} UTC")
    return moment


def since_option[F: Callable[..., Any]](words: str) -> Callable[[F], F]:
    """A moment: how long ago, or a time; `words` say what happened since."""
    return click.option("--since", metavar="TIME", callback=_since, help=words)


def connected(name: str | None, state: Path) -> Clients:
    """The clients of the deployed stack with this name or, without a name, of the local stack."""
    if name is None:
        return Clients(read_local(state))
    import boto3  # noqa: PLC0415 - slow, and not needed for a local stack that does not run

    # boto3 knows only the older name of this variable.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if not session.region_name:
        message = "no region: set AWS_REGION, or a region in your AWS profile"
        raise StackNotFoundError(message)
    return Clients(read_deployed(session.client("cloudformation"), name, session.region_name))
