"""Run many histories, and shrink the first that fails to the steps that cause the failure."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

import msgspec

from lockstep.simulation.faults import AnyFault, Tally, minimums, missed
from lockstep.simulation.kinds import IMAGES, Kind
from lockstep.simulation.plan import Stepped, without
from lockstep.simulation.violation import ViolationError
from lockstep.simulation.watchdog import EndlessHistoryError, watched
from lockstep.simulation.workers import Died, Workers, workers

# A task of a worker takes about 0.1 s, so progress is shown often and Ctrl-C works quickly.
CHUNK = 100
_INVARIANT = re.compile(r"[A-Z]\d+: ")
_PROCESS = "the process"


class FailedHistory(msgspec.Struct, frozen=True):
    """The seed of a history that fails, and the fewest steps that still make it fail.

    `violation` is the invariant that broke, or the exception that ended the history, or its
    process. There are no steps if the process ended, or if there is no plan.
    """

    seed: int
    violation: str
    steps: tuple[str, ...]
    of_steps: int

    @property
    def ending(self) -> str:
        """What happened, as the end of a sentence."""
        verb = "breaks" if _INVARIANT.match(self.violation) else "ends with"
        return f"{verb} {self.violation}"


class Report(msgspec.Struct, frozen=True):
    """What a run found.

    `command` repeats it, with other seeds. `minimums` has the floor of each fault. `seconds` is the
    elapsed time, `core_seconds` the processor time of all processes. `missed` has the faults below
    their floor: with any, the run proves nothing.
    """

    commit: str
    seed: int
    histories: int
    processes: int
    seconds: float
    core_seconds: float
    faults: dict[AnyFault, int]
    missed: dict[AnyFault, int]
    failure: FailedHistory | None
    minimums: dict[AnyFault, int] = {}
    command: str = IMAGES.command

    @property
    def succeeded(self) -> bool:
        """Whether no history failed, and every fault was hit often enough."""
        return self.failure is None and not self.missed

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if self.failure is not None:
            return f"seed {self.failure.seed} {self.failure.ending.partition(':')[0]}"
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
    core_seconds: float
    failure: FailedHistory | None = None


def simulate(
    seed: int,
    histories: int,
    *,
    kind: Kind = IMAGES,
    components: Any = None,
    processes: int = 0,
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
        kind: which histories.
        components: what the histories run instead of the real components; with several processes,
            they must be picklable.
        processes: the number of processes that run histories in parallel; 0: this process runs
            them, and ends if a history ends it.
        commit: the version of the code, for the report.
        elapsed: a monotonic clock, in seconds.
        progress: called with the number of histories done.
    """
    started = elapsed()
    tally = Tally()
    failure = None
    done = 0
    core_seconds = 0.0
    end = seed + histories
    chunks = [range(at, min(at + CHUNK, end)) for at in range(seed, end, CHUNK)]
    with workers(processes) as its:
        for chunk in _each(its, partial(_run, kind, components), chunks):
            tally.update(chunk.tally)
            done += chunk.histories
            core_seconds += chunk.core_seconds
            progress(done)
            if chunk.failure is not None:
                failure = chunk.failure
                break
    seconds = elapsed() - started
    return Report(
        commit=commit,
        seed=seed,
        histories=done,
        processes=processes,
        seconds=round(seconds, 3),
        core_seconds=round(core_seconds, 3),
        faults={fault: tally[fault] for fault in kind.floors},
        missed=missed(tally, done, kind.floors) if failure is None else {},
        failure=failure,
        minimums=minimums(done, kind.floors),
        command=kind.command,
    )


type _Run = Callable[[range], _SeedRange]


