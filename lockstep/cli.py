"""The command line: the name of each command, its module, and its line of the help.

A command's module is loaded when the command is called.
"""

import importlib

import click

from lockstep.commands.endings import OneLine

COMMANDS = {
    "up": ("up:up_command", "Start the whole system on this machine."),
    "down": ("up:down_command", "Stop the local stack; its data stays."),
    "put": ("put:put_command", "Put events from a file onto the stream."),
    "upload": (
        "upload:upload_command",
        "Put pictures into a bucket, and their events onto the stream.",
    ),
    "update": ("update:update_command", "Change fields, tags and attributes of one image."),
    "delete": ("delete:delete_command", "Delete images."),
    "erase": ("erase:erase_command", "Remove all content of images, everywhere."),
    "import": ("backfill:import_command", "Put images that were never on the stream onto it."),
    "status": ("status:status_command", "Show the backlog of each consumer."),
    "watch": (
        "watch:watch_command",
        "See the shards, the consumers and the alarms of a stack, live.",
    ),
    "audit": ("audit:audit_command", "Compare the table with the index; repair differences."),
    "purge": ("purge:purge_command", "Remove expired tombstones from the index."),
    "rebuild": ("rebuild:rebuild_command", "Build a new index and switch to it."),
    "get": ("get:get_command", "Show what both stores hold of one image, side by side."),
    "trace": ("trace:trace_command", "Show all that is known of one image, in order of time."),
    "search": ("search:search_command", "Find images by name or by any field, with typos."),
    "page": ("page:page_command", "Show the search page of a deployed stack in a browser."),
    "demo": ("demo:demo_command", "Run the whole system once, with real data."),
    "quarantine": (
        "quarantine:quarantine_group",
        "List, show, export and discard quarantined records.",
    ),
    "redrive": ("redrive:redrive_command", "Put quarantined records back onto the stream."),
    "replay": ("replay:replay_command", "Deliver records of the stream again, to both stores."),
    "prepare": (
        "prepare:prepare_command",
        "Give a restored table the settings it needs.",
    ),
    "smoke": ("smoke:smoke_command", "Put an image, find it, compare both stores, and delete it."),
    "alarms": (
        "alarms:alarms_group",
        "See that somebody hears the alarms of a deployed stack.",
    ),
    "tablestore": (
        "tablestore:tablestore_group",
        "Load, compare and repair a replica in Table Store.",
    ),
    "pictures": (
        "pictures:pictures_group",
        "Compare pictures with the table, and put what is missing.",
    ),
    "plan": ("plan:plan_command", "Say what a stack needs and costs, before it is deployed."),
    "simulate": ("simulate:simulate_command", "Test the rules on random histories with faults."),
}


class Lockstep(OneLine):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, loaded now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        loaded = importlib.import_module(f"lockstep.commands.{module}")
        command: click.Command = getattr(loaded, attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a mistyped name, name those that are nearly the same."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, None, COMMANDS, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write one line for each command, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Lockstep, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lockstep")
def main() -> None:
    """Keep a DynamoDB table and an OpenSearch index equal, from one stream of image events."""
