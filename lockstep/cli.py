"""The door of the operator's tool: one command, `lockstep`."""

import click

from lockstep.commands.audit import audit_command
from lockstep.commands.backfill import import_command
from lockstep.commands.demo import demo_command
from lockstep.commands.endings import OneLine
from lockstep.commands.page import page_command
from lockstep.commands.purge import purge_command
from lockstep.commands.put import put_command
from lockstep.commands.quarantine import quarantine_group
from lockstep.commands.rebuild import rebuild_command
from lockstep.commands.redrive import redrive_command
from lockstep.commands.search import search_command
from lockstep.commands.status import status_command
from lockstep.commands.up import down_command, up_command
from lockstep.simulation.command import simulate_command


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lockstep")
def main() -> None:
    """One stream of image events, two stores, never out of step."""


main.add_command(up_command)
main.add_command(down_command)
main.add_command(put_command)
main.add_command(import_command)
main.add_command(status_command)
main.add_command(audit_command)
main.add_command(purge_command)
main.add_command(rebuild_command)
main.add_command(search_command)
main.add_command(page_command)
main.add_command(demo_command)
main.add_command(quarantine_group)
main.add_command(redrive_command)
main.add_command(simulate_command)
