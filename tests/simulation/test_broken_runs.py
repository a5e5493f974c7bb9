"""Whatever ends a history, or its process, is reported with its seed."""

import threading
import time

import msgspec
import psutil
import pytest

from lockstep.commands import simulate as command
from lockstep.simulation import watchdog
from lockstep.simulation.clock import MOST_WAITS, VirtualTime
from lockstep.simulation.components import Components
from lockstep.simulation.kinds import IMAGES
from lockstep.simulation.plan import HistoryPlan
from lockstep.simulation.run import CHUNK, FailedHistory, simulate
from lockstep.simulation.watchdog import EndlessHistoryError, watched
from tests.simulation.broken_runs import (
    DYING,
    EXITING,
    KILLED,
    LOOPING,
    LOOPING_IN_C,
    SHORT_SECONDS,
    STRANGE,
    UNPICKLABLE,
)
from tests.simulation.waiting_run import LONGEST_SECONDS, WAITING

HISTORIES = 4 * CHUNK


def failure_of(components: Components, processes: int = 0, seed: int = 1) -> FailedHistory:
    report = simulate(seed, HISTORIES, components=components, processes=processes)
    assert report.failure is not None
    assert not report.succeeded
    assert report.failure.seed == report.last_seed
    return report.failure


def run_for_ever() -> None:
    with watched():
        while True:
            pass


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LIMIT_SECONDS", SHORT_SECONDS)


@pytest.mark.parametrize(
    ("components", "violation"),
    [
        (UNPICKLABLE, "UnpicklableError: two arguments (tests/simulation/broken_runs.py, line "),
        (STRANGE, "StrangeError: strange (tests/simulation/broken_runs.py, line "),
        (EXITING, "SystemExit: 3 (tests/simulation/broken_runs.py, line "),
        (LOOPING, f"EndlessHistoryError: more than {SHORT_SECONDS:g} s of processor time"),
    ],
)
def test_what_ends_a_history_is_reported_with_its_seed_and_the_steps_that_cause_it(
    components: Components, violation: str
) -> None:
    alone = failure_of(components)
    assert alone.violation.startswith(violation)
    assert 1 <= len(alone.steps) < alone.of_steps
    assert failure_of(components, processes=2) == alone
    assert failure_of(components, seed=alone.seed) == alone


@pytest.mark.parametrize(
    ("components", "violation"),
    [(DYING, "the process: exit code 7"), (KILLED, "the process: signal 9")],
)
def test_a_history_that_ends_its_process_is_found(components: Components, violation: str) -> None:
    seed = failure_of(STRANGE).seed
    found = failure_of(components, processes=2)
    assert found == FailedHistory(seed, violation, (), 0)
    assert failure_of(components, processes=1, seed=seed) == found


def test_a_loop_in_c_is_ended_by_the_kernel() -> None:
    seed = failure_of(STRANGE).seed
    report = simulate(seed, 1, components=LOOPING_IN_C, processes=1)
    assert report.failure == FailedHistory(seed, "the process: signal 24", (), 0)


def test_a_worker_does_not_wait_for_ever() -> None:
    seed = failure_of(STRANGE).seed
    report = simulate(seed, 1, components=WAITING, processes=1)
    assert report.failure is not None
    assert report.failure.violation == f"EndlessHistoryError: more than {LONGEST_SECONDS:g} s"


def test_a_process_that_somebody_ends_is_reported_with_all_seeds_that_it_may_have_run() -> None:
    killed: list[psutil.Process] = []

    def kill(_: int) -> None:
        if not killed:
            its = psutil.Process().children(recursive=True)
            server = next(one for one in its if "forkserver" in " ".join(one.cmdline()))
            killed.append(server.children()[0])
            killed[0].kill()

    report = simulate(1, 10 * CHUNK, processes=2, progress=kill)
    assert report.failure is not None
    assert report.failure.violation.startswith("the process: it ended, with the seeds ")
    assert report.failure.violation.endswith("; run again, they do not end it")


def test_a_plan_that_cannot_be_made_is_reported() -> None:
    def no_plan(seed: int) -> HistoryPlan:
        raise ZeroDivisionError(seed)

    failure = simulate(5, 3, kind=msgspec.structs.replace(IMAGES, plan=no_plan)).failure
    assert failure is not None
    assert (failure.seed, failure.steps, failure.of_steps) == (5, (), 0)
    assert failure.violation.startswith("ZeroDivisionError: 5 (tests/")


def test_ctrl_c_ends_the_run() -> None:
    def interrupted(seed: int) -> HistoryPlan:
        raise KeyboardInterrupt(seed)

    with pytest.raises(KeyboardInterrupt):
        simulate(5, 3, kind=msgspec.structs.replace(IMAGES, plan=interrupted))


def test_a_history_that_waits_too_often_is_ended() -> None:
    waiting = VirtualTime()
    for _ in range(MOST_WAITS):
        waiting.advance(0.0)
    with pytest.raises(EndlessHistoryError, match=f"waited more than {MOST_WAITS:,} times"):
        waiting.advance(0.0)


def test_the_limit_holds_for_one_history_and_not_for_all() -> None:
    for _ in range(4):
        with watched():
            until = time.process_time() + SHORT_SECONDS / 2
            while time.process_time() < until:
                pass
    with pytest.raises(EndlessHistoryError):
        run_for_ever()


def test_another_thread_is_not_watched() -> None:
    done = threading.Thread(target=lambda: watched().__enter__())
    done.start()
    done.join()


@pytest.mark.parametrize(
    ("components", "processes", "line"),
    [
        (STRANGE, 0, "ends with StrangeError: strange (tests/simulation/broken_runs.py, line"),
        (DYING, 2, "ends with the process: exit code 7"),
    ],
)
def test_the_output_names_the_seed(
    components: Components, processes: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = simulate(1, HISTORIES, components=components, processes=processes, commit="0a1b2c3d4e")
    command.show(report)
    printed = capsys.readouterr().out
    assert report.failure is not None
    assert f"seed {report.failure.seed} at 0a1b2c3d4e {line}" in printed
    assert report.verdict.startswith(f"seed {report.failure.seed} ends with ")
    assert f"lockstep simulate --seed {report.failure.seed} --histories 1" in printed
