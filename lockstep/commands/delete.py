"""`lockstep delete`: delete images, through the stream."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from lockstep.commands.changes import change_options, exit_code, show_changed, waiting
from lockstep.commands.chosen_stack import connected
from lockstep.commands.options import examples, image_ids_argument
from lockstep.console.terminal import answers, print_json
from lockstep.console.text import counted
from lockstep.images.outcomes import ChangedImage
from lockstep.stack.use_cases.changes import delete


class DeletedImages(msgspec.Struct, frozen=True):
    """What became of each image that was to be deleted."""

    images: Sequence[ChangedImage]


@click.command(
    "delete",
    epilog=examples(
        "lockstep delete T02680",
        "lockstep delete T02680 T02681 --stack lockstep --dry-run",
        "lockstep delete T02680 --version 8",
    ),
)
@image_ids_argument
@change_options
def delete_command(
    image_ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    version: int | None,
    wait: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete images.

    It reads each image in the table, puts its deletion on the stream under a higher version, and
    waits until both stores have the tombstone. If somebody else's event of an image comes between,
    it shows what was read, what was put, and what the stores have.

    Exit code 0: both stores have each tombstone, and nothing came between; 1: something did, or
    there is no such image; 2: unknown, or refused before anything was put.
    """
    wanted = list(dict.fromkeys(image_ids))
    if version is not None and len(wanted) > 1:
        raise click.UsageError("--version is for one image: each has versions of its own")
    clients = connected(name, state)
    with waiting(
        "reading the images" if dry_run else "waiting until both stores have the tombstones"
    ):
        changed = delete(clients, wanted, version=version, seconds=wait, applies=not dry_run)
    if as_json:
        print_json(DeletedImages(changed))
    else:
        for one in changed:
            show_changed(one, "deleted")
        if len(changed) > 1:
            answers.print(summary(changed, dry_run=dry_run))
    sys.exit(exit_code(changed))


def summary(changed: Sequence[ChangedImage], *, dry_run: bool) -> str:
    """How many images are deleted, or would be."""
    done = "would be deleted" if dry_run else "deleted"
    count = sum(one.result in ("delivered", "not_put") for one in changed)
    return f"{done}: {count:,} of {counted(len(changed), 'image')}"
