"""The run: many histories one after another; the first that fails is shrunk to what it needs."""

import time
from collections.abc import Callable

import msgspec

from lockstep.simulation.faults import FAULTS, Fault, Tally, missed
from lockstep.simulation.history import History
from lockstep.simulation.parts import REAL, Parts
from lockstep.simulation.plan import Plan, plan, without
from lockstep.simulation.violation import ViolationError


class Failure(msgspec.Struct, frozen=True):
    """A history in which something broke, by its seed, and the fewest steps that still break it."""

    seed: int
    violation: str
    steps: tuple[str, ...]
    of_steps: int


class Report(msgspec.Struct, frozen=True):
    """What a run found.

    `missed` holds the faults hit fewer times than their floor: a run that did not try is no proof.
    """

    seed: int
    histories: int
    seconds: float
    faults: dict[Fault, int]
    missed: dict[Fault, int]
    failure: Failure | None

    @property
    def succeeded(self) -> bool:
        """Nothing broke, and everything was tried."""
        return self.failure is None and not self.missed

    @property
    def histories_per_second(self) -> float:
        """On one core."""
        return self.histories / self.seconds if self.seconds else 0.0


def simulate(
    seed: int,
    histories: int,
    *,
    parts: Parts = REAL,
    elapsed: Callable[[], float] = time.perf_counter,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Run the histories of the seeds from this one on, until one fails.

    Args:
        seed: of the first history; each following has the next.
        histories: how many.
        parts: of ours, to be tried.
        elapsed: seconds that only go forward.
        progress: is told how many histories are done.
    """
    started = elapsed()
    tally = Tally()
    failure = None
    done = 0
    for its_seed in range(seed, seed + histories):
        planned = plan(its_seed)
        violation = broken_by(planned, parts, tally)
        done += 1
        progress(done)
        if violation is not None:
            failure = _failure(planned, parts)
            break
    return Report(
        seed=seed,
        histories=done,
        seconds=round(elapsed() - started, 3),
        faults={fault: tally[fault] for fault in FAULTS},
        missed={} if failure else missed(tally, done),
        failure=failure,
    )


def broken_by(planned: Plan, parts: Parts = REAL, tally: Tally | None = None) -> str | None:
    """What the plan breaks; None when everything holds."""
    try:
        History(planned, parts, tally).run()
    except ViolationError as violation:
        return str(violation)
    return None


def shrink(planned: Plan, parts: Parts = REAL) -> Plan:
    """The plan without the steps that it does not need in order to break something."""
    shorter = True
    while shorter:
        shorter = False
        for at in reversed(range(len(planned.steps))):
            candidate = without(planned, at)
            if broken_by(candidate, parts) is not None:
                planned, shorter = candidate, True
    return planned


def _failure(planned: Plan, parts: Parts) -> Failure:
    shortest = shrink(planned, parts)
    return Failure(
        seed=planned.seed,
        violation=str(broken_by(shortest, parts)),
        steps=tuple(map(str, shortest.steps)),
        of_steps=len(planned.steps),
    )
