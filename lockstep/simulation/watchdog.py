"""Ends a history that would run for ever.

A history takes about two milliseconds of processor time, and one with large batches a few hundred.
Processor time does not depend on how busy the machine is. So a history is ended for what it does,
and not for where it runs. A worker process also limits the elapsed time, because code may wait, and
the processor time of code in C, which no exception interrupts: the kernel ends the process.
"""

import math
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType

# Of processor time: a hundred times more than the slowest history.
LIMIT_SECONDS = 20.0
# The exception may be lost, for example in a `__del__`. So it comes again.
AGAIN_SECONDS = 1.0
# Of elapsed time, in worker processes. The process may have a small share of a core.
LONGEST_SECONDS = 900.0
# How many times the limit of processor time the kernel waits, in worker processes.
KERNEL_LIMITS = 3


class EndlessHistoryError(BaseException):
    """A history takes too long. A `BaseException`, because our own code must not catch it."""


@contextmanager
def watched() -> Iterator[None]:
    """Watch a history. Only a main thread can be interrupted; elsewhere nothing is watched.

    Raises:
        EndlessHistoryError: it used more than `LIMIT_SECONDS` of processor time, or, in a worker
            process, more than `LONGEST_SECONDS`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _end)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS, AGAIN_SECONDS)
    in_worker = parent_process() is not None
    if in_worker:
        signal.signal(signal.SIGALRM, _end)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS, AGAIN_SECONDS)
        _limit_kernel()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
        if in_worker:
            signal.setitimer(signal.ITIMER_REAL, 0.0)


def _end(number: int, _frame: FrameType | None) -> None:
    raise EndlessHistoryError(
        f"more than {LIMIT_SECONDS:g} s of processor time"
        if number == signal.SIGPROF
        else f"more than {LONGEST_SECONDS:g} s"
    )


def _limit_kernel() -> None:
    """Let the kernel end this process if it uses several times the limit from now on."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + KERNEL_LIMITS * LIMIT_SECONDS)
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
