"""Find the version of the code that runs, so that a finding can be reproduced."""

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec

TREE = Path(__file__).parents[2]


class Commit(msgspec.Struct, frozen=True):
    """The code is exactly this commit."""

    name: str

    def __str__(self) -> str:
        return self.name


class Changed(msgspec.Struct, frozen=True):
    """The code is this commit with uncommitted changes."""

    name: str

    def __str__(self) -> str:
        return f"{self.name}-dirty"


class Package(msgspec.Struct, frozen=True):
    """There is no source tree: the code is an installed version."""

    version: str

    def __str__(self) -> str:
        return f"version {self.version}"


type CodeVersion = Commit | Changed | Package


def code_version(tree: Path = TREE, *, besides: Path | None = None) -> CodeVersion:
    """Find the version of the code.

    Args:
        tree: the folder with the packages.
        besides: a file whose changes are ignored.
    """
    # In an installed package, a parent folder may be the work tree of another project.
    git = shutil.which("git") if (tree / ".git").exists() else None
    if git is None:
        return Package(version("lockstep"))
    apart = [] if besides is None else [f":(exclude,top){_inside(besides, tree)}"]
    try:
        name = _answer(git, tree, "rev-parse", "--short=10", "HEAD")
        changes = _answer(git, tree, "status", "--porcelain", "--", ":/", *apart)
    except subprocess.CalledProcessError:  # no commit yet, or git does not trust the tree
        return Package(version("lockstep"))
    return Changed(name) if changes else Commit(name)


def _inside(file: Path, tree: Path) -> Path:
    """The path relative to the tree. A file outside the tree keeps its path."""
    whole = file.resolve()
    return whole.relative_to(tree.resolve()) if whole.is_relative_to(tree.resolve()) else file


def _answer(git: str, tree: Path, *words: str) -> str:
    command = [git, "-C", str(tree), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - git, by its path
    return done.stdout.strip()
