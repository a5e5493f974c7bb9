"""An executor without threads: a history has one order of requests, that of its seed."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class InLine(Executor):
    """Runs each call at once, in the thread of the caller; an exception ends the caller, too."""

    def submit[T](self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See `Executor.submit`."""
        done: Future[T] = Future()
        done.set_result(call(*args, **kwargs))
        return done
