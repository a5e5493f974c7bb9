"""Objects in a folder of this machine: as a bucket, for several processes at the same time."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


class FolderObjects:
    """See `PartObjects`. A key is the name of a file; its `/` are folders that must exist.

    An object appears as a whole, so no process ever reads a part of one that was killed. It is not
    durable: after a crash of the machine, it may be gone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """See `PartObjects.read_part`."""
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def write(self, key: str, body: bytes) -> None:
        """See `Objects.write`."""
        self._written(body).replace(self._folder / key)

    def write_new(self, key: str, body: bytes) -> None:
        """See `Objects.write_new`."""
        written = self._written(body)
        # A link, unlike a rename, fails if there is such a file.
        with suppress(FileExistsError):
            os.link(written, self._folder / key)
        written.unlink()

    def _written(self, body: bytes) -> Path:
        """A new file with this content, under a name that no object has."""
        file = self._folder / f".{secrets.token_hex(8)}"
        file.write_bytes(body)
        return file
