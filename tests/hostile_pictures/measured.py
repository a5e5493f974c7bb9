"""Read each hostile file in a process of its own, with limits, and print what it ended with.

Run as `python -m tests.hostile_pictures.measured`. Each line of the output is JSON: the name of the
file, its end, the peak of memory in MiB, and the processor time in seconds.
"""

import json
import os
import resource
import sys
from datetime import UTC

from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import Picture, PictureSettings, read_picture
from tests.hostile_pictures import (
    container_files,
    jpeg_files,
    other_files,
    png_files,
    svg_files,
)
from tests.hostile_pictures.case import Case

CASES = (
    *other_files.CASES,
    *jpeg_files.CASES,
    *png_files.CASES,
    *container_files.CASES,
    *svg_files.CASES,
)
SECONDS = 10
ADDRESS_SPACE = 1_200 * 1024 * 1024


def end_of(case: Case) -> str:
    """What reading it ends with, in one line. Any other exception ends this process."""
    content = case.make()
    pieces = iter([content]) if isinstance(content, bytes) else content
    _limit()
    try:
        picture = read_picture(pieces, PictureSettings(zone=UTC, gps=True))
    except NotAPictureError as refused:
        return str(refused)
    return said_of(picture)


def said_of(picture: Picture) -> str:
    """What was read, in one line."""
    said = [text for text in (picture.title, picture.caption, picture.author) if text]
    said += [f"{len(picture.keywords):,} keywords"] * bool(picture.keywords)
    said += [f"{note.field}: {note.why}" for note in picture.notes]
    size = f"{picture.width} x {picture.height}"
    return "; ".join([f"{picture.format.content_type} {size}", *said])


def _limit() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def _measure(case: Case) -> None:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _say(name=case.name, end=end_of(case))
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    seconds = round(usage.ru_utime + usage.ru_stime, 2)
    _say(name=case.name, status=status, mib=usage.ru_maxrss // 1024, seconds=seconds)


def _say(**what: str | float) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for one in CASES:
        if one.name.startswith(tuple(sys.argv[1:] or [""])):
            _measure(one)
