"""The state folder of a local stack: checks that Lockstep created it, and names its supervisor.

A file lock allows one supervisor at a time; the lock ends with the supervisor's process.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lockstep.local.processes import LocalStackError
from lockstep.machine.files import write_json
from lockstep.machine.processes import ProcessIdentity, identify
from lockstep.stack.stack import command_for

MARKER = "lockstep-state"
MARKER_TEXT = "Lockstep keeps a local stack in this folder; `lockstep up --fresh` empties it.\n"
LOCK = "up.lock"
RUNNING = "up.json"
DETACHED_LOG = "up.log"

CLAIM_SECONDS = 1.0
POLL_SECONDS = 0.1


class AlreadyRunningError(LocalStackError):
    """Another `up` runs on this state folder."""


class Running(msgspec.Struct, frozen=True):
    """The supervisor of a state folder; `ready`: its stack has started."""

    supervisor: ProcessIdentity
    ready: bool


@contextmanager
def claimed(state: Path) -> Iterator[None]:
    """Own the folder exclusively; create it if it does not exist.

    Raises:
        AlreadyRunningError: another `up` owns it.
        LocalStackError: it is not a state folder, or cannot be written.
    """
    create(state)
    with (state / LOCK).open("a") as lock:
        deadline = time.monotonic() + CLAIM_SECONDS
        while not _locked(lock.fileno()):
            # `is_claimed` holds the lock for a moment, too.
            if time.monotonic() > deadline:
                refuse_if_running(state)
            time.sleep(POLL_SECONDS)
        yield


def create(state: Path) -> None:
    """Create the folder, or check that Lockstep created it: `--fresh` empties only such folders.

    Raises:
        LocalStackError: it is not a state folder, or cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        # The marker is the first file that `up` writes. Look for other files first: otherwise the
        # folder of an `up` that starts at the same time could look like a foreign folder.
        if not any(state.iterdir()):
            (state / MARKER).write_text(MARKER_TEXT)
        elif not (state / MARKER).exists():
            raise LocalStackError(
                f"{state} is not empty and not a state folder of Lockstep; "
                "use another folder with --state"
            )
    except OSError as error:
        message = f"cannot write to {state}: {error.strerror}; use another folder with --state"
        raise LocalStackError(message) from None


def empty(state: Path) -> None:
    """Delete the folder's content except the marker, the lock and the log of a detached `up`."""
    for entry in state.iterdir():
        if entry.name in {MARKER, LOCK, DETACHED_LOG}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def announce(state: Path, *, ready: bool) -> None:
    """Record that this process is the folder's supervisor."""
    write_json(state / RUNNING, Running(identify(os.getpid()), ready))


def running(state: Path) -> Running | None:
    """The supervisor that runs on this folder now, None if there is none."""
    while is_claimed(state):
        found = read_json(state / RUNNING, Running)
        # A new supervisor claims the folder before it writes this file.
        if found is not None and found.supervisor.process() is not None:
            return found
        time.sleep(POLL_SECONDS)
    return None


def refuse_if_running(state: Path) -> None:
    """Return if no supervisor runs on this folder.

    Raises:
        AlreadyRunningError: one does.
    """
    if (other := running(state)) is not None:
        raise AlreadyRunningError(
            f"a local stack already runs on {state} (pid {other.supervisor.pid}); "
            f"stop it with {command_for('down', None, state)}"
        )


def is_claimed(state: Path) -> bool:
    """Whether a process owns the folder."""
    try:
        # Opened for reading: this must not create a file in a folder that `up` is creating.
        with (state / LOCK).open("rb") as lock:
            return not _locked(lock.fileno())
    except FileNotFoundError:
        return False


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_json[T](file: Path, kind: type[T]) -> T | None:
    """The content of a JSON file, None if the file is missing or has another shape."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
