"""The processes that read pictures: a hostile one can end its process, and nothing else."""

import os
import queue
import select
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self, cast

import msgspec

from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import Picture
from lockstep.pictures.within_limits.environment import bare_environment
from lockstep.pictures.within_limits.reading_child import (
    LENGTH_BYTES,
    FileToRead,
    ReadAnswer,
    ReadPicture,
    StreamToRead,
    UnreadFile,
)

_MODULE = "lockstep.pictures.within_limits.reading_child"
# How somebody else ends a process, whatever it reads.
_STOPS: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class ReadingStoppedError(OSError):
    """The process that reads was stopped from outside: another attempt may succeed."""


class ReadingLimits(msgspec.Struct, frozen=True):
    """How much processor time a file may take: `seconds`, and a second for `bytes_a_second`.

    Reading a GB takes about three seconds.
    """

    seconds: float = 10.0
    bytes_a_second: float = 50_000_000.0

    def of(self, size_bytes: int) -> float:
        """The seconds for a file of this size."""
        return self.seconds + size_bytes / self.bytes_a_second


class Readers:
    """As many processes as may read at the same time; each starts when it is first needed.

    Threads share it. Use it in a `with` block, which ends the processes.
    """

    def __init__(
        self,
        count: int,
        *,
        zone: str,
        gps: bool,
        most_bytes: int | None = None,
        limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
    ) -> None:
        """Set them up.

        Args:
            count: how many.
            zone: the IANA name of the zone of a time without an offset.
            gps: whether positions are read.
            most_bytes: a longer stream is not read to its end; None for no limit.
            limits: how much processor time a file may take.
        """
        self.count = count
        self._zone = zone
        self._gps = gps
        self._most_bytes = most_bytes
        self._limits = limits
        self._children: list[_Child] = []
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, also those that read."""
        for child in [*self._children]:  # a thread that reads removes its own
            child.kill()

    def read(self, file: Path) -> ReadAnswer:
        """Read a file. It waits until a process is free."""
        try:
            seconds = self._limits.of(file.stat().st_size)
        except OSError as error:
            return UnreadFile(f"cannot be read: {error.strerror}")
        asked = FileToRead(os.fsencode(file), self._zone, self._gps, seconds)
        answer = self._ask(asked)
        return answer if not isinstance(answer, int) else UnreadFile(_why(answer, seconds))

    def picture(self, pieces: Iterable[bytes], size_bytes: int) -> Picture:
        """Read a picture from its content, in pieces. It waits until a process is free.

        Args:
            pieces: the content. It is not read to its end if it is no picture, or too long.
            size_bytes: its length.

        Raises:
            NotAPictureError: it cannot be an image, or it takes too much; one line says why.
            ReadingStoppedError: the process was stopped.
            What `pieces` raises.
        """
        seconds = self._limits.of(size_bytes)
        answer = self._ask(
            StreamToRead(self._zone, self._gps, seconds, self._most_bytes), self._enough(pieces)
        )
        if isinstance(answer, ReadPicture):
            return answer.picture
        if not isinstance(answer, int):
            raise NotAPictureError(answer.why)
        if -answer in _STOPS:
            raise ReadingStoppedError(f"stopped by {signal.Signals(-answer).name}")
        raise NotAPictureError(_why(answer, seconds))

    def _enough(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """The content up to the piece that is too much."""
        size = 0
        for piece in pieces:
            yield piece
            size += len(piece)
            if self._most_bytes is not None and size > self._most_bytes:
                return

    def _ask(
        self, asked: FileToRead | StreamToRead, pieces: Iterable[bytes] = ()
    ) -> ReadAnswer | int:
        """The answer of a process; or how the process ended, as an exit code."""
        child = self._idle.get()
        try:
            if child is None:
                child = _Child()
                self._children.append(child)
            try:
                answer = child.ask(asked, pieces)
            except BaseException:
                self._end(child)
                child = None
                raise
            if answer is None:
                self._children.remove(child)
                ended, child = child.end(), None
                return ended
            if isinstance(answer, UnreadFile) and isinstance(asked, StreamToRead):
                self._end(child)  # it may have lost a part of the stream
                child = None
            return answer
        finally:
            self._idle.put(child)

    def _end(self, child: "_Child") -> None:
        self._children.remove(child)
        child.kill()


class _Child:
    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # a module of this package
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare_environment(),
        )

    def ask(self, asked: FileToRead | StreamToRead, pieces: Iterable[bytes]) -> ReadAnswer | None:
        """The answer; None if the process ended instead."""
        # Both are pipes.
        to, back = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            to.write(msgspec.json.encode(asked) + b"\n")
            to.flush()
            if isinstance(asked, StreamToRead):
                _send(pieces, to, back)
        except BrokenPipeError:
            return None
        line = back.readline()
        return msgspec.json.decode(line, type=ReadAnswer) if line.endswith(b"\n") else None

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self.end()

    def end(self) -> int:
        """Wait for the process, which has no more to do, and say how it ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                cast("IO[bytes]", pipe).close()
        return self._process.wait()


def _send(pieces: Iterable[bytes], to: IO[bytes], back: IO[bytes]) -> None:
    """Send the content; of what is refused already, no more.

    A process that answers early only refuses. So its answer fits into the pipe, and it reads on.
    """
    for piece in filter(None, pieces):
        if select.select([back], [], [], 0)[0]:
            break
        to.write(len(piece).to_bytes(LENGTH_BYTES))
        to.write(piece)
    to.write(bytes(LENGTH_BYTES))
    to.flush()


def _why(ended: int, seconds: float) -> str:
    if ended == -signal.SIGPROF:
        return f"reading it takes more than {seconds:,.0f} s of processor time"
    how = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
    return f"damaged or hostile: the process that read it ended with {how}"
