"""The plan of a history of a replica: its settings and its steps, drawn from its seed."""

from typing import Literal

import msgspec

from lockstep.simulation.plan import Step, seeded_random

ReplicaStepKind = Literal[
    "change",
    "poll",
    "duplicate",
    "replay",
    "full replay",
    "old records",
    "restart poller",
    "split",
    "store down",
    "store slow",
    "wait",
    "hours pass",
    "load",
    "new stream",
    "repair",
    "redrive",
    "months pass",
]

_WEIGHTS: dict[ReplicaStepKind, float] = {
    "change": 6,
    "poll": 6,
    "duplicate": 1,
    "replay": 1,
    "full replay": 0.7,
    "old records": 1.5,
    "restart poller": 0.7,
    "split": 0.7,
    "store down": 1,
    "store slow": 0.3,
    "wait": 0.5,
    "hours pass": 0.7,
    "load": 2,
    "new stream": 0.7,
    "repair": 1.2,
    "redrive": 0.8,
    "months pass": 0.8,
}
_SHORT, _LONG = (2, 5), (7, 12)
_LONG_SHARE = 0.03
_FAULT_RATES = (0.0, 0.05, 0.2, 0.5)
# One allows several requests, the other one just one. The first one is that of the template.
_FUNCTION_SECONDS = (60.0, 27.0)
# The limits of retries and age, after which a mapping discards a batch. Mostly there is no limit.
_DISCARD_LIMITS: tuple[tuple[int | None, int | None], ...] = (
    *[(None, None)] * 8,
    (None, 1_200),
    (2, None),
)
_ROW_SHARE = 0.15
_SECOND_SHARE = 0.15


class ReplicaPlan(msgspec.Struct, frozen=True):
    """The rate of faults, the settings of the mapping, what a removal leaves, and the steps.

    `has_second`: two mappings invoke the function.
    """

    seed: int
    fault_rate: float
    batch_size: int
    window_seconds: int
    function_seconds: float
    bisect: bool
    parallelization_factor: int
    retries: int | None
    age_seconds: int | None
    deletions: Literal["tombstone", "row"]
    has_second: bool
    steps: tuple[Step[ReplicaStepKind], ...]

    @property
    def discards(self) -> bool:
        """Whether the mappings may discard batches, and so write failure documents."""
        return self.retries is not None or self.age_seconds is not None


def plan(seed: int) -> ReplicaPlan:
    """The plan of this seed. The same seed gives the same plan."""
    chance = seeded_random(seed)
    steps = _LONG if chance.random() < _LONG_SHARE else _SHORT
    kinds = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=chance.randint(*steps))
    retries, age_seconds = chance.choice(_DISCARD_LIMITS)
    return ReplicaPlan(
        seed=seed,
        fault_rate=chance.choice(_FAULT_RATES),
        batch_size=chance.choice((1, 3, 10, 100, 100)),
        window_seconds=chance.choice((0, 0, 1)),
        function_seconds=chance.choice(_FUNCTION_SECONDS),
        bisect=chance.random() < 0.5,  # noqa: PLR2004 - a coin
        parallelization_factor=chance.choice((1, 1, 1, chance.randint(2, 10))),
        retries=retries,
        age_seconds=age_seconds,
        deletions="row" if chance.random() < _ROW_SHARE else "tombstone",
        has_second=chance.random() < _SECOND_SHARE,
        steps=tuple(Step(kind, chance.getrandbits(32)) for kind in ("change", *kinds)),
    )