def _each(its: Workers, run: _Run, chunks: Sequence[range]) -> Iterator[_SeedRange]:
    """The results of the chunks. If a process died, the seed that ends it is found.

    If no seed does so again, the first one stands for all that the process may have run.
    """
    for found in its.in_order(run, chunks):
        if not isinstance(found, Died):
            yield found
            continue
        if not found.results_known:
            (seeds,) = found.tasks
            yield from _narrowed(its, run, seeds, found.why)
        span = f"{found.tasks[0][0]} to {found.tasks[-1][-1]}"
        why = f"{found.why}, with the seeds {span}; run again, they do not end it"
        yield _died(found.tasks[0][0], why, histories=0)


def _narrowed(its: Workers, run: _Run, seeds: range, why: str) -> Iterator[_SeedRange]:
    """The results of seeds that ended a process, half by half, each in its own process."""
    if len(seeds) == 1:
        yield _died(seeds[0], why)
        return
    middle = len(seeds) // 2
    for half in (seeds[:middle], seeds[middle:]):
        found = its.alone(run, half)
        if isinstance(found, Died):
            yield from _narrowed(its, run, half, found.why)
        else:
            yield found


def _died(seed: int, why: str, *, histories: int = 1) -> _SeedRange:
    failure = FailedHistory(seed, f"{_PROCESS}: {why}", (), 0)
    return _SeedRange(histories, Tally(), 0.0, failure)


def _run(kind: Kind, components: Any, seeds: range) -> _SeedRange:
    """The task of a worker: run the histories of these seeds, and shrink the first that fails."""
    started = time.process_time()
    tally = Tally()
    failure = next(filter(None, (_failure(seed, kind, components, tally) for seed in seeds)), None)
    done = len(seeds) if failure is None else seeds.index(failure.seed) + 1
    return _SeedRange(done, tally, time.process_time() - started, failure)


def broken_by(
    planned: Stepped,
    components: Any = None,
    tally: Tally | None = None,
    *,
    kind: Kind = IMAGES,
) -> str | None:
    """How the plan fails: the invariant that breaks, or an exception. None if every one holds.

    Any exception is a failure, also one that no code may catch, and a history without an end. Only
    Ctrl-C passes.
    """

    def run() -> None:
        parts = kind.components if components is None else components
        history = kind.history(planned, parts, tally)
        try:
            history.run()
        finally:
            history.forget()

    return _broken(run)


def _broken(run: Callable[[], None]) -> str | None:
    try:
        with watched():
            run()
    except KeyboardInterrupt:
        raise
    except ViolationError as violation:
        return str(violation)
    except BaseException as error:  # noqa: BLE001 - whatever ends a history is a finding
        return _named(error)
    return None


def _named(error: BaseException) -> str:
    """The exception in one line, with the place that raised it."""
    place = ""
    if not isinstance(error, EndlessHistoryError):  # it ends at any place
        last = extract_tb(error.__traceback__)[-1]
        place = f" ({'/'.join(Path(last.filename).parts[-3:])}, line {last.lineno})"
    return f"{type(error).__name__}: {error}{place}"


def shrink[P: Stepped](planned: P, components: Any = None, *, kind: Kind = IMAGES) -> P:
    """The plan with only those steps that are needed to break an invariant."""
    shorter = True
    while shorter:
        shorter = False
        for at in reversed(range(len(planned.steps))):
            candidate = without(planned, at)
            if broken_by(candidate, components, kind=kind) is not None:
                planned, shorter = candidate, True
    return planned


def _failure(seed: int, kind: Kind, components: Any, tally: Tally) -> FailedHistory | None:
    """How the history of this seed fails, with the fewest steps; None if it does not."""
    plans: list[Stepped] = []
    without_plan = _broken(lambda: plans.append(kind.plan(seed)))
    if without_plan is not None:
        return FailedHistory(seed, without_plan, (), 0)
    (planned,) = plans
    if broken_by(planned, components, tally, kind=kind) is None:
        return None
    shortest = shrink(planned, components, kind=kind)
    return FailedHistory(
        seed=seed,
        violation=str(broken_by(shortest, components, kind=kind)),
        steps=tuple(map(str, shortest.steps)),
        of_steps=len(planned.steps),
    )
