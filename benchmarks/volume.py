"""Send 69,202 records, the size of the whole collection, through the local stack.

    python benchmarks/volume.py [--records N] [--runs N] [--before PYTHON]

The records are copies of the 2,000 in data/tate-2000.ndjson, each with its own id. The program
prints the time of each step, and of each process the processor time and the peak memory (resident
set). PYTHON is the interpreter of another checkout, whose environment has its own `lockstep`: the
program then runs both in turn and prints their figures side by side, each the smallest of all runs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

DATA = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"
RECORDS = 69_202
SAMPLE_SECONDS = 0.2
MEGABYTE = 1024 * 1024
ENGINES = {"dynamodb": "DynamoDB Local", "s3proxy": "S3Proxy", "opensearch": "OpenSearch"}


def records(count: int) -> Iterator[bytes]:
    """This many records, each with its own id."""
    lines = DATA.read_bytes().splitlines(keepends=True)
    for number in range(count):
        again = f'"accession": "{number // len(lines)}-'.encode()
        yield lines[number % len(lines)].replace(b'"accession": "', again)


def name_of(words: Sequence[str]) -> str | None:
    """What a process runs: an engine, a module of ours or a command; else nothing."""
    line = " ".join(words).lower()
    if Path(words[0]).name == "java":
        return next((name for part, name in ENGINES.items() if part in line), "java")
    if "lockstep" not in line:
        return None
    module = next((word for word in words if word.startswith("lockstep.")), None)
    if module is None:
        return f"lockstep {words[words.index('lockstep') + 1]}" if "lockstep" in words else None
    return f"{module} {words[-1]}" if words[-1].isidentifier() else module


@dataclass
class Run:
    """The figures of one run: seconds of each step, processor seconds and bytes of each process."""

    seconds: dict[str, float] = field(default_factory=dict)
    processor: dict[tuple[str, int], float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def sample(self, state: Path) -> None:
        """Read each process of the stack and each command once."""
        found = [
            process
            for process in psutil.process_iter(["cmdline"])
            if str(state) in (process.info["cmdline"] or [])
        ]
        below = [child for process in found for child in _children(process)]
        for process in {*found, *below}:
            try:
                name = name_of(process.cmdline() or [""])
                times, held = process.cpu_times(), process.memory_info().rss
            except psutil.Error:  # it has ended
                continue
            if name:
                self.processor[name, process.pid] = times.user + times.system
                self.memory[name] = max(held, self.memory.get(name, 0))

    def processor_by_name(self) -> Mapping[str, float]:
        """The processor seconds of all processes that ran the same."""
        seconds: dict[str, float] = defaultdict(float)
        for (name, _), took in self.processor.items():
            seconds[name] += took
        return seconds


def _children(process: psutil.Process) -> Sequence[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return children


def timed(run: Run, python: str, state: Path, *words: str) -> float:
    """Run a command on a stack, and sample its processes meanwhile; return the seconds.

    Raises:
        SystemExit: the command fails.
    """
    started = time.monotonic()
    command = [python, "-m", "lockstep", *words, "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=state.parent) as process:
        while process.poll() is None:
            run.sample(state)
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}")
    return time.monotonic() - started


def measure(python: str, count: int) -> Run:
    """Put the records, wait until they are consumed, and audit."""
    run = Run()
    with tempfile.TemporaryDirectory(prefix="lockstep-volume-") as folder:
        state, file = Path(folder) / "state", Path(folder) / "records.ndjson"
        with file.open("wb") as out:
            out.writelines(records(count))

        def step(name: str, *words: str) -> None:
            run.seconds[name] = timed(run, python, state, *words)

        try:
            step("up", "up", "--detach")
            began = time.monotonic()
            step("put", "put", "--from", "tate", str(file))
            step("wait after put", "status", "--wait", "3000")
            run.seconds["caught up"] = time.monotonic() - began
            step("audit", "audit")
        finally:
            step("down", "down")
    return run


def main() -> None:
    """Measure this checkout, and another one if it is given; print the smallest figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--before", metavar="PYTHON", help="the interpreter of another checkout")
    asked = parser.parse_args()
    pythons = {"now": sys.executable} | ({"before": asked.before} if asked.before else {})
    runs: dict[str, list[Run]] = defaultdict(list)
    for number in range(asked.runs):
        for when in sorted(pythons, reverse=bool(number % 2)):
            runs[when].append(measure(pythons[when], asked.records))
    print(f"{'':<42}" + "".join(f"{when:>14}" for when in pythons))
    for unit, scale, what in (
        ("s", 1, lambda run: run.seconds),
        ("s of processor", 1, Run.processor_by_name),
        ("MiB", MEGABYTE, lambda run: run.memory),
    ):
        print(f"\n{unit}")
        names = {name: None for when in pythons for run in runs[when] for name in what(run)}
        for name in names:
            line = ""
            for when in pythons:
                values = [what(run)[name] for run in runs[when] if name in what(run)]
                line += f"{min(values) / scale:14.1f}" if values else f"{'':>14}"
            print(f"{name:<42}{line}")


if __name__ == "__main__":
    main()
