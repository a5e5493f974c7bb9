"""Run many histories, and shrink the first that fails to the steps that cause the failure."""

import time
from collections.abc import Callable
from functools import partial

import msgspec

from lockstep.simulation.components import REAL, Components
from lockstep.simulation.faults import FAULTS, Fault, Tally, missed
from lockstep.simulation.history import History
from lockstep.simulation.plan import HistoryPlan, plan, without
from lockstep.simulation.violation import ViolationError
from lockstep.simulation.workers import workers

# A task of a worker takes about 0.1 s, so progress is shown often and Ctrl-C works quickly.
CHUNK = 100


class FailedHistory(msgspec.Struct, frozen=True):
    """The seed of a history that broke an invariant, and the fewest steps that still break it."""

    seed: int
    violation: str
    steps: tuple[str, ...]
    of_steps: int


class Report(msgspec.Struct, frozen=True):
    """What a run found.

    `seconds` is the elapsed time, `core_seconds` the processor time of all processes. `missed` has
    the faults below their floor: with any, the run proves nothing.
    """

    commit: str
    seed: int
    histories: int
    processes: int
    seconds: float
    core_seconds: float
    faults: dict[Fault, int]
    missed: dict[Fault, int]
    failure: FailedHistory | None

    @property
    def succeeded(self) -> bool:
        """Whether no invariant broke, and every fault was hit often enough."""
        return self.failure is None and not self.missed

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if self.failure is not None:
            invariant = self.failure.violation.partition(":")[0]
            return f"seed {self.failure.seed} breaks {invariant}"
        if self.missed:
            return f"hit too rarely: {', '.join(self.missed)}"
        return "nothing lost, nothing backwards"

    @property
    def last_seed(self) -> int:
        """The seed of the last history."""
        return self.seed + self.histories - 1

    @property
    def histories_per_second(self) -> float:
        """The speed of all processes together, by elapsed time."""
        return self.histories / self.seconds if self.seconds else 0.0

    @property
    def histories_per_core_second(self) -> float:
        """The speed of one core, by processor time."""
        return self.histories / self.core_seconds if self.core_seconds else 0.0


class _SeedRange(msgspec.Struct, frozen=True):
    """The result of some histories, up to the first that fails."""

    histories: int
    tally: Tally
    broken: int | None  # its seed
    core_seconds: float


def simulate(
    seed: int,
    histories: int,
    *,
    components: Components = REAL,
    processes: int = 1,
    commit: str = "unknown",
    elapsed: Callable[[], float] = time.perf_counter,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Run histories with consecutive seeds until one fails.

    The report ends with the lowest seed that fails. Except for times, it does not depend on the
    number of processes.

    Args:
        seed: the seed of the first history.
        histories: the number of histories.
        components: what the histories run; with several processes, they must be picklable.
        processes: the number of processes that run histories in parallel.
        commit: the version of the code, for the report.
        elapsed: a monotonic clock, in seconds.
        progress: called with the number of histories done.
    """
    started = elapsed()
    tally = Tally()
    broken = None
    done = 0
    core_seconds = 0.0
    end = seed + histories
    chunks = [range(at, min(at + CHUNK, end)) for at in range(seed, end, CHUNK)]
    with workers(processes) as in_order:
        for chunk in in_order(partial(_run, components), chunks):
            tally.update(chunk.tally)
            done += chunk.histories
            core_seconds += chunk.core_seconds
            progress(done)
            if chunk.broken is not None:
                broken = chunk.broken
                break
    seconds = elapsed() - started
    return Report(
        commit=commit,
        seed=seed,
        histories=done,
        processes=processes,
        seconds=round(seconds, 3),
        core_seconds=round(core_seconds, 3),
        faults={fault: tally[fault] for fault in FAULTS},
        missed=missed(tally, done) if broken is None else {},
        failure=None if broken is None else _failure(plan(broken), components),
    )


def _run(components: Components, seeds: range) -> _SeedRange:
    """The task of a worker: run the histories of these seeds."""
    started = time.process_time()
    tally = Tally()
    broken = next((seed for seed in seeds if broken_by(plan(seed), components, tally)), None)
    done = len(seeds) if broken is None else seeds.index(broken) + 1
    return _SeedRange(done, tally, broken, time.process_time() - started)


def broken_by(
    planned: HistoryPlan, components: Components = REAL, tally: Tally | None = None
) -> str | None:
    """The violation that the plan causes; None if every invariant holds."""
    try:
        History(planned, components, tally).run()
    except ViolationError as violation:
        return str(violation)
    return None


def shrink(planned: HistoryPlan, components: Components = REAL) -> HistoryPlan:
    """The plan with only those steps that are needed to break an invariant."""
    shorter = True
    while shorter:
        shorter = False
        for at in reversed(range(len(planned.steps))):
            candidate = without(planned, at)
            if broken_by(candidate, components) is not None:
                planned, shorter = candidate, True
    return planned


def _failure(planned: HistoryPlan, components: Components) -> FailedHistory:
    shortest = shrink(planned, components)
    return FailedHistory(
        seed=planned.seed,
        violation=str(broken_by(shortest, components)),
        steps=tuple(map(str, shortest.steps)),
        of_steps=len(planned.steps),
    )
