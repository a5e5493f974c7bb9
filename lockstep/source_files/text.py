"""Read a file as people have it: compressed or not, in any Unicode encoding; say what is no text.

Every function here reads forward only, in bounded memory, so a pipe is read like a file.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Buffer, Callable
from typing import BinaryIO, cast

from lockstep.console.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Enough for every signature, and to tell text from other bytes.
_HEAD_BYTES = 512
_CHUNK_BYTES = 64 * 1024


class SourceError(UserError):
    """A source cannot be read; the message says where and why."""


def not_opened(name: str, error: OSError) -> str:
    """Why a file cannot be opened, and what to do."""
    if isinstance(error, IsADirectoryError):
        return f"{name} is a folder: give the files in it, one after the other"
    return f"{name}: {error.strerror}"


def utf8(file: BinaryIO, name: str) -> io.BufferedReader:
    """The text of a file in UTF-8 without byte order mark, decompressed.

    Args:
        file: the file. Closing what this function returns does not close it.
        name: its name, for messages.

    Raises:
        SourceError: the file is not text, or is compressed in a way that is not read here.
            While it is read: it is damaged or incomplete.
    """
    head, whole = _with_head(file)
    for signature, unpack in _PACKED:
        if signature.match(head):
            unpacked = _Translated(cast("BinaryIO", unpack(whole)), name)
            head, whole = _with_head(cast("BinaryIO", unpacked))
            break
    encoding, mark = _encoding(head)
    if encoding != "utf-8":
        recoded = _Recoded(whole, encoding, name)
        head, whole = _with_head(cast("BinaryIO", recoded))
        mark = codecs.BOM_UTF8
    if head.startswith(mark):
        whole.read(len(mark))
        head = head.removeprefix(mark)
    if (found := _other_kind(head)) is not None:
        raise SourceError(f"{name} is {found}")
    return whole


def joined(head: bytes, rest: BinaryIO) -> io.BufferedReader:
    """A file with this beginning and this rest."""
    return io.BufferedReader(_Joined(head, rest), _CHUNK_BYTES)


def _with_head(file: BinaryIO) -> tuple[bytes, io.BufferedReader]:
    """The beginning of a file, and the whole file. Of a live source, it needs only one line."""
    head = b""
    while len(head) < _HEAD_BYTES and b"\n" not in head and (more := _some(file)):
        head += more
    return head, joined(head, file)


def _some(file: BinaryIO) -> bytes:
    """Some bytes of a file, without waiting for more; none at its end."""
    read = getattr(file, "read1", file.read)
    some: bytes = read(_CHUNK_BYTES)
    return some


class _Forward(io.RawIOBase):
    """A file that a subclass makes, some bytes at a time."""

    def __init__(self) -> None:
        self._made = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._made = self._made or self._more()
        room = memoryview(buffer)
        part = self._made[: len(room)]
        room[: len(part)] = part
        self._made = self._made[len(part) :]
        return len(part)

    def _more(self) -> bytes:
        """The next bytes; none at the end."""
        raise NotImplementedError


class _Joined(_Forward):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._made = head
        self._rest = rest

    def _more(self) -> bytes:
        return _some(self._rest)


class _Translated(_Forward):
    """A decompressed file: each error of its library becomes a SourceError."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__()
        self._file = file
        self._name = name

    def _more(self) -> bytes:
        try:
            return _some(self._file)
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
            raise SourceError(f"{self._name}: damaged or incomplete: {error}") from error


class _Recoded(_Forward):
    """A file in UTF-16 or UTF-32, as UTF-8.

    A lone surrogate becomes bytes that are not UTF-8, so that the validator rejects its line only.
    """

    def __init__(self, file: BinaryIO, encoding: str, name: str) -> None:
        super().__init__()
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._name = name

    def _more(self) -> bytes:
        while some := _some(self._file):
            if text := self._decode(some):
                return text.encode(errors="surrogatepass")
        return self._decode(b"").encode(errors="surrogatepass")

    def _decode(self, some: bytes) -> str:
        try:
            return self._decoder.decode(some, final=not some)
        except UnicodeDecodeError as error:
            message = f"{self._name}: damaged or incomplete {error.encoding}: {error.reason}"
            raise SourceError(message) from None


