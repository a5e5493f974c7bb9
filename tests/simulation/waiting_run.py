"""Components that wait for ever. A worker process imports this module only for them.

So no other test depends on the elapsed time, and on how busy the machine is.
"""

import time
from multiprocessing import current_process

from lockstep.simulation import watchdog
from lockstep.simulation.components import Components
from tests.simulation.broken_runs import Purge

LONGEST_SECONDS = 1.0
if current_process().name != "MainProcess":
    watchdog.LONGEST_SECONDS = LONGEST_SECONDS


def _wait() -> None:
    time.sleep(3_600)


WAITING = Components(purge=Purge(_wait))
