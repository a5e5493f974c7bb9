"""A process that reads pictures for an upload, within limits. It is no loss if one ends it.

`python -m lockstep.pictures.upload.reading_child` reads a `FileToRead` from each line of its input,
and answers in a line. It ends at the end of its input, so it never outlives who asks. It may use
1,200 MiB of memory, and for each file as much processor time as asked: the signal that comes then
ends it.
"""

import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lockstep.pictures.bucket.transfer import PartDigest, Parts
from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import Picture, PictureSettings, read_picture
from lockstep.pictures.times import zone_named

MEMORY_BYTES: Final = 1_200 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


class FileToRead(msgspec.Struct, frozen=True):
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


class ReadPicture(msgspec.Struct, frozen=True, tag=True):
    """A file that is a picture, and the digests of its parts."""

    picture: Picture
    size_bytes: int
    part_bytes: int
    parts: tuple[PartDigest, ...]


class NoPicture(msgspec.Struct, frozen=True, tag=True):
    """A file that is no picture; why, in one line."""

    why: str


class UnreadFile(msgspec.Struct, frozen=True, tag=True):
    """A file that the system does not let us read, or that needs too much; why, in one line."""

    why: str


type ReadAnswer = ReadPicture | NoPicture | UnreadFile


def _read(asked: FileToRead) -> ReadAnswer:
    settings = PictureSettings(zone=zone_named(asked.zone), gps=asked.gps)
    parts = Parts()
    try:
        with Path(asked.file.decode(sys.getfilesystemencoding(), "surrogateescape")).open(
            "rb"
        ) as file:
            pieces = parts.read(iter(lambda: file.read(_CHUNK_BYTES), b""))
            picture = read_picture(pieces, settings)
    except NotAPictureError as refused:
        return NoPicture(str(refused))
    except OSError as error:
        return UnreadFile(f"cannot be read: {error.strerror}")
    except MemoryError:
        return UnreadFile(f"reading it needs more than {MEMORY_BYTES >> 20:,} MiB of memory")
    return ReadPicture(picture, parts.size_bytes, parts.part_bytes, tuple(parts.digests))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _main() -> None:
    _limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends it
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=FileToRead)
        signal.setitimer(signal.ITIMER_PROF, asked.seconds)
        answer = _read(asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