# RFC 1952 (gzip), RFC 8878 (zstd: a frame, or a frame to skip), the manuals of bzip2 and xz.
_PACKED: tuple[tuple[re.Pattern[bytes], Callable[[io.BufferedReader], object]], ...] = (
    (re.compile(rb"\x1f\x8b"), lambda file: gzip.GzipFile(fileobj=file)),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), zstd.ZstdFile),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2File),
    (re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
)

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
# Without a mark: the first two characters are ASCII, as JSON's are (RFC 4627, section 3).
_UNMARKED = (
    (re.compile(rb"[^\0]\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "utf-16-be"),
)


def _encoding(head: bytes) -> tuple[str, bytes]:
    """The encoding of a text, and its byte order mark if it has one."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, mark
    for pattern, encoding in _UNMARKED:
        if pattern.match(head):
            return encoding, b""
    return "utf-8", b""


_UNPACK = "extract it, and give a file that is in it"
_PICTURE = "an event has the metadata of a picture, not its pixels: give a JSON or CSV file"
_EXPORT = "export its data as JSON lines or CSV, and give that file"
_OFFICE = "an Excel file, or another one of an office program: save the table as CSV (UTF-8)"
_KINDS = (
    (rb"PK\x03\x04.{26}(\[Content_Types\]|xl/|docProps/|_rels/|mimetype)", _OFFICE),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (rb"PK(\x03\x04|\x05\x06)", f"a zip archive: {_UNPACK}"),
    (rb"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (rb"Rar!\x1a\x07", f"a rar archive: {_UNPACK}"),
    (rb".{257}ustar", f"a tar archive: {_UNPACK}"),
    (rb"\x04\x22\x4d\x18|\x1f\x9d", "compressed in a way that is not read: use gzip or zstd"),
    (rb"\x89PNG\r\n", f"a picture (PNG): {_PICTURE}"),
    (rb"\xff\xd8\xff", f"a picture (JPEG): {_PICTURE}"),
    (rb"GIF8[79]a", f"a picture (GIF): {_PICTURE}"),
    (rb"II\*\0|MM\0\*", f"a picture (TIFF): {_PICTURE}"),
    (rb"RIFF.{4}WEBP", f"a picture (WebP): {_PICTURE}"),
    (rb"\0\0.{2}ftyp", f"a picture or a film (HEIF or MP4): {_PICTURE}"),
    (rb"%PDF-", "a PDF document: give a JSON or CSV file"),
    (rb"SQLite format 3\0", f"a SQLite database: {_EXPORT}"),
    (rb"PAR1", f"a Parquet file: {_EXPORT}"),
    (rb"Obj\x01", f"an Avro file: {_EXPORT}"),
    (rb"\s*<", f"XML or HTML: {_EXPORT}"),
)
_SIGNATURES = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _KINDS)
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
_FEW_CONTROLS = 4
_MOST_CONTROLS = 0.05  # of the beginning of a longer text; random bytes have twice as many


def _other_kind(head: bytes) -> str | None:
    """What a file is that is no text, and what to do; None if it is text."""
    if any(signature.match(head) for signature, _ in _PACKED):
        return "compressed twice: decompress it once"
    for pattern, kind in _SIGNATURES:
        if pattern.match(head):
            return kind
    begins = head[:_HEAD_BYTES]
    controls = len(_NO_TEXT.findall(begins))
    if b"\0" in begins or controls > _FEW_CONTROLS + len(begins) * _MOST_CONTROLS:
        return "not text: give a JSON or CSV file, in UTF-8 or UTF-16"
    return None
