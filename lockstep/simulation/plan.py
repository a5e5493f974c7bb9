"""The plan of a history: its settings and its steps, drawn from its seed."""

import random
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

import msgspec

# What operators do in one third of the histories (lockstep/simulation/operators/).
OperatorStepKind = Literal[
    "audit",
    "harm",
    "repair",
    "answer",
    "restore",
    "purge",
    "rebuild",
    "harm the index",
    "replay command",
    "old events",
    "discard",
    "forge",
    "import",
    "change the retention",
    "choose",
    "lose records",
    "interrupted import",
    "two purges",
    "redrive pointers",
    "old index",
    "give up records",
]

# What happens only if the index does not always read the image stream (routes.py).
RouteStepKind = Literal[
    "change the source",
    "remove by hand",
    "put by hand",
    "index down for a day",
]

StepKind = Literal[
    "put",
    "poll",
    "poison",
    "duplicate",
    "replay",
    "full replay",
    "late replay",
    "restart poller",
    "split",
    "merge",
    "reshard storm",
    "store down",
    "store slow",
    "alias missing",
    "restart OpenSearch",
    "clock",
    "wait",
    "days pass",
    "redrive",
    "large batch",
    OperatorStepKind,
    RouteStepKind,
]

# The values of `IndexFrom` (docs/guides/index-from.md).
Route = Literal["Kinesis", "DynamoDBStreams", "KinesisDataStreamsForDynamoDB"]

# These weights and ranges, and the constants of history.py and programs.py, find the most seeded
# bugs per second
# (docs/decisions/2026-11-21-histories-are-short-and-dense.md).
_PLAIN: dict[StepKind, float] = {
    "put": 6,
    "poll": 6,
    "poison": 5,
    "duplicate": 1,
    "replay": 1,
    "full replay": 0.4,
    "late replay": 0.3,
    "restart poller": 0.7,
    "split": 0.5,
    "merge": 0.8,
    "reshard storm": 0.3,
    "store down": 2,
    "store slow": 0.3,
    "alias missing": 0.3,
    "restart OpenSearch": 0.3,
    "clock": 0.7,
    "wait": 0.7,
    "days pass": 0.3,
    "redrive": 1,
}
_OPERATORS: dict[StepKind, float] = {
    "audit": 2,
    "harm": 2,
    "repair": 2.5,
    "answer": 2.5,
    "restore": 2,
    "purge": 2,
    "replay command": 1.5,
    "old events": 0.8,
    "discard": 0.3,
    "forge": 0.8,
    "import": 0.7,
    "change the retention": 0.5,
    "choose": 0.5,
    "lose records": 0.5,
}
# The last step of some of the histories with operators. It is drawn after all else, so that the
# other histories stay the same.
_LAST: tuple[OperatorStepKind, ...] = ("interrupted import", "two purges", "redrive pointers")
_LAST_SHARE = 0.15
_OLD_INDEX_SHARE = 0.03
_GIVING_UP_SHARE = 0.06
_ROUTED: dict[StepKind, float] = {
    "change the source": 2,
    "remove by hand": 3,
    "put by hand": 3,
    "index down for a day": 1,
    "days pass": 1,
}
# Also with operators. Some begin with the image stream, and change the source later.
_ROUTED_SHARE = 0.08
_ROUTES: tuple[Route, ...] = (
    "DynamoDBStreams",
    "DynamoDBStreams",
    "KinesisDataStreamsForDynamoDB",
    "KinesisDataStreamsForDynamoDB",
    "Kinesis",
)
_HARMING: frozenset[StepKind] = frozenset(
    {"harm", "repair", "answer", "restore", "harm the index", "forge"}
)
OPERATORS_SHARE = 1 / 3
_MOST_OTHER_STEPS = 2
# Of the histories with operators: 5 % of all.
_REBUILD_SHARE = 0.15
_REBUILDS: tuple[OperatorStepKind, ...] = ("rebuild", "harm the index")
_SHORT, _LONG = (2, 4), (7, 12)
_LONG_SHARE = 0.02
_FAULT_RATES = (0.0, 0.05, 0.2, 0.5)
# The timeouts of a function: one allows several requests, the other one just a single request.
# The first one is that of template.yaml.
_FUNCTION_SECONDS = (60.0, 24.0)
# The errors of the clock of a second producer, in seconds: some of them are over five minutes.
_SKEWS = (0.0, 0.001, 20.0, -20.0, 290.0, -290.0, 310.0, -310.0, 3_600.0, -3_600.0)
# One of a thousand histories has a batch of 5 MiB. It takes as long as a hundred other histories.
_LARGE_EVERY = 1_000
_LARGE_BATCH_SIZE = 100
# The limits of retries and age, after which a mapping discards a batch. Mostly there is no limit.
_DISCARD_LIMITS: tuple[tuple[int | None, int | None], ...] = (
    *[(None, None)] * 14,
    (None, 1_200),
    (2, None),
)


