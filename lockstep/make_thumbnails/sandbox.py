"""Drawing in a process of its own, so that a hostile picture harms nothing else.

The process has limits of memory and processor time, and no credentials: nothing of this process's
environment. It gets the picture as a file, and its answer is read as data.
"""

import os
import signal
import subprocess
import sys
import tempfile
from typing import IO, Final

import msgspec

from lockstep.make_thumbnails.outcome import MEMORY_BYTES, SECONDS, Drawn, NeedsMemory, NotDrawn
from lockstep.pictures.within_limits.environment import bare_environment

# A process that waits uses no processor time. No decoder waits, so this is for a broken machine.
_LONGEST_SECONDS: Final = 120
_MODULE: Final = "lockstep.make_thumbnails.child"
_TIME: Final = f"drawing it takes more than {SECONDS} s"
_MEMORY: Final = f"drawing it takes more than {MEMORY_BYTES >> 20:,} MiB of memory"
_CRASHED: Final = "the library that decodes it fails"
_outcomes: Final = msgspec.msgpack.Decoder(Drawn | NotDrawn | NeedsMemory)


class DrawingStoppedError(OSError):
    """The process that draws was stopped from outside: another attempt may succeed."""


def draw_in_sandbox(picture: IO[bytes], *, module: str = _MODULE) -> Drawn | NotDrawn:
    """Draw the thumbnails of a picture.

    Args:
        picture: a file of the file system, with the whole content.
        module: what to run in the process.

    Raises:
        DrawingStoppedError: the process was stopped, or did not end.
    """
    with tempfile.TemporaryFile() as answer:
        picture.flush()
        os.lseek(picture.fileno(), 0, os.SEEK_SET)
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", module],
            stdin=picture.fileno(),
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env=bare_environment(),
        )
        try:
            status = process.wait(_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise DrawingStoppedError(f"no answer in {_LONGEST_SECONDS} s") from None
        answer.seek(0)
        return _outcome(status, answer.read())


def _outcome(status: int, answer: bytes) -> Drawn | NotDrawn:
    match -status:
        case signal.SIGXCPU:
            return NotDrawn(_TIME)
        case signal.SIGKILL | signal.SIGTERM | signal.SIGINT | signal.SIGHUP:
            raise DrawingStoppedError(f"stopped by {signal.Signals(-status).name}")
    try:
        found = _outcomes.decode(answer)
    except msgspec.MsgspecError:
        return NotDrawn(_CRASHED)
    return NotDrawn(_MEMORY) if isinstance(found, NeedsMemory) else found
