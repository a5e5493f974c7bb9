"""Worker processes that run histories in parallel."""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Protocol

import msgspec

# Tasks queued for each process, so that none waits for work.
AHEAD = 4


class Died[Task](msgspec.Struct, frozen=True):
    """No result: the process that ran one of these tasks ended; `why` says how.

    `results_known`: the tasks ran again, none ended its process, and their results were given.
    """

    tasks: tuple[Task, ...]
    why: str
    results_known: bool = False


class Workers(Protocol):
    """Runs tasks."""

    def in_order[Task, Result](
        self, do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result | Died[Task]]:
        """Run every task; yield the results in the order of the tasks.

        A task whose process ended runs again alone. If that works for all tasks that may have been
        the cause, nobody knows the cause, and one more `Died` names them all.
        """
        ...

    def alone[Task, Result](
        self, do: Callable[[Task], Result], task: Task, /
    ) -> Result | Died[Task]:
        """Run one task in a process of its own."""
        ...


@contextmanager
def workers(processes: int) -> Iterator[Workers]:
    """Start this many processes. With none, run everything in this process.

    At the end of the `with` block, also after an exception, queued tasks are dropped, running tasks
    finish, and all processes end.
    """
    if processes == 0:
        yield _ThisProcess()
        return
    pool = _Pool(processes)
    try:
        yield pool
    finally:
        pool.shutdown()


class _ThisProcess:
    """Runs tasks in this process, and ends with it."""

    @staticmethod
    def in_order[Task, Result](
        do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result | Died[Task]]:
        return map(do, tasks)

    @staticmethod
    def alone[Task, Result](do: Callable[[Task], Result], task: Task, /) -> Result | Died[Task]:
        return do(task)


class _Pool:
    """Worker processes; new ones if one of them ended."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        # No fork, because another thread shows the progress. The fork server imports the modules
        # once.
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["lockstep.simulation.run"])
        self._start()

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(
            self._processes, mp_context=self._context, initializer=_begin
        )

    def shutdown(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def in_order[Task, Result](
        self, do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result | Died[Task]]:
        waiting: deque[tuple[Task, Future[Result]]] = deque()
        for task in tasks:
            waiting.append((task, self._submit(do, task)))
            if len(waiting) > AHEAD * self._processes:
                yield from self._next(do, waiting)
        while waiting:
            yield from self._next(do, waiting)

    def _submit[Task, Result](self, do: Callable[[Task], Result], task: Task) -> Future[Result]:
        try:
            return self._pool.submit(do, task)
        except BrokenProcessPool:
            self.shutdown()
            self._start()
            return self._pool.submit(do, task)

    def _next[Task, Result](
        self, do: Callable[[Task], Result], waiting: deque[tuple[Task, Future[Result]]]
    ) -> Iterator[Result | Died[Task]]:
        """The result of the first task; after the end of a process, of all that wait."""
        try:
            result = waiting[0][1].result()
        except BrokenProcessPool:
            yield from self._again(do, waiting)
        else:
            waiting.popleft()
            yield result

    def _again[Task, Result](
        self, do: Callable[[Task], Result], waiting: deque[tuple[Task, Future[Result]]]
    ) -> Iterator[Result | Died[Task]]:
        suspects = []
        found = False
        while waiting:
            task, future = waiting.popleft()
            if future.done() and future.exception() is None:
                yield future.result()
                continue
            suspects.append(task)
            result = self.alone(do, task)
            found |= isinstance(result, Died)
            yield result
        if not found:
            yield Died(tuple(suspects), "it ended", results_known=True)

    def alone[Task, Result](
        self, do: Callable[[Task], Result], task: Task, /
    ) -> Result | Died[Task]:
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_send, args=(sender, do, task), daemon=True)
        with receiver:
            process.start()
            sender.close()
            try:
                result: Result = receiver.recv()
            except EOFError:
                process.join()
                return Died((task,), _ending(process.exitcode or 0))
        process.join()
        return result


def _send[Task, Result](
    sender: "Connection[Result, Result]", do: Callable[[Task], Result], task: Task
) -> None:
    _begin()
    sender.send(do(task))


def _ending(exit_code: int) -> str:
    return f"exit code {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"


def _begin() -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Imported modules stay, and a history frees its memory itself: looking for garbage is rarely
    # of use. With the default threshold it takes a twelfth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
