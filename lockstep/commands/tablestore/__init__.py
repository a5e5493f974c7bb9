"""`lockstep tablestore`: the operator's work on a replica in Table Store."""

import click

from lockstep.commands.tablestore.load import load_command


@click.group("tablestore")
def tablestore_group() -> None:
    """Copy a DynamoDB table into its replica in Table Store."""


tablestore_group.add_command(load_command)
