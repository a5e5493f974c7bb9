"""The first read of an audit in several processes of this machine."""

import datetime as dt
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path

import msgspec

from doors.clock import SYSTEM_CLOCK
from lockstep.audit.pieces.pieces import parts_for
from lockstep.audit.segmented.segmented_read import SegmentedRead
from lockstep.audit.segmented.tasks import Division, Task, Work
from lockstep.console.errors import UserError
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack
from lockstep.stack.use_cases.stores import pace, stores_of, table_reader
from lockstep.stores.folder_objects import FolderObjects
from lockstep.stores.readers import StoreUnreadableError

# A process that ends before its task is done ends the work of all: so often it begins again.
ATTEMPTS = 3
# Seconds between two looks whether the audit must end.
_LOOK_SECONDS = 0.2
# This file in the folder tells the processes to end.
_END = "end"


class _Setting(msgspec.Struct, frozen=True):
    """What a process needs for its tasks: the stack, the readers of its stores, and the folder."""

    stack: Stack
    division: Division
    folder: str
    values: bool
    since: dt.datetime | None
    rate: float | None


class _EndedError(Exception):
    """The audit has ended before this task."""


@contextmanager
def read_in_processes(
    clients: Clients,
    processes: int,
    segments: int,
    *,
    values: bool,
    since: dt.datetime | None,
    rate: float | None,
) -> Iterator[SegmentedRead]:
    """The first read of an audit; its processes and its files exist in the `with` block only.

    Args:
        clients: the stack's. Each process makes its own.
        processes: the number of processes.
        segments: the number of segments of each store.
        values: see `AuditOptions`.
        since: see `AuditOptions`.
        rate: see `AuditOptions`. Each process gets an equal share.
    """
    division = Division(segments, parts_for(table_reader(clients).count()))
    with tempfile.TemporaryDirectory(prefix="lockstep-audit-") as folder:
        share = None if rate is None else rate / processes
        setting = _Setting(clients.stack, division, folder, values, since, share)
        pool = _TaskPool(processes, msgspec.msgpack.encode(setting))
        try:
            yield SegmentedRead(division, _work(setting, clients), pool)
        finally:
            (Path(folder) / _END).touch()
            pool.close()


class _TaskPool:
    """See `DoTasks`."""

    def __init__(self, processes: int, setting: bytes) -> None:
        self._processes = processes
        self._setting = setting
        self._pool = self._started()

    def __call__(
        self, tasks: Sequence[Task], check: Callable[[], None], /
    ) -> Iterator[tuple[Task, int]]:
        """See `DoTasks`. What was done stays done, so only the rest is done again."""
        left = set(tasks)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for done in self._once([one for one in tasks if one in left], check):
                    left.discard(done[0])
                    yield done
            except BrokenProcessPool:
                self.close()
                if attempt == ATTEMPTS:
                    message = (
                        f"a process of the audit ended {ATTEMPTS} times: is there enough memory? "
                        "Use fewer --processes or more --segments"
                    )
                    raise StoreUnreadableError(message) from None
                self._pool = self._started()
            else:
                return

    def _once(self, tasks: Sequence[Task], check: Callable[[], None]) -> Iterator[tuple[Task, int]]:
        waiting = {
            self._pool.submit(_do, self._setting, msgspec.msgpack.encode(task)): task
            for task in tasks
        }
        while waiting:
            done, _ = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in done:
                result = future.result()
                if isinstance(result, str):
                    raise StoreUnreadableError(result)
                yield waiting.pop(future), result
            check()

    def close(self) -> None:
        """Wait for the processes, which have ended or are told to."""
        self._pool.shutdown(cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes, mp_context=get_context("spawn"), initializer=_begin
        )


def _begin() -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(setting: bytes, task: bytes) -> int | str:
    """Do a task in a process of the pool; the message of an error that the user can repair."""
    try:
        return _work_of(setting).do(msgspec.msgpack.decode(task, type=Task))
    except UserError as error:
        return str(error)


@cache
def _work_of(setting: bytes) -> Work:
    """The work of this process, which keeps its connections from task to task."""
    decoded = msgspec.msgpack.decode(setting, type=_Setting)
    return _work(decoded, Clients(decoded.stack))


def _work(setting: _Setting, clients: Clients) -> Work:
    folder = Path(setting.folder)

    def check() -> None:
        if (folder / _END).exists():
            raise _EndedError

    table, index = stores_of(
        clients, values=setting.values, since=setting.since, pace=pace(setting.rate)
    )
    return Work(
        FolderObjects(folder),
        setting.division,
        table=table,
        index=index,
        now=SYSTEM_CLOCK.now,
        check=check,
    )
