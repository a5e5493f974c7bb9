"""`lockstep tablestore`: the operator's work on a replica in Table Store."""

import click

from lockstep.commands.tablestore.audit import audit_command
from lockstep.commands.tablestore.load import load_command
from lockstep.commands.tablestore.purge import purge_command
from lockstep.commands.tablestore.quarantine import quarantine_group
from lockstep.commands.tablestore.redrive import redrive_command


@click.group("tablestore")
def tablestore_group() -> None:
    """Load, compare and repair a replica in Table Store."""


tablestore_group.add_command(audit_command)
tablestore_group.add_command(load_command)
tablestore_group.add_command(purge_command)
tablestore_group.add_command(quarantine_group)
tablestore_group.add_command(redrive_command)