# Often one, as by default. With two, all images of a history would share one.
_INDEX_SHARDS = (1, 1, 3, 5)


class Step[Kind: str](msgspec.Struct, frozen=True):
    """One step of a history. All its random choices follow from its own seed."""

    kind: Kind
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} ({self.seed})"


class HistoryPlan(msgspec.Struct, frozen=True):
    """The rate of faults, the settings of the system, and the steps.

    `operators`: some of the steps are operators' ones. `index_from`: what the index reads at first;
    None if it always reads the image stream. `other_skew`: the error of the clock of a second
    producer, in seconds; None if there is only one.
    """

    seed: int
    fault_rate: float
    shards: int
    batch_size: int
    window_seconds: int
    function_seconds: float
    bisect: bool
    honours_parameters: bool
    parallelization_factor: int
    second_mapping: Literal["write_to_dynamodb", "write_to_es"] | None
    steps: tuple[Step[StepKind], ...]
    retries: int | None = None
    age_seconds: int | None = None
    index_shards: int = 1
    operators: bool = False
    index_from: Route | None = None
    other_skew: float | None = None

    @property
    def discards(self) -> bool:
        """Whether the mappings may discard batches, and so write failure documents."""
        return self.retries is not None or self.age_seconds is not None

    def __str__(self) -> str:
        steps = ", ".join(map(str, self.steps))
        return f"seed {self.seed}, {len(self.steps)} steps: {steps}"


def seeded_random(seed: int) -> random.Random:
    """Random numbers that repeat for the same seed."""
    return random.Random(seed)  # noqa: S311 - seeded, so that a history can be repeated


def plan(seed: int) -> HistoryPlan:
    """The plan of this seed. The same seed gives the same plan."""
    chance = seeded_random(seed)
    steps = _LONG if chance.random() < _LONG_SHARE else _SHORT
    kinds = chance.choices(list(_PLAIN), list(_PLAIN.values()), k=chance.randint(*steps))
    planned = HistoryPlan(
        seed=seed,
        fault_rate=chance.choice(_FAULT_RATES),
        shards=chance.choice((1, 1, 2, 3)),
        batch_size=chance.choice((1, 3, 10, 100, 100, 100)),
        window_seconds=chance.choice((0, 0, 1)),
        function_seconds=chance.choice(_FUNCTION_SECONDS),
        bisect=chance.random() < 0.5,  # noqa: PLR2004 - a coin
        honours_parameters=chance.random() < 0.8,  # noqa: PLR2004 - mostly
        parallelization_factor=chance.choice((1, 1, 1, chance.randint(2, 10))),
        second_mapping=chance.choice((*[None] * 6, "write_to_dynamodb", "write_to_es")),
        steps=tuple(Step(kind, chance.getrandbits(32)) for kind in kinds),
    )
    retries, age_seconds = chance.choice(_DISCARD_LIMITS)
    planned = msgspec.structs.replace(
        planned,
        retries=retries,
        age_seconds=age_seconds,
        index_shards=chance.choice(_INDEX_SHARDS),
        other_skew=chance.choice((None, chance.choice(_SKEWS))),
    )
    if seed % _LARGE_EVERY == 0:
        return _with_large_batch(planned, chance)
    if chance.random() < OPERATORS_SHARE:
        planned = _with_operators(planned, chance)
    if chance.random() < _ROUTED_SHARE:
        planned = _with_routes(planned, chance)
    if planned.operators and chance.random() < _LAST_SHARE:
        step = Step(chance.choice(_LAST), chance.getrandbits(32))
        planned = msgspec.structs.replace(planned, steps=(*planned.steps, step))
    elif planned.operators and chance.random() < _OLD_INDEX_SHARE:
        step = Step("old index", chance.getrandbits(32))
        planned = msgspec.structs.replace(planned, steps=(*planned.steps, step))
    elif planned.operators and chance.random() < _GIVING_UP_SHARE:
        step = Step("give up records", chance.getrandbits(32))
        planned = msgspec.structs.replace(planned, steps=(*planned.steps, step))
    return planned


