"""A file of which a reader may read only so much: hostile files have endless headers."""

import io
from typing import BinaryIO, Final, cast

from lockstep.pictures.notes import NotAPictureError

# The longest headers that we know have depth maps or layers in them.
HEADER_BYTES: Final = 32 * 1024 * 1024
# What a read costs at least: a reader that goes on byte by byte must end, too.
_LEAST_COST = 64


class HeaderTooLongError(NotAPictureError):
    """A reader wants more of a file than it may read."""


def limited(file: BinaryIO, most_bytes: int = HEADER_BYTES) -> BinaryIO:
    """The file from its beginning, for one reader. It is closed with the file itself only.

    Each read costs its length, and at least 64 bytes. The read that costs more than is left raises
    HeaderTooLongError.
    """
    return cast("BinaryIO", _LimitedFile(file, most_bytes))


class _LimitedFile(io.RawIOBase):
    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._most = self._left = most_bytes
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._left + 1 if size is None or size < 0 else size
        data = self._file.read(min(wanted, self._left + 1))
        self._left -= max(len(data), _LEAST_COST)
        if self._left < 0:
            most = f"{self._most >> 20} MiB"
            raise HeaderTooLongError(
                f"a file whose header does not end within {most}: damaged or hostile"
            )
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
