"""Files that a command writes: opened before the work, and never an input of the command."""

from pathlib import Path
from typing import BinaryIO, cast

import click

# `-` is standard output.
WRITTEN = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_STANDARD_INPUT = Path("/dev/stdin")


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
