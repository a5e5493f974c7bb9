"""Worker processes that run histories in parallel."""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Protocol

# Tasks queued for each process, so that none waits for work.
AHEAD = 4


class InOrder(Protocol):
    """Runs every task; yields the results in the order of the tasks."""

    def __call__[Task, Result](
        self, do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result]:
        """Like `map`."""
        ...


@contextmanager
def workers(processes: int) -> Iterator[InOrder]:
    """Start this many processes. With one, run everything in this process.

    At the end of the `with` block, also after an exception, queued tasks are dropped, running tasks
    finish, and all processes end.
    """
    if processes == 1:
        yield map
        return
    # No fork, because another thread shows the progress. The fork server imports the modules once.
    context = get_context("forkserver")
    context.set_forkserver_preload(["lockstep.simulation.run"])
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)

    def in_order[Task, Result](
        do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        for task in tasks:
            waiting.append(pool.submit(do, task))
            if len(waiting) > AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield in_order
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # the garbage collector need not examine imported modules


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
