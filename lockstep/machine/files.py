"""Files that a program replaces while others read them."""

from pathlib import Path

import msgspec


def write_json(file: Path, content: object) -> None:
    """Replace a file with this JSON atomically: readers see the old file or the new one."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    unfinished.replace(file)
