"""Components that end a history, or its process, instead of breaking an invariant."""

import itertools
import os
import signal
from collections.abc import Callable
from multiprocessing import current_process
from typing import Never

import msgspec
from opensearchpy import OpenSearch

from lockstep.simulation import watchdog
from lockstep.simulation.components import REAL, Components

# A worker process imports this module: no test waits for the real limit of processor time.
SHORT_SECONDS = 0.25
if current_process().name != "MainProcess":
    watchdog.LIMIT_SECONDS = SHORT_SECONDS


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


def _die() -> None:
    os._exit(7)


def _be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Purge(msgspec.Struct, frozen=True):
    """A purge of the index happens in few histories only, and outside of invocations."""

    does: Callable[[], None]

    def __call__(self, client: OpenSearch, image_id: str, version: int) -> None:
        self.does()
        REAL.purge(client, image_id, version)


UNPICKLABLE = Components(purge=Purge(_unpicklable))
STRANGE = Components(purge=Purge(_strange))
EXITING = Components(purge=Purge(_exit))
LOOPING = Components(purge=Purge(_loop))
LOOPING_IN_C = Components(purge=Purge(_loop_in_c))
DYING = Components(purge=Purge(_die))
KILLED = Components(purge=Purge(_be_killed))
