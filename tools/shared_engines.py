"""Run a command whose tests share one set of engines: `python -m tools.shared_engines COMMAND`.

To start an engine takes seconds, and at first it is slow. Each test has its own table, index,
bucket or stream, so that all can use the same engines. Tests that stop an engine start their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence

import msgspec

from lockstep.local.engines.pins import EngineName, kits
from tools.engines import SHARED, engines_for_tests

# OpenSearch holds the indices of several groups of tests at the same time.
HEAP = "1536m"


def run_with(engines: Iterable[EngineName], command: Sequence[str]) -> int:
    """Start these engines, run the command, and stop them; return its exit code."""
    with engines_for_tests({}, heap=HEAP) as endpoint:
        endpoints = {name: endpoint(name) for name in engines}
        environment = {**os.environ, SHARED: msgspec.json.encode(endpoints).decode()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_with(kits(), sys.argv[1:]))
