"""Splits and merges, storms of both: the pure core keeps each key's order through them."""

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import InvocationResult, Throttled
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Finished, Invoke, Read, Wait
from lockstep.stream.order import startable
from tests.unit.mapping.play import DONE, RAISED, START, entry, report

KEYS = 8


@dataclass
class StreamShard:
    """One shard of a stream whose keys are 0 to 7: those that it takes, and its records."""

    keys: range
    parents: frozenset[str] = frozenset()
    records: list[BatchRecord] = field(default_factory=list)
    closed: bool = False


@dataclass
class Stream:
    shards: dict[str, StreamShard] = field(default_factory=lambda: {"0": StreamShard(range(KEYS))})
    numbers: int = 1000

    def put(self) -> None:
        """A record of each key."""
        for key in range(KEYS):
            self.numbers += 1
            (taker,) = [one for one in self.shards.values() if not one.closed and key in one.keys]
            taker.records.append(entry(str(self.numbers), key=str(key)))

    def split(self, at: int) -> None:
        (name,) = [name for name in self._open() if at in self.shards[name].keys]
        keys = self.shards[name].keys
        if keys.start < at:
            self._close(name)
            self._add(range(keys.start, at), name)
            self._add(range(at, keys.stop), name)

    def merge(self, at: int) -> None:
        left = [name for name in self._open() if self.shards[name].keys.stop == at]
        right = [name for name in self._open() if self.shards[name].keys.start == at]
        if left and right:
            keys = range(self.shards[left[0]].keys.start, self.shards[right[0]].keys.stop)
            self._close(*left, *right)
            self._add(keys, *left, *right)

    def _open(self) -> list[str]:
        return [name for name, shard in self.shards.items() if not shard.closed]

    def _close(self, *names: str) -> None:
        for name in names:
            self.shards[name].closed = True

    def _add(self, keys: range, *parents: str) -> None:
        self.shards[str(len(self.shards))] = StreamShard(keys, frozenset(parents))


class Consumer:
    """Reads the whole stream: each shard has a core of its own, stepped in any order."""

    def __init__(self, stream: Stream, settings: Settings, chance: random.Random) -> None:
        self.tried: list[tuple[str, str]] = []  # keys and numbers
        self._left = {name: list(shard.records) for name, shard in stream.shards.items()}
        self._parents = {name: shard.parents for name, shard in stream.shards.items()}
        self._settings = settings
        self._chance = chance
        self._shards: dict[str, Shard] = {}
        self._ended: set[str] = set()
        self._invocations: list[tuple[Shard, Invoke]] = []
        self._now = START

    def read_all(self) -> None:
        for _ in range(100_000):
            for name in startable(self._parents, ended=self._ended):
                if name not in self._shards:
                    self._shards[name] = Shard(
                        self._settings, retention=1e9, chance=self._chance.random
                    )
            unfinished = sorted(set(self._shards) - self._ended)
            if not unfinished:
                break
            self._step(self._chance.choice(unfinished))
            if self._invocations and self._chance.random() < 0.5:
                self._answer()
        assert self._ended == set(self._parents), "not all was read"

    def _step(self, name: str) -> None:
        shard = self._shards[name]
        match shard.next(self._now):
            case Read():
                brought, self._left[name] = self._left[name][:3], self._left[name][3:]
                more = bool(self._left[name])
                shard.records_read(brought, behind=more, ended=not more, now=self._now)
            case Invoke(entries) as step:
                self.tried += [(one.partition_key, one.sequence_number) for one in entries]
                self._invocations.append((shard, step))
            case Discard() as discard:
                shard.discarded(lane=discard.lane)
            case Advance():
                shard.checkpoint_saved()
            case Finished():
                self._ended.add(name)
            case Wait():
                self._now += 0.1

    def _answer(self) -> None:
        """One of the running invocations ends, somehow."""
        at = self._chance.randrange(len(self._invocations))
        shard, step = self._invocations.pop(at)
        stops_at = report(self._chance.choice(step.entries).sequence_number)
        answers: list[InvocationResult] = [
            DONE,
            DONE,
            RAISED,
            Throttled(),
            report("nonsense"),
            stops_at,
        ]
        answer = self._chance.choice(answers)
        shard.invocation_ended(answer, request_id="r", now=self._now, lane=step.lane)


@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["put", "split", "merge"]), st.integers(1, KEYS - 1)),
        max_size=30,
    ),
    factor=st.integers(1, 10),
    batch_size=st.integers(1, 4),
    bisect=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_through_storms_of_splits_and_merges_each_key_is_first_tried_in_order(
    *, acts: list[tuple[str, int]], factor: int, batch_size: int, bisect: bool, seed: int
) -> None:
    """Each key keeps its order through splits and merges.

    Rule: resharding.
    Source: https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
    """
    stream = Stream()
    for act, where in acts:
        match act:
            case "put":
                stream.put()
            case "split":
                stream.split(where)
            case _:
                stream.merge(where)
    settings = Settings(
        batch_size=batch_size,
        bisect=bisect,
        parallelization_factor=factor,
        reports_item_failures=True,
        retries=2,
    )

    consumer = Consumer(stream, settings, random.Random(seed))
    consumer.read_all()

    first = list(dict.fromkeys(consumer.tried))
    put = sorted(
        (one.sequence_number, one.partition_key)
        for shard in stream.shards.values()
        for one in shard.records
    )
    for key in map(str, range(KEYS)):
        assert [number for of, number in first if of == key] == [
            number for number, of in put if of == key
        ]
