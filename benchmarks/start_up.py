"""Count the instructions that Python executes to start the command line.

    python -m benchmarks.start_up

Each program runs under valgrind (Debian: `valgrind`), so that the counts hardly depend on other
load. The goal: `lockstep --help` takes at most twice as many instructions as `import click`.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

IMPORT_CLICK = ["-c", "import click"]
PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import click'": IMPORT_CLICK,
    "lockstep --help": ["-m", "lockstep", "--help"],
    "lockstep status --help": ["-m", "lockstep", "status", "--help"],
    "lockstep status, no stack": ["-m", "lockstep", "status"],
    "lockstep audit --help": ["-m", "lockstep", "audit", "--help"],
}
_COUNT = re.compile(r"refs:\s+([\d,]+)")


def instructions(words: Sequence[str], folder: Path) -> int:
    """How many instructions Python executes for these arguments, in this folder."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    found = _COUNT.search(done.stderr)
    if found is None:
        sys.exit(f"valgrind counted nothing: {done.stderr.strip()}")
    return int(found[1].replace(",", ""))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        counts = {name: instructions(words, Path(folder)) for name, words in PROGRAMS.items()}
    click = counts["python -c 'import click'"]
    for name, count in counts.items():
        print(f"{name:<28} {count / 1e6:8.0f} million {count / click:6.2f} x")


if __name__ == "__main__":
    main()
