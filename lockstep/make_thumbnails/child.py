"""The process that draws the thumbnails of one picture: `python -m lockstep.make_thumbnails.child`.

It reads the picture from standard input, which is a file, and writes the outcome to standard
output. It limits itself before it loads the libraries that decode pictures.
"""

import os
import resource
import sys
from typing import Final

import msgspec

from lockstep.make_thumbnails.outcome import (
    DRAWN_BYTES,
    MEMORY_BYTES,
    SECONDS,
    NeedsMemory,
    NotDrawn,
)

_FILES: Final = 64


def limit_this_process() -> None:
    """Limit memory, processor time, and what it writes. It leaves no core file behind."""
    # At the second limit, the system kills the process; at the first one, it says why.
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, DRAWN_BYTES),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def main() -> None:
    """Draw the thumbnails of the picture on standard input."""
    limit_this_process()
    # ruff: noqa: PLC0415 - these load the decoders
    from lockstep.make_thumbnails.drawing import draw
    from lockstep.pictures.content import HEAD_BYTES, format_of
    from lockstep.pictures.kept import KeptContent
    from lockstep.pictures.notes import NotAPictureError

    file = sys.stdin.buffer
    outcome: msgspec.Struct
    try:
        found = format_of(file.read(HEAD_BYTES))
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        outcome = draw(KeptContent(file, found, whole=True, size_bytes=size, checksum=None))
    except NotAPictureError as refused:
        outcome = NotDrawn(str(refused))
    except MemoryError:
        outcome = NeedsMemory()
    sys.stdout.buffer.write(msgspec.msgpack.encode(outcome))


if __name__ == "__main__":
    main()
