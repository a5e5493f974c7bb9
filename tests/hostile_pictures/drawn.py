"""Draw each hostile file in the sandbox, and print what it ended with.

Run as `python -m tests.hostile_pictures.drawn [NAME...]`. Each line of the output is JSON: the name
of the file, its end, and of the process that drew it the peak of memory in MiB and the processor
time in seconds. With names, only files whose names begin so are drawn.
"""

import io
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from PIL import Image

from lockstep.make_thumbnails.outcome import NotDrawn
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from tests.hostile_pictures import decoding_bombs, measured
from tests.hostile_pictures.case import Case

CASES = (*decoding_bombs.CASES, *measured.CASES)
# As the function downloads it; the rest would not change the end.
_MOST_BYTES = 256 * 1024 * 1024


def _made(case: Case, file: IO[bytes]) -> None:
    """Write the content in a process of its own: its memory must not count."""
    child = os.fork()
    if not child:
        for piece in _pieces(case):
            file.write(piece)
            if file.tell() > _MOST_BYTES:
                break
        file.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"{case.name}: not made")


def _pieces(case: Case) -> Iterator[bytes]:
    content = case.make()
    return iter([content]) if isinstance(content, bytes) else content


def _draw(case: Case) -> None:
    with tempfile.TemporaryFile() as file:
        _made(case, file)
        sys.stdout.flush()
        child = os.fork()
        if not child:
            found = draw_in_sandbox(file)
            if isinstance(found, NotDrawn):
                end = found.reason
            else:
                width, height = Image.open(io.BytesIO(found.by_side[1600])).size
                end = f"drawn: {width} x {height}"
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = round(usage.ru_utime + usage.ru_stime, 1)
            mib = usage.ru_maxrss // 1024
            sys.stdout.write(json.dumps([case.name, end, mib, seconds]) + "\n")
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise RuntimeError(f"{case.name}: status {status}")


if __name__ == "__main__":
    for one in CASES:
        if one.name.startswith(tuple(sys.argv[1:] or [""])):
            _draw(one)
