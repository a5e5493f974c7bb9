"""The source: which code it is that runs, so that what a run found can be found again."""

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec

TREE = Path(__file__).parents[2]


class Commit(msgspec.Struct, frozen=True):
    """The code is this commit's, to the letter."""

    name: str

    def __str__(self) -> str:
        return self.name


class Changed(msgspec.Struct, frozen=True):
    """The code is this commit's, with changes that nobody else has."""

    name: str

    def __str__(self) -> str:
        return f"{self.name}-dirty"


class Package(msgspec.Struct, frozen=True):
    """There is no source tree: the code is that of a published version."""

    version: str

    def __str__(self) -> str:
        return f"version {self.version}"


type CodeVersion = Commit | Changed | Package


def code_version(tree: Path = TREE, *, besides: Path | None = None) -> CodeVersion:
    """Which code runs.

    Args:
        tree: where the packages lie.
        besides: a file that may have changed without making it other code.
    """
    # Installed into somebody's environment, the folders above may be a work tree, but not ours.
    git = shutil.which("git") if (tree / ".git").exists() else None
    if git is None:
        return Package(version("lockstep"))
    apart = [] if besides is None else [f":(exclude,top){_inside(besides, tree)}"]
    try:
        name = _answer(git, tree, "rev-parse", "--short=10", "HEAD")
        changes = _answer(git, tree, "status", "--porcelain", "--", ":/", *apart)
    except subprocess.CalledProcessError:  # no commit yet, or a tree that git does not trust
        return Package(version("lockstep"))
    return Changed(name) if changes else Commit(name)


def _inside(file: Path, tree: Path) -> Path:
    """The file as the tree calls it; one outside is none of its own."""
    whole = file.resolve()
    return whole.relative_to(tree.resolve()) if whole.is_relative_to(tree.resolve()) else file


def _answer(git: str, tree: Path, *words: str) -> str:
    command = [git, "-C", str(tree), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - git, by its path
    return done.stdout.strip()
