"""Send 69,202 records, the size of the whole collection, through the local stack.

    python benchmarks/volume.py [RECORDS]

The records are copies of the 2,000 in data/tate-2000.ndjson, each with its own id. The program
prints the time of each step and the peak memory (resident set) of each of our processes.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

DATA = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"
RECORDS = 69_202
SAMPLE_SECONDS = 0.2
MEGABYTE = 1024 * 1024


def records(count: int) -> Iterator[bytes]:
    """This many records, each with its own id."""
    lines = DATA.read_bytes().splitlines(keepends=True)
    for number in range(count):
        again = f'"accession": "{number // len(lines)}-'.encode()
        yield lines[number % len(lines)].replace(b'"accession": "', again)


class Peaks:
    """The peak memory of each of our processes in bytes, by the module that it runs."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}

    def sample(self) -> None:
        """Read the memory of each of our processes once."""
        for process in psutil.process_iter(["cmdline", "memory_info"]):
            words = process.info["cmdline"] or []
            line = " ".join(words)
            ours = bool(words) and Path(words[0]).name.startswith("python")
            if ours and "lockstep" in line and __file__ not in line:
                name = next((word for word in words if word.startswith("lockstep.")), "lockstep")
                extra = words[words.index("lockstep") + 1] if "lockstep" in words else words[-1]
                key = f"{name} {extra}" if len(extra) < 20 else name  # noqa: PLR2004 - a command, not a path
                held = process.info["memory_info"].rss
                self.bytes[key] = max(held, self.bytes.get(key, 0))


def run(peaks: Peaks, state: Path, *words: str) -> float:
    """Run a `lockstep` command, and sample memory meanwhile; return its time in seconds."""
    started = time.monotonic()
    command = [sys.executable, "-m", "lockstep", *words, "--state", str(state)]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peaks.sample()
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}")
    return time.monotonic() - started


def main() -> None:
    """Put the records, wait until they are consumed, audit, and print the results."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    peaks = Peaks()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lockstep-volume-") as folder:
        state, file = Path(folder) / "state", Path(folder) / "records.ndjson"
        with file.open("wb") as out:
            out.writelines(records(count))
        try:
            seconds["up"] = run(peaks, state, "up", "--detach")
            seconds["put"] = run(peaks, state, "put", "--from", "tate", str(file))
            seconds["catch up"] = run(peaks, state, "status", "--wait", "3000")
            seconds["audit"] = run(peaks, state, "audit")
        finally:
            seconds["down"] = run(peaks, state, "down")
    for step, took in seconds.items():
        print(f"{step:<10} {took:8.1f} s")
    for name, held in sorted(peaks.bytes.items()):
        print(f"{name:<50} {held / MEGABYTE:6.0f} MiB")


if __name__ == "__main__":
    main()
