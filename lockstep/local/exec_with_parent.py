"""Run a program that dies with its parent, even if the parent is killed. A script for Linux.

`python -I -S exec_with_parent.py PARENT_PID PROGRAM [ARGUMENT...]` becomes PROGRAM. The kernel
kills it as soon as the thread that started it ends (prctl(2), PR_SET_PDEATHSIG; kept across exec):
start it from a thread that lives as long as the parent. It uses the standard library only.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    # If the parent died before the call above, no signal is sent: do not start.
    if os.getppid() != parent:
        sys.exit("the parent has already ended")
    os.execv(program[0], program)  # noqa: S606  # becoming that program is what this file is for
