"""The options that commands share, and the stack that they name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import click

from lockstep.stack import StackNotFoundError, read_deployed, read_local
from lockstep.system import System


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
        default=Path(".lockstep"),
        show_default=True,
        help="The local stack's folder.",
    )(command)


def stack_options[F: Callable[..., Any]](command: F) -> F:
    """Which stack a command is about."""
    named = click.option("--stack", "name", help="A deployed stack; else the local one.")
    return state_option(named(command))


def connected(name: str | None, state: Path) -> System:
    """The stack a command is about: the deployed one of that name, or the local one."""
    if name is None:
        return System(read_local(state))
    # boto3 knows only the older name of this variable.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if not session.region_name:
        message = "no region: set AWS_REGION, or a region in your AWS profile"
        raise StackNotFoundError(message)
    return System(read_deployed(session.client("cloudformation"), name, session.region_name))
