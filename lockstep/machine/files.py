"""Files that a program replaces while others read them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


def write_json(file: Path, content: object) -> None:
    """Replace a file with this JSON atomically: readers see the old file or the new one."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    unfinished.replace(file)


@contextmanager
def replacing(file: Path) -> Iterator[Callable[[bytes], None]]:
    """A function that replaces a file atomically and durably, as often as it is called.

    It is known at once whether the file can be written, before the work that makes its content.

    Raises:
        OSError: the file cannot be written, or it is no regular file.
    """
    target = file.resolve()
    if target.exists() and not target.is_file():
        raise FileExistsError(None, "not a regular file", str(file))
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.new")

    def replace(content: bytes) -> None:
        with unfinished.open("wb") as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        unfinished.replace(target)

    try:
        unfinished.touch()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None
    try:
        yield replace
    finally:
        unfinished.unlink(missing_ok=True)
