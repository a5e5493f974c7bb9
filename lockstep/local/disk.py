"""The free space of the disk that has a state folder.

On a full disk each engine fails in its own way, or does not answer at all, and its log is on the
same disk. So the disk itself is looked at.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from lockstep.local.processes import LocalStackError

type Free = Callable[[Path], int]
"""The number of free bytes of the disk that has this folder."""

MEGABYTE = 1_000_000
# A new stack writes about 3 MB until it is ready; one with data writes little more.
LEAST_TO_START = 16 * MEGABYTE
LEAST_TO_GO_ON = 4 * MEGABYTE


def free_bytes(folder: Path) -> int:
    """See `Free`."""
    return shutil.disk_usage(folder).free


def check_disk(state: Path, least: int, free: Free = free_bytes) -> None:
    """Check that the disk has this much free space.

    Raises:
        LocalStackError: it has not.
    """
    left = free(state)
    if left < least:
        raise LocalStackError(
            f"the disk of {state} is full: {left / MEGABYTE:.1f} MB are free, and a stack needs "
            f"{LEAST_TO_START // MEGABYTE} MB to start; free some space, or use another folder "
            "with --state"
        )
