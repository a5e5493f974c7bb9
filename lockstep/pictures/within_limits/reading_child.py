"""A process that reads pictures within limits. It is no loss if one ends it.

`python -m lockstep.pictures.within_limits.reading_child` reads a `FileToRead` or a `StreamToRead`
from each line of its input, and answers in a line. It ends at the end of its input, so it never
outlives who asks. It may use 1,200 MiB of memory, and for each picture as much processor time as
asked: the signal that comes then ends it.

The content of a stream follows its line, in pieces: the length of each in 4 bytes, then the bytes.
A length of 0 is the end. An answer may come before the end; the rest is then read and dropped.
"""

import resource
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from lockstep.pictures.bucket.transfer import PartDigest, Parts
from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import Picture, PictureSettings, read_picture
from lockstep.pictures.times import zone_named

MEMORY_BYTES: Final = 1_200 * 1024 * 1024
LENGTH_BYTES: Final = 4
_CHUNK_BYTES = 1024 * 1024


class FileToRead(msgspec.Struct, frozen=True, tag=True):
    """A file, and how it is read.

    Attributes:
        file: its path, as the system has it.
        zone: the IANA name of the zone of a time without an offset.
        gps: whether the position is read.
        seconds: how much processor time that may take.
    """

    file: bytes
    zone: str
    gps: bool
    seconds: float


class StreamToRead(msgspec.Struct, frozen=True, tag=True):
    """A picture whose content follows.

    Attributes:
        zone, gps, seconds: see `FileToRead`.
        most_bytes: a longer one is not read to its end; None for no limit.
    """

    zone: str
    gps: bool
    seconds: float
    most_bytes: int | None


class ReadPicture(msgspec.Struct, frozen=True, tag=True):
    """What is a picture; of a file, also the digests of its parts."""

    picture: Picture
    size_bytes: int = 0
    part_bytes: int = 0
    parts: tuple[PartDigest, ...] = ()


class NoPicture(msgspec.Struct, frozen=True, tag=True):
    """A file that is no picture; why, in one line."""

    why: str


class UnreadFile(msgspec.Struct, frozen=True, tag=True):
    """A file that the system does not let us read, or that needs too much; why, in one line."""

    why: str


type ReadAnswer = ReadPicture | NoPicture | UnreadFile
_asked: Final = msgspec.json.Decoder(FileToRead | StreamToRead)


def _read(asked: FileToRead | StreamToRead, stream: Iterable[bytes]) -> ReadAnswer:
    try:
        if isinstance(asked, FileToRead):
            return _read_file(asked)
        settings = PictureSettings(
            zone=zone_named(asked.zone), gps=asked.gps, most_bytes=asked.most_bytes
        )
        return ReadPicture(read_picture(stream, settings))
    except NotAPictureError as refused:
        return NoPicture(str(refused))
    except OSError as error:
        return UnreadFile(f"cannot be read: {error.strerror}")
    except MemoryError:
        return UnreadFile(f"reading it needs more than {MEMORY_BYTES >> 20:,} MiB of memory")


def _read_file(asked: FileToRead) -> ReadPicture:
    settings = PictureSettings(zone=zone_named(asked.zone), gps=asked.gps)
    parts = Parts()
    with Path(asked.file.decode(sys.getfilesystemencoding(), "surrogateescape")).open("rb") as file:
        pieces = parts.read(iter(lambda: file.read(_CHUNK_BYTES), b""))
        picture = read_picture(pieces, settings)
    return ReadPicture(picture, parts.size_bytes, parts.part_bytes, tuple(parts.digests))


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    """The pieces that follow, up to the end of the content. No reader can close it.

    Raises:
        EOFError: who asked has ended.
    """
    return iter(lambda: _exactly(source, int.from_bytes(_exactly(source, LENGTH_BYTES))), b"")


def _exactly(source: IO[bytes], length: int) -> bytes:
    found = source.read(length)
    if len(found) < length:
        raise EOFError
    return found


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _main() -> None:
    _limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends it
    source = sys.stdin.buffer
    while line := source.readline():
        asked = _asked.decode(line)
        stream = _pieces(source) if isinstance(asked, StreamToRead) else iter(())
        signal.setitimer(signal.ITIMER_PROF, asked.seconds)
        with suppress(EOFError):
            answer = _read(asked, stream)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()
            for _ in stream:
                pass


if __name__ == "__main__":
    _main()
