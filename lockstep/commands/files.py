"""Files that a command writes: opened before any work is done, and never over what it reads."""

from pathlib import Path
from typing import BinaryIO, cast

import click

# `-` is standard output.
WRITTEN = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_STANDARD_INPUT = Path("/dev/stdin")


def opened(file: Path, *, goes_on: bool = False) -> BinaryIO:
    """The file, emptied unless the work goes on from where it was; closed with the command.

    Raises:
        OSError: it cannot be written.
    """
    context = click.get_current_context()
    return cast(
        "BinaryIO", context.with_resource(click.open_file(str(file), "ab" if goes_on else "wb"))
    )


def is_read(file: Path, name: str) -> bool:
    """Whether what a command reads under this name, `-` for standard input, is this very file."""
    read = _STANDARD_INPUT if name == "-" else Path(name)
    if file.is_file() and read.is_file():
        return file.samefile(read)
    return file.absolute() == read.absolute()
