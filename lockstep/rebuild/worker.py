"""The worker: who is at a rebuild, so that another can tell whether it still is."""

import os
import socket
from typing import Literal

import msgspec
import psutil

Fate = Literal["at_work", "gone", "unknown"]


class Worker(msgspec.Struct, frozen=True):
    """A process; its start, in seconds since 1970, tells it from a later one of the same id."""

    host: str
    pid: int
    started_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_worker() -> Worker:
    """This process."""
    pid = os.getpid()
    return Worker(socket.gethostname(), pid, psutil.Process(pid).create_time())


def fate(worker: Worker) -> Fate:
    """What has become of a worker; of one on another machine it is not known."""
    if worker.host != socket.gethostname():
        return "unknown"
    try:
        started_at = psutil.Process(worker.pid).create_time()
    except psutil.NoSuchProcess:
        return "gone"
    return "at_work" if abs(started_at - worker.started_at) < _SAME_START_SECONDS else "gone"


# The kernel's clock ticks, and two readings of it may differ a little.
_SAME_START_SECONDS = 1.0
