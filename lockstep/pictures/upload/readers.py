"""The processes that read pictures for an upload: a hostile file can end one, and nothing else."""

import os
import queue
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, cast

import msgspec

from lockstep.pictures.upload.reading_child import FileToRead, ReadAnswer, UnreadFile

_MODULE = "lockstep.pictures.upload.reading_child"


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
        limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
    ) -> None:
        """Set them up.

        Args:
            count: how many.
            zone: the IANA name of the zone of a time without an offset.
            gps: whether positions are read.
            limits: how much processor time a file may take.
        """
        self.count = count
        self._zone = zone
        self._gps = gps
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
        child = self._idle.get()
        try:
            try:
                seconds = self._limits.of(file.stat().st_size)
            except OSError as error:
                return UnreadFile(f"cannot be read: {error.strerror}")
            if child is None:
                child = _Child()
                self._children.append(child)
            answer = child.ask(FileToRead(os.fsencode(file), self._zone, self._gps, seconds))
            if answer is not None:
                return answer
            self._children.remove(child)
            ended, child = child.end(), None
            return UnreadFile(_why(ended, seconds))
        finally:
            self._idle.put(child)


class _Child:
    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # a module of this package
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, asked: FileToRead) -> ReadAnswer | None:
        """The answer; None if the process ended instead."""
        # Both are pipes.
        to, back = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            to.write(msgspec.json.encode(asked) + b"\n")
            to.flush()
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


def _why(ended: int, seconds: float) -> str:
    if ended == -signal.SIGPROF:
        return f"reading it takes more than {seconds:,.0f} s of processor time"
    how = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
    return f"damaged or hostile: the process that read it ended with {how}"
