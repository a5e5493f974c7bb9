"""Components that end a history, or its process, instead of breaking an invariant."""

import itertools
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import current_process
from typing import Never

import msgspec
from opensearchpy import OpenSearch

from lockstep.simulation import watchdog
from lockstep.simulation.components import REAL, Components

# A worker process imports this module: no test waits for the real limits.
SHORT_SECONDS = 0.25
if current_process().name != "MainProcess":
    watchdog.LIMIT_SECONDS = SHORT_SECONDS
    watchdog.LONGEST_SECONDS = 4 * SHORT_SECONDS


class UnpicklableError(Exception):
    """It cannot be sent to another process."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


class StrangeError(BaseException):
    """Nothing catches it."""


def _unpicklable() -> Never:
    raise UnpicklableError("two", "arguments")


def _strange() -> Never:
    raise StrangeError("strange")


def _exit() -> Never:
    raise SystemExit(3)


def _loop() -> None:
    while True:
        pass


def _loop_in_c() -> None:
    sum(itertools.count())


def _wait() -> None:
    time.sleep(3_600)


def _die() -> None:
    os._exit(7)


def _be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Purge(msgspec.Struct, frozen=True):
    """A purge of the index happens in few histories only, and outside of invocations."""

    does: Callable[[], None]

    def __call__(self, client: OpenSearch, image_id: str, version: int) -> None:
        self.does()
        REAL.purge(client, image_id, version)


UNPICKLABLE = Components(purge=_Purge(_unpicklable))
STRANGE = Components(purge=_Purge(_strange))
EXITING = Components(purge=_Purge(_exit))
LOOPING = Components(purge=_Purge(_loop))
LOOPING_IN_C = Components(purge=_Purge(_loop_in_c))
WAITING = Components(purge=_Purge(_wait))
DYING = Components(purge=_Purge(_die))
KILLED = Components(purge=_Purge(_be_killed))
