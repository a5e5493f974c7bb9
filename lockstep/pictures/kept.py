"""One pass over a picture's content: its checksum and size, and a copy that can be read again.

The readers of metadata go back and forth in a file, but a stream is read once. So the content goes
into a temporary file, of which only the start is in memory.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

import msgspec

from lockstep.pictures.content import HEAD_BYTES, PictureFormat, format_of

_CHUNK_BYTES = 1024 * 1024
# Most photographs fit, so they never touch the disk.
IN_MEMORY_BYTES: Final = 16 * 1024 * 1024


class KeptContent(msgspec.Struct, frozen=True):
    """The content of a picture.

    Attributes:
        file: its content, at least the start; at its beginning.
        format: its format by its first bytes.
        whole: whether `file` has all of it.
        size_bytes: how many bytes were read; all, unless `checksum` is absent.
        checksum: the SHA-256 of all bytes as in events, `sha256:` and 64 hex digits; None if the
            content is longer than was to be read.
    """

    file: BinaryIO
    format: PictureFormat
    whole: bool
    size_bytes: int
    checksum: str | None


@contextmanager
def kept(
    source: BinaryIO | Iterable[bytes], *, keep_bytes: int, most_bytes: int | None
) -> Iterator[KeptContent]:
    """Read a source once.

    Args:
        source: a file open for reading, or the content in pieces. It is not closed.
        keep_bytes: how much to copy, in bytes. The rest only counts for checksum and size.
        most_bytes: stop after so many bytes, without a checksum; None to read everything.

    Raises:
        NotAPictureError: the first bytes are those of no picture. The rest is not read then.
    """
    pieces = _pieces(source)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    found = format_of(head[:HEAD_BYTES])
    digest = hashlib.sha256()
    size = 0
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
        for piece in _all(head, pieces):
            if most_bytes is not None and size + len(piece) > most_bytes:
                break
            if size < keep_bytes:
                file.write(piece[: keep_bytes - size])
            size += len(piece)
            digest.update(piece)
        else:
            most_bytes = None
        file.seek(0)
        yield KeptContent(
            file=cast("BinaryIO", file),
            format=found,
            whole=most_bytes is None and size <= keep_bytes,
            size_bytes=size,
            checksum=f"sha256:{digest.hexdigest()}" if most_bytes is None else None,
        )


def _all(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _pieces(source: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    read = getattr(source, "read", None)
    if read is None:
        yield from source
        return
    while piece := read(_CHUNK_BYTES):
        yield piece
