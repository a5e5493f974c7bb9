"""The stack that a command is about: its options, and the clients of it."""

import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstep.commands.endings import NO_ANSWER_HINT
from lockstep.commands.settings import ToolSettings, read_settings
from lockstep.console.terminal import notes
from lockstep.console.text import printable
from lockstep.stack.clients import Clients
from lockstep.stack.stack import (
    STATE,
    HintedFolder,
    StackNotFoundError,
    command_for,
    read_deployed,
    read_local,
)

if TYPE_CHECKING:
    import boto3

# Where a command keeps what is read once: see `click.Context.meta`.
_SETTINGS = "lockstep.settings"
_FILE = "lockstep.config"


def settings() -> ToolSettings:
    """The settings of the command that runs, read once."""
    meta = click.get_current_context().meta
    found = meta.get(_SETTINGS)
    if found is None:
        found = meta[_SETTINGS] = read_settings(os.environ, meta.get(_FILE))
    known: ToolSettings = found
    return known


type Command = Callable[..., Any]
"""The function of a command. Options of click change which arguments it takes."""

type When = Callable[[Mapping[str, Any]], bool]
"""Says, from the values of a command's options, whether something is so."""


def state_option(command: Command) -> Command:
    """`--state` and `--config`: the folder of a local stack."""

    @wraps(command)
    def with_state(*args: Any, state: Path | None, **given: Any) -> Any:
        return command(*args, state=state or settings().state, **given)

    return config_option(_state_option(with_state))


def _state_option(command: Command) -> Command:
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help=f"Folder of the local stack. Default: LOCKSTEP_STATE, or {STATE}.",
    )(command)


def config_option(command: Command) -> Command:
    """`--config`: the file with the settings."""

    def keep(context: click.Context, _: click.Parameter, file: Path | None) -> None:
        context.meta[_FILE] = file

    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=keep,
        help="Read the settings from FILE. Default: ~/.config/lockstep/config.toml.",
    )(command)


def stack_options(command: Command) -> Command:
    """`--stack`, `--local`, `--state` and `--config`: the stack that a command reads.

    The command gets `name`, the name of a deployed stack or None, and `state`, the folder of the
    local stack.
    """
    return _with_stack(command, writes=_never, changes=_never)


def written_stack_options(command: Command) -> Command:
    """As `stack_options`, for a command that puts events: it names the stack first."""
    return _with_stack(command, writes=_always, changes=_never)


def changed_stack_options(when: When) -> Callable[[Command], Command]:
    """As `stack_options`, for a command that changes stores.

    It names the stack first. It takes a deployed stack from `--stack` only, so that nobody changes
    a stack that was set long ago.

    Args:
        when: whether the command changes something. Otherwise, it is one that reads.
    """
    return lambda command: _with_stack(command, writes=when, changes=when)


def applies(given: Mapping[str, Any]) -> bool:
    """Whether `--apply` is given."""
    return bool(given["applies"])


def _never(_: Mapping[str, Any]) -> bool:
    return False


def _always(_: Mapping[str, Any]) -> bool:
    return True


def no_answer_hint(command: str | None, name: str | None, state: Path) -> str:
    """What to do if the stack does not answer. `status` has nothing to add to what it says."""
    hints = (
        []
        if command == "status"
        else [f"{command_for('status', name, state)} shows which stores answer"]
    )
    if name is None:
        hints.append(f"if the stack has ended, {command_for('up', name, state)} starts it again")
    return "; ".join(hints)


def _with_stack(command: Command, *, writes: When, changes: When) -> Command:
    @wraps(command)
    def with_stack(
        *args: Any, name: str | None, local: bool, state: Path | None, **given: Any
    ) -> Any:
        name, folder = _chosen(name, state, local=local, changes=changes(given))
        context = click.get_current_context()
        context.meta[NO_ANSWER_HINT] = no_answer_hint(context.info_name, name, folder)
        if writes(given):
            name_stack(name, folder)
        return command(*args, name=name, state=folder, **given)

    local_option = click.option(
        "--local", is_flag=True, help="Use the local stack, whatever LOCKSTEP_STACK says."
    )
    named_option = click.option(
        "--stack",
        "name",
        metavar="NAME",
        help="Use this CloudFormation stack. Default: LOCKSTEP_STACK, or the local stack.",
    )
    return named_option(local_option(config_option(_state_option(with_stack))))


def _chosen(
    name: str | None, state: Path | None, *, local: bool, changes: bool
) -> tuple[str | None, Path]:
    """The deployed stack or None, and the folder of the local one."""
    if name is not None and (local or state is not None):
        other = "--local" if local else "--state"
        raise click.UsageError(f"give --stack or {other}, not both")
    found = settings()
    if name is not None:
        return name, found.state
    if local or state is not None:
        folder = state or found.state
        return None, folder if found.stack is None else HintedFolder(folder)
    if found.stack is not None and changes:
        raise click.UsageError(
            f"this changes a stack, and {found.stack_from} alone names {found.stack}: add "
            f"--stack {found.stack}, or --local for the local stack"
        )
    return found.stack, found.state


def connected(name: str | None, state: Path) -> Clients:
    """The clients of the deployed stack with this name or, without a name, of the local stack."""
    if name is None:
        return Clients(read_local(state))
    found = aws_session()
    return Clients(read_deployed(found.client("cloudformation"), name, found.region_name))


def name_stack(name: str | None, state: Path) -> None:
    """Print which stack a command writes to, and in which region."""
    if name is None:
        notes.print(printable(f"local stack {state}"))
    else:
        notes.print(printable(f"stack {name}, region {aws_session().region_name}"))


def aws_session() -> "boto3.Session":
    """A session for AWS, with a region.

    Raises:
        StackNotFoundError: no region is set.
    """
    import boto3  # noqa: PLC0415 - slow, and not needed for a local stack that does not run

    found = boto3.Session(region_name=settings().region)
    if not found.region_name:
        message = "no region: set LOCKSTEP_REGION or AWS_REGION, or a region in your AWS profile"
        raise StackNotFoundError(message)
    return found
