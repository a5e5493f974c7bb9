"""Files that a command writes: opened before the work, and never an input of the command."""

from pathlib import Path
from typing import BinaryIO, cast

import click

from lockstep.console.terminal import notes
from lockstep.console.text import printable

# `-` is standard output.
WRITTEN = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_STANDARD_INPUT = Path("/dev/stdin")

html_option = click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a report for people to FILE (HTML).",
)
# If `--html` and `--report` name the same file.
DIFFERENT_FILES = "give --html and --report different files"


def is_same(one: Path | None, other: Path | None) -> bool:
    """Whether two files that a command writes are the same."""
    return one is not None and other is not None and one.absolute() == other.absolute()


def tell_of(file: Path | None, what: str) -> None:
    """Say what the user's file has now; on standard error, as programs read standard output."""
    if file is not None:
        notes.print(printable(f"{file}: {what}"))


def opened(file: Path, *, goes_on: bool = False) -> BinaryIO:
    """Open a file for writing until the command ends.

    Args:
        file: its path, or `-` for standard output.
        goes_on: append to the file; otherwise it is emptied.

    Raises:
        OSError: the file cannot be written.
    """
    context = click.get_current_context()
    return cast(
        "BinaryIO", context.with_resource(click.open_file(str(file), "ab" if goes_on else "wb"))
    )


def is_read(file: Path, name: str) -> bool:
    """Whether a command reads this file under this name (`-` for standard input)."""
    read = _STANDARD_INPUT if name == "-" else Path(name)
    if file.is_file() and read.is_file():
        return file.samefile(read)
    return file.absolute() == read.absolute()
