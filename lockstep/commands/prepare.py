"""`lockstep prepare`: give a restored table the settings that a stack needs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from functions.write_to_dynamodb.table_settings import WantedSettings
from lockstep.commands.chosen_stack import applies, aws_session, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, apply_option, examples, json_option
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.stack.stack import NoSuchStackError, command_for
from lockstep.stack.use_cases.prepare import Prepared, prepare_table, wanted_by

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@click.command(
    "prepare",
    epilog=examples(
        "lockstep prepare images-restored",
        "lockstep prepare lockstep-prod-restored --stack lockstep-prod --apply",
    ),
)
@click.argument("table")
@changed_stack_options(when=applies)
@json_option
@apply_option
def prepare_command(
    table: str, name: str | None, state: Path, *, applies: bool, as_json: bool
) -> None:
    """Give a restored table the settings it needs.

    TABLE is a table that CloudFormation did not make: DynamoDB restores a backup to a new table,
    which lacks the stream, time to live, point-in-time recovery, deletion protection and tags, and
    the Kinesis stream that gets its changes. The items stay as they are. A deployment with
    TableName=TABLE refuses the table until it is prepared.

    The stack need not exist yet. Then its own tags are not set.

    Exit code 1: the table lacks a setting.
    """
    client, wanted = _needs(name, state)
    prepared = prepare_table(
        client,
        table,
        wanted,
        apply=applies,
        on_set=lambda one: notes.print(printable(f"set: {one.name}")),
    )
    if as_json:
        print_json(prepared, applied=applies)
    else:
        show_prepared(prepared, name, state, applied=applies)
    sys.exit(NO if prepared.lacking and not applies else 0)


def show_prepared(prepared: Prepared, name: str | None, state: Path, *, applied: bool) -> None:
    """Print the settings of a table as text, and how to use it."""
    rows = [
        [one.name, printable(one.now), "" if one.is_set else printable(one.wanted)]
        for one in prepared.settings
    ]
    print_table(["setting", "was" if applied else "is", "becomes"], rows)
    if prepared.lacking and not applied:
        answers.print(APPLY_HINT)
        return
    answers.print(printable(f"table {prepared.table} is prepared"))
    if name is None:
        words = f"up --table {prepared.table}"
        answers.print(printable(f"to use it: {command_for(words, None, state)}"))
        return
    answers.print("to use it, set these parameters in samconfig.toml, and deploy:")
    answers.print(printable(f"TableName={prepared.table}"))
    answers.print(printable(f"TableStreamArn={prepared.stream_arn}"))


def _needs(name: str | None, state: Path) -> "tuple[DynamoDBClient, WantedSettings]":
    """The client, and what the stack needs. A stack that does not exist yet needs its tag."""
    try:
        clients = connected(name, state)
    except NoSuchStackError as error:
        notes.print(printable(f"{error}: the table is prepared for a new stack of this name"))
        return aws_session().client("dynamodb"), WantedSettings(stack=name)
    return clients.dynamodb, wanted_by(clients, name)
