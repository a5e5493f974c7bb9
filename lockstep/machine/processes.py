"""Identifies a process by ID and start time, because the system reuses process IDs."""

import msgspec
import psutil

# Two readings of one start time may differ a little. No ID is reused this soon.
_SAME_START_SECONDS = 1.0


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process on this machine; `started` is in seconds since 1970."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_SECONDS
            runs = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if runs else None


def identify(pid: int) -> ProcessIdentity:
    """The identity of the process that has this ID now.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    return ProcessIdentity(pid, psutil.Process(pid).create_time())