def _with_large_batch(planned: HistoryPlan, chance: random.Random) -> HistoryPlan:
    """The same plan, with a step that fills a batch of one shard."""
    step = Step("large batch", chance.getrandbits(32))
    return msgspec.structs.replace(
        planned,
        fault_rate=chance.choice((0.0, 0.05)),
        shards=1,
        batch_size=_LARGE_BATCH_SIZE,
        parallelization_factor=1,
        second_mapping=None,
        steps=(step,),
    )


def _with_operators(planned: HistoryPlan, chance: random.Random) -> HistoryPlan:
    """The same plan, with steps of operators in between."""
    fewer = msgspec.structs.replace(planned, steps=planned.steps[: chance.randint(1, 2)])
    if chance.random() < _REBUILD_SHARE:  # it takes as long as several other steps
        step = Step(chance.choice(_REBUILDS), chance.getrandbits(32))
        at = chance.randint(1, len(fewer.steps))
        steps = (*fewer.steps[:at], step, *fewer.steps[at:])
    else:
        steps = _interspersed(fewer, _OPERATORS, chance)
    return msgspec.structs.replace(planned, operators=True, steps=steps)


def _with_routes(planned: HistoryPlan, chance: random.Random) -> HistoryPlan:
    """The same plan, with another source of the index, and what only that shows."""
    route, steps = chance.choice(_ROUTES), _interspersed(planned, _ROUTED, chance)
    return msgspec.structs.replace(planned, index_from=route, steps=steps)


def _interspersed(
    planned: HistoryPlan, weights: Mapping[StepKind, float], chance: random.Random
) -> tuple[Step[StepKind], ...]:
    """The steps, with some of these in between."""
    kinds = chance.choices(
        list(weights), list(weights.values()), k=chance.choice((1, 1, _MOST_OTHER_STEPS))
    )
    if "old events" in kinds:
        # Months later, a plain repair may be all that decides about what was harmed by hand.
        kinds = [kind for kind in kinds if kind not in _HARMING]
    steps = list(planned.steps)
    for kind in kinds:
        step = Step(kind, chance.getrandbits(32))
        steps.insert(chance.randint((len(steps) + 1) // 2, len(steps)), step)
    return tuple(steps)


def plain(whole: HistoryPlan) -> HistoryPlan:
    """The plan without operators, and with the image stream as the source of the index.

    The other steps stay the same.
    """
    others = {*get_args(OperatorStepKind), *get_args(RouteStepKind)}
    steps = tuple(step for step in whole.steps if step.kind not in others)
    return msgspec.structs.replace(whole, operators=False, index_from=None, steps=steps)


class Stepped(Protocol):
    """A plan of any kind of history."""

    @property
    def steps(self) -> tuple[Step[Any], ...]:
        """Its steps."""
        ...


def without[P: Stepped](whole: P, at: int) -> P:
    """The plan without the step at this position; the other steps stay the same."""
    steps = whole.steps[:at] + whole.steps[at + 1 :]
    shorter: P = msgspec.structs.replace(whole, steps=steps)  # type: ignore[type-var]
    return shorter
