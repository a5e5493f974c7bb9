"""Identifies the process that runs a rebuild, so that others can check whether it still runs."""

import os
import socket
from typing import Literal

import msgspec

from lockstep.machine.processes import ProcessIdentity, identify

WorkerState = Literal["at_work", "gone", "unknown"]


class RebuildWorker(msgspec.Struct, frozen=True):
    """A process on a machine; `started_at` is in seconds since 1970."""

    host: str
    pid: int
    started_at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_worker() -> RebuildWorker:
    """This process."""
    own = identify(os.getpid())
    return RebuildWorker(socket.gethostname(), own.pid, own.started)


def state_of(worker: RebuildWorker) -> WorkerState:
    """Whether a worker still runs; on another machine this is unknown."""
    if worker.host != socket.gethostname():
        return "unknown"
    process = ProcessIdentity(worker.pid, worker.started_at).process()
    return "gone" if process is None else "at_work"
