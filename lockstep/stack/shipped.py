"""Finds the files that come with Lockstep, in the repository or in an installed wheel."""

from pathlib import Path

from lockstep.console.errors import UserError

TEMPLATE = "template.yaml"
TABLESTORE_TEMPLATE = "template-tablestore.yaml"
SAMPLE_DATA = "data/tate-2000.ndjson"
# One of the pictures in a folder that has nothing else.
SAMPLE_PICTURE = "data/pictures/fuji.webp"

_PACKAGE = Path(__file__).parents[1]
# Exists only in a wheel: folders that are beside `lockstep` in the repository (tools/wheel.py).
_BUNDLE = _PACKAGE / "_bundle"


class IncompleteInstallationError(UserError):
    """A file that comes with Lockstep is missing."""


def shipped(name: str, *, root: Path | None = None) -> Path:
    """The file that has this path in the repository.

    Args:
        name: a path in the repository.
        root: the folder to look in instead.

    Raises:
        IncompleteInstallationError: the file is missing.
    """
    file = (root or (_BUNDLE if _BUNDLE.is_dir() else _PACKAGE.parent)) / name
    if not file.is_file():
        raise IncompleteInstallationError(f"{file} is missing: install Lockstep again")
    return file
