"""`lockstep update`: change fields, tags and attributes of one image, through the stream."""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from lockstep.commands.changes import change_options, exit_code, show_changed, waiting
from lockstep.commands.chosen_stack import connected
from lockstep.commands.options import examples, image_id_argument, named_values
from lockstep.console.terminal import print_json
from lockstep.images.edits import Edit
from lockstep.stack.use_cases.changes import update


def _edits(command: Callable[..., None]) -> Callable[..., None]:
    """A command that gets `edit`, checked before it names the stack."""

    @wraps(command)
    def with_edit(
        *args: Any,
        values: Mapping[str, str],
        unset: tuple[str, ...],
        add_tags: tuple[str, ...],
        remove_tags: tuple[str, ...],
        **given: Any,
    ) -> None:
        edit = Edit(values, unset, add_tags, remove_tags)
        if edit == Edit():
            raise click.UsageError("give --set, --unset, --add-tag or --remove-tag")
        command(*args, edit=edit, **given)

    return with_edit


@click.command(
    "update",
    epilog=examples(
        'lockstep update T02680 --set name="Low tide" --add-tag sea',
        'lockstep update T02680 --set attributes.artist="J. M. W. Turner"',
        "lockstep update T02680 --unset description --remove-tag sea --dry-run",
    ),
)
@image_id_argument
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=named_values,
    help="Set a field, or an attribute: attributes.NAME=VALUE.",
)
@click.option("--unset", multiple=True, metavar="FIELD", help="Remove a field, or attributes.NAME.")
@click.option("--add-tag", "add_tags", multiple=True, metavar="TAG", help="Add a tag.")
@click.option("--remove-tag", "remove_tags", multiple=True, metavar="TAG", help="Remove a tag.")
@_edits
@change_options
def update_command(
    image_id: str,
    name: str | None,
    state: Path,
    *,
    edit: Edit,
    version: int | None,
    wait: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change fields, tags and attributes of one image.

    It reads the image in the table, changes it, puts it on the stream under a higher version, and
    waits until both stores have it. If somebody else's event of the image comes between, it shows
    what was read, what was put, and what the stores have.

    Exit code 0: both stores have it, and nothing came between; 1: something did, or there is no
    such image; 2: unknown, or refused before anything was put.
    """
    clients = connected(name, state)
    with waiting("reading the image" if dry_run else "waiting until both stores have it"):
        changed = update(
            clients, image_id, edit, version=version, seconds=wait, applies=not dry_run
        )
    if as_json:
        print_json(changed)
    else:
        show_changed(changed, "updated")
    sys.exit(exit_code([changed]))
