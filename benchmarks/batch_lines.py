"""The lines `batch` that the consumers of a local stack log, and the commands that run a stack."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec


class HotImage(msgspec.Struct, frozen=True):
    """An image with many records of a batch."""

    image_id: str
    records: int


class BatchLine(msgspec.Struct, frozen=True):
    """A line of the log: of a batch, if the message is `batch`. `applied` counts the writes."""

    message: str = ""
    timestamp: str = ""
    records: int = 0
    applied: int = 0
    age_ms: int | None = None
    duration_ms: int = 0
    hottest: Sequence[HotImage] = ()

    @property
    def at(self) -> float:
        """When the batch ended, in seconds since 1970."""
        return dt.datetime.fromisoformat(self.timestamp).timestamp()


def batch_lines(state: Path, consumer: str, *, since: float) -> Iterator[BatchLine]:
    """The batches that a consumer ended.

    Args:
        state: the folder of the stack.
        consumer: the name of its function.
        since: leave out batches that ended earlier, in seconds since 1970.
    """
    log = state / "logs" / f"{consumer}.log"
    # Without an invocation there is no log, and the last line may be being written.
    for line in log.read_bytes().splitlines(keepends=True) if log.exists() else ():
        if b'"batch"' in line and line.endswith(b"\n"):
            one = msgspec.json.decode(line, type=BatchLine)
            if one.message == "batch" and one.at >= since:
                yield one


def lockstep(state: Path, *words: str) -> None:
    """Run a command on a local stack.

    Raises:
        CalledProcessError: it fails.
    """
    command = [sys.executable, "-m", "lockstep", *words, "--state", str(state)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
