"""Which files an upload takes: those named, and those in the folders named."""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import msgspec

from lockstep.console.errors import UserError

# What systems put into folders of pictures by themselves.
_OF_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "@eadir", "__macosx"})


class FolderError(UserError):
    """A path cannot be uploaded; the message says why."""


class FileFilter(msgspec.Struct, frozen=True):
    """Which files of a folder are taken. A file that is named itself is always taken.

    Attributes:
        include: patterns such as `*.jpg`; a file must match one. Empty: all files.
        exclude: patterns; what matches one is left out, files and folders. It counts first.
        hidden: whether files and folders are taken whose names begin with a dot.

    A pattern without `/` is one of a name, in any folder. A pattern with `/` is one of the path
    below the folder that was named; there, `*` also matches `/`. Upper and lower case are the
    same: cameras write `.JPG`.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False


class FoundFile(msgspec.Struct, frozen=True):
    """A file to upload.

    Attributes:
        file: where it is.
        path: its path below the folder that was named, with `/` between its parts; of a file that
            was named itself, its name. An upload makes the key of it.
    """

    file: Path
    path: str


class LeftOut(msgspec.Struct, frozen=True):
    """A file or folder that is not taken although no pattern says so."""

    file: Path
    why: str


def files_of(paths: Iterable[Path], wanted: FileFilter) -> Iterator[FoundFile | LeftOut]:
    """Each file once, in order: that of `paths`, and in a folder by its path.

    The order in a folder is that of the code points of the path, on every machine. Links to files
    are followed. Links to folders are not: they can lead in circles. Sockets, pipes and devices are
    left out. A file that is reached twice by the same real path is taken the first time.

    Raises:
        FolderError: one of `paths` is not there, or is neither file nor folder.
    """
    taken: set[str] = set()
    for path in paths:
        if path.is_dir():
            found = _below(path, path, wanted)
        elif path.is_file():
            found = iter([FoundFile(path, path.name)])
        elif path.exists():
            raise FolderError(f"{path} is neither a file nor a folder")
        elif path.is_symlink():
            raise FolderError(f"{path} is a link to {path.readlink()}, which is not there")
        else:
            raise FolderError(f"{path} is not there")
        for one in found:
            if isinstance(one, LeftOut):
                yield one
                continue
            real = os.path.realpath(one.file)
            if real not in taken:
                taken.add(real)
                yield one


def _below(folder: Path, named: Path, wanted: FileFilter) -> Iterator[FoundFile | LeftOut]:
    """What is in a folder, and in the folders in it."""
    try:
        entries = sorted(folder.iterdir(), key=_order)
    except OSError as error:
        yield LeftOut(folder, f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        path = entry.relative_to(named).as_posix()
        if _is_excluded(path, wanted):
            continue
        if entry.is_dir():
            if entry.is_symlink():
                yield LeftOut(entry, "a link to a folder: name that folder itself")
            else:
                yield from _below(entry, named, wanted)
        elif entry.is_file():
            if not wanted.include or _matches(path, wanted.include):
                yield FoundFile(entry, path)
        elif entry.is_symlink():
            yield LeftOut(entry, "a link to a file that is not there")
        else:
            yield LeftOut(entry, "neither a file nor a folder")


def _order(entry: Path) -> str:
    """A folder is sorted as the paths in it are: `a/b.jpg` comes after `a-b.jpg`."""
    return entry.name + ("/" if entry.is_dir() and not entry.is_symlink() else "")


def _is_excluded(path: str, wanted: FileFilter) -> bool:
    name = PurePosixPath(path).name
    if name.startswith(".") and not wanted.hidden:
        return True
    return name.lower() in _OF_SYSTEMS or _matches(path, wanted.exclude)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = PurePosixPath(path).name
    return any(
        fnmatchcase((path if "/" in pattern else name).lower(), pattern.lower())
        for pattern in patterns
    )
