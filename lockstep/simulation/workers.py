"""The workers: processes that run histories side by side, one for each core."""

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

# Tasks handed out before their results are asked for, for each process: none ever waits for work.
AHEAD = 4


class InOrder(Protocol):
    """Does every task; the results come in the tasks' order."""

    def __call__[Task, Result](
        self, do: Callable[[Task], Result], tasks: Iterable[Task], /
    ) -> Iterator[Result]:
        """As `map` does."""
        ...


@contextmanager
def workers(processes: int) -> Iterator[InOrder]:
    """So many processes; with one, everything happens here.

    At the end of the `with`, whatever its reason, tasks that wait are dropped, those under way are
    waited for, and no process is left.
    """
    if processes == 1:
        yield map
        return
    # No fork: progress is drawn by a thread. What all need is imported once, not by each.
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
    """Ctrl-C is for the parent, who ends its workers; and none outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported stays: no use in looking at it again and again


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
