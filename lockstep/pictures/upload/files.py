"""Which files an upload sends, under which keys: decided before anything is sent."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from lockstep.pictures.folder import FileFilter, FoundFile, LeftOut, files_of
from lockstep.pictures.ids import ClaimedIds, IdRule, KeyRefusedError, SameIdError, key_by
from lockstep.pictures.upload.outcomes import RefusedFile
from shared.picture_ids import PREFIX, id_of_key


class FileToSend(msgspec.Struct, frozen=True):
    """A file to upload.

    Attributes:
        file: where it is.
        path: its path below the folder that was named.
        size_bytes: its size when it was found.
        key: the key of its object; None: it follows from the checksum.
    """

    file: Path
    path: str
    size_bytes: int
    key: str | None

    @property
    def image_id(self) -> str | None:
        """The id that follows from the key."""
        return None if self.key is None else id_of_key(self.key.removeprefix(PREFIX))


def files_to_send(
    paths: Iterable[Path], wanted: FileFilter, rule: IdRule
) -> Iterator[FileToSend | RefusedFile]:
    """The files of an upload, in order. By `name` and `path`, each id is that of one file.

    Raises:
        FolderError: one of `paths` is not there, or is neither file nor folder.
    """
    claimed = ClaimedIds()
    for found in files_of(paths, wanted):
        if isinstance(found, LeftOut):
            yield RefusedFile(str(found.file), "left_out", found.why)
            continue
        try:
            size = found.file.stat().st_size
        except OSError as error:
            yield RefusedFile(str(found.file), "unreadable", f"cannot be read: {error.strerror}")
            continue
        if rule == "checksum":
            yield FileToSend(found.file, found.path, size, None)
            continue
        yield _with_key(found, size, rule, claimed)


def _with_key(
    found: FoundFile, size: int, rule: IdRule, claimed: ClaimedIds
) -> FileToSend | RefusedFile:
    try:
        key = key_by(rule, path=found.path, checksum="", suffix="")
        claimed.claim(id_of_key(key), str(found.file))
    except KeyRefusedError as error:
        return RefusedFile(str(found.file), "no_key", str(error))
    except SameIdError as error:
        return RefusedFile(str(found.file), "same_id", str(error))
    return FileToSend(found.file, found.path, size, PREFIX + key)
