"""Many processes give the result of one, and all of them end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from lockstep.simulation.components import REAL, Components
from lockstep.simulation.run import CHUNK, Report, simulate
from tests.simulation.wrong_components import WRONG
from tests.simulation.wrong_delivery import checkpoint_one_too_high

PATIENCE_SECONDS = 60.0


def untimed(report: Report) -> Report:
    return msgspec.structs.replace(report, processes=0, seconds=0.0, core_seconds=0.0)


@pytest.mark.parametrize("components", [REAL, Components(deliver=checkpoint_one_too_high)])
def test_the_report_does_not_depend_on_the_number_of_processes(components: Components) -> None:
    alone = simulate(5, 3 * CHUNK + 7, components=components)
    together = simulate(5, 3 * CHUNK + 7, components=components, processes=3)
    assert untimed(together) == untimed(alone)
    assert together.processes == 3


def test_a_failure_ends_the_run_at_the_lowest_seed_that_fails() -> None:
    seen: list[int] = []
    report = simulate(
        1, 5 * CHUNK, components=WRONG["table: no version check"], progress=seen.append
    )
    assert report.failure is not None
    assert report.failure.seed == report.last_seed
    assert seen == [report.histories]
    before = simulate(1, report.histories - 1, components=WRONG["table: no version check"])
    assert before.failure is None


def test_progress_is_reported_after_each_chunk() -> None:
    seen: list[int] = []
    simulate(1, 2 * CHUNK + 1, processes=2, progress=seen.append)
    assert seen == [CHUNK, 2 * CHUNK, 2 * CHUNK + 1]


@contextmanager
def at_work() -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A very long run of the command, and its processes once all have started."""
    command = [sys.executable, "-m", "lockstep", "simulate", "--histories", "100000000"]
    with subprocess.Popen(
        [*command, "--processes", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        its: list[psutil.Process] = []
        try:
            parent, until = psutil.Process(process.pid), time.monotonic() + PATIENCE_SECONDS
            # The fork server, the resource tracker, and two workers that are busy.
            while sum(one.cpu_times().user > 0.5 for one in its) < 2:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
                its = parent.children(recursive=True)
            yield process, its
        finally:
            process.kill()
            for one in filter(psutil.Process.is_running, its):
                one.kill()


def test_an_interrupted_run_prints_one_word_and_leaves_no_process() -> None:
    with at_work() as (process, its):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        printed, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert (printed, said) == ("", "interrupted\n")
        assert process.returncode == 128 + signal.SIGINT
        _, alive = psutil.wait_procs(its, timeout=PATIENCE_SECONDS)
        assert not alive


def test_a_killed_run_leaves_no_process() -> None:
    with at_work() as (process, its):
        process.kill()
        _, alive = psutil.wait_procs(its, timeout=PATIENCE_SECONDS)
        assert not alive
