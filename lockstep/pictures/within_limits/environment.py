"""What a process that reads hostile files knows of this one: where its code is, and no more."""

import os
import sys


def bare_environment() -> dict[str, str]:
    """The environment of such a process: no credentials, and no settings of this process."""
    folder = os.environ.get("TMPDIR")
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Each arena of malloc reserves address space, which is limited.
        "MALLOC_ARENA_MAX": "2",
    } | ({} if folder is None else {"TMPDIR": folder})
