"""A mapping in virtual time: the real core, a list for a stream, a function for a function."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Errored, Returned, Throttled
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Finished, Invoke, Read, Wait
from lockstep.local.mapping.windows import WindowView

DAY = 24 * 60 * 60.0
START = 1_795_248_000.0

type Batch = Sequence[str]
type Handler = Callable[[Batch], Returned | Errored | Throttled]

DONE = Returned(b'{"batchItemFailures":[]}')
RAISED = Errored("ValueError", "poison")


def entry(
    number: str,
    *,
    arrived_at: float = START,
    size: int = 0,
    key: str = "key",
    data: bytes = b"",
) -> BatchRecord:
    return BatchRecord(number, key, arrived_at, b"x" * size, data)


def entries(*numbers: str, arrived_at: float = START) -> list[BatchRecord]:
    return [entry(number, arrived_at=arrived_at) for number in numbers]


def report(*numbers: str | None) -> Returned:
    """A partial batch response."""
    failures = [{"itemIdentifier": number} for number in numbers]
    return Returned(msgspec.json.encode({"batchItemFailures": failures}))


def reporting(*poison: str) -> Handler:
    """A function that stops at the first poison record and reports it."""

    def handle(batch: Batch) -> Returned:
        bad = [number for number in batch if number in poison]
        return report(*bad[:1])

    return handle


def raising(*poison: str) -> Handler:
    """A function that raises when there is poison in the batch."""
    return lambda batch: RAISED if set(batch) & set(poison) else DONE


MOODS = st.lists(st.sampled_from(["done", "raise", "throttle", "nonsense", 0, 1, 2, 7]))


def moody(moods: Iterable[str | int], settled: list[str]) -> Handler:
    """A function that answers as its next mood says, a number being how many records it settles.

    When there are none left it works. What it settles it adds to the list.
    """
    left = iter(moods)

    def handle(batch: Batch) -> Returned | Errored | Throttled:
        match next(left, "done"):
            case "raise":
                return RAISED
            case "throttle":
                return Throttled()
            case "nonsense":
                return report("77")
            case int(position) if position < len(batch):
                settled.extend(batch[:position])
                return report(batch[position], batch[-1])
            case _:
                settled.extend(batch)
                return DONE

    return handle


@dataclass
class History:
    """What happened, in order."""

    invocations: list[list[str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    discards: list[Discard] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    views: list[WindowView] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)

    @property
    def discarded(self) -> list[list[str]]:
        return [[one.sequence_number for one in discard.entries] for discard in self.discards]


@dataclass
class _Running:
    """An invocation, which ends at this time like this."""

    ends: float
    lane: int
    name: str
    answer: Returned | Errored | Throttled


def play(
    stream: Sequence[BatchRecord | float],
    handler: Callable[..., Returned | Errored | Throttled],
    settings: Settings,
    *,
    seconds: float | Callable[[Batch], float] = 0.0,
    retention: float = DAY,
    chance: float = 0.5,
    steps: int = 10_000,
) -> History:
    """Run a closed shard through a function to its end, in no time.

    Args:
        stream: records, and pauses in seconds before the next ones are there.
        handler: gets sequence numbers; with tumbling windows, the view of the window, too.
        settings: the mapping's.
        seconds: how long an invocation takes, or that for its sequence numbers.
        retention: the stream's, in seconds.
        chance: what decides the jitter of the pauses, from 0 to 1.
        steps: when to give up.
    """
    now = START
    history = History()
    shard = Shard(settings, retention=retention, chance=lambda: chance)
    arrivals = _arrivals(stream)
    running: list[_Running] = []
    for _ in range(steps):
        match shard.next(now):
            case Read(limit):
                there = [one for at, one in arrivals if at <= now]
                taken = there[:limit]
                del arrivals[: len(taken)]
                shard.records_read(taken, behind=len(there) > limit, ended=not arrivals, now=now)
            case Invoke(batch, lane, view):
                numbers = [one.sequence_number for one in batch]
                history.invocations.append(numbers)
                if view is not None:
                    history.views.append(view)
                answer = handler(numbers) if view is None else handler(numbers, view)
                history.times.append(now - START)
                ends = now + (seconds(numbers) if callable(seconds) else seconds)
                history.ends.append(ends - START)
                name = f"r{len(history.invocations)}"
                running.append(_Running(ends, lane, name, answer))
            case Discard() as discard:
                history.discards.append(discard)
                shard.discarded(lane=discard.lane)
            case Advance(number):
                history.checkpoints.append(number)
                shard.checkpoint_saved()
            case Wait(until):
                assert until > now
                first = min(running, key=lambda one: one.ends, default=None)
                if first is None or until < first.ends:
                    assert until < math.inf, "nothing runs, and nothing is to be done"
                    now = until
                    continue
                running.remove(first)
                now = first.ends
                shard.invocation_ended(
                    first.answer, request_id=first.name, now=now, lane=first.lane
                )
            case Finished():
                return history
    raise AssertionError(f"not finished after {steps} steps")


def _arrivals(stream: Sequence[BatchRecord | float]) -> list[tuple[float, BatchRecord]]:
    at, arrivals = START, []
    for item in stream:
        if isinstance(item, BatchRecord):
            arrivals.append((at, item))
        else:
            at += item
    return arrivals
