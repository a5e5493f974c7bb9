"""The poller: several batches of a shard in flight, each key in order, one checkpoint."""

from collections.abc import Sequence
from typing import override

import msgspec
import pytest

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import REAL, Components
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.faults import Tally
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.plan import plan, seeded_random
from lockstep.simulation.poller import Poller
from lockstep.simulation.run import broken_by, simulate
from lockstep.simulation.violation import ViolationError

KEYS = [f"T{number}" for number in range(8)]
ROUNDS = 5


class Run:
    """A poller over one shard, and a log of the batches that its function began and ended."""

    def __init__(
        self, parallelization_factor: int, seed: int, age_seconds: int | None = None
    ) -> None:
        self.conditions = Conditions(VirtualTime(), Tally(), seeded_random(seed))
        self.stream = Kinesis("s", now=lambda: self.conditions.time.now)
        for _ in range(ROUNDS):
            for key in KEYS:
                self.stream.accept(key, b"")
        self.log: list[tuple[str, list[AcceptedRecord]]] = []
        self.settled: set[str] = set()
        self.poller = Poller(
            "f",
            stream=self.stream,
            settings=Settings(
                batch_size=3,
                parallelization_factor=parallelization_factor,
                age_seconds=age_seconds,
            ),
            conditions=self.conditions,
            components=REAL,
            invoke=self.invoke,
            is_durable=lambda one: one.sequence_number in self.settled,
        )

    def invoke(self, batch: Sequence[AcceptedRecord]) -> Returned | Errored:
        self.log.append(("begin", list(batch)))
        self.conditions.time.advance(1.0)
        self.log.append(("end", list(batch)))
        if self.conditions.chance.random() < 0.2:
            return Errored("Exception", "simulated error")
        self.settled.update(one.sequence_number for one in batch)
        return Returned(b"")


def test_the_records_of_a_key_are_in_order_and_never_in_flight_twice() -> None:
    overlapped = 0
    for seed in range(20):
        run = Run(4, seed)
        run.poller.drain()
        in_flight: list[list[AcceptedRecord]] = []
        first: dict[str, list[str]] = {key: [] for key in KEYS}
        for what, batch in run.log:
            if what == "end":
                in_flight.remove(batch)
                continue
            busy = {one.partition_key for other in in_flight for one in other}
            assert not busy & {one.partition_key for one in batch}
            in_flight.append(batch)
            overlapped += len(in_flight) > 1
            for one in batch:
                if one.sequence_number not in first[one.partition_key]:
                    first[one.partition_key].append(one.sequence_number)
        for key, numbers in first.items():
            put = [one.sequence_number for one in run.stream.accepted if one.partition_key == key]
            assert numbers == put
    assert overlapped > 20


def test_the_checkpoint_of_a_shard_passes_no_unsettled_record() -> None:
    for seed in range(20):
        run = Run(4, seed)
        (shard,) = run.stream.shards.values()
        while run.poller.checkpoints.get(shard.shard_id, 0) < len(shard.records):
            run.poller.run(invocations=1, seconds=60.0)
            passed = shard.records[: run.poller.checkpoints.get(shard.shard_id, 0)]
            assert {one.sequence_number for one in passed} <= run.settled


def test_with_one_lane_only_one_batch_is_in_flight() -> None:
    run = Run(1, 0)
    run.poller.drain()
    assert [what for what, _ in run.log] == ["begin", "end"] * (len(run.log) // 2)
    assert run.conditions.tally["several batches of a shard in flight"] == 0


def test_every_parallelization_factor_that_lambda_allows_is_drawn() -> None:
    assert {plan(seed).parallelization_factor for seed in range(300)} == set(range(1, 11))


def test_lanes_that_split_the_records_of_a_key_are_found() -> None:
    class AnyLane(Shard):
        @override
        def _lane_of(self, entry: BatchRecord) -> int:
            return int(entry.sequence_number) % len(self._lanes)

    failure = simulate(seed=1, histories=300, components=Components(shard=AnyLane)).failure
    assert failure is not None
    assert failure.violation.startswith("I5")


def test_a_checkpoint_of_only_one_lane_is_found() -> None:
    class OneLaneCounts(Shard):
        @override
        def _settle(self, entries: tuple[BatchRecord, ...]) -> None:
            if entries:
                self._checkpoint = entries[-1].sequence_number

    wrong = Components(shard=OneLaneCounts)
    first = next(seed for seed in range(400) if broken_by(plan(seed), wrong) is not None)
    assert plan(first).parallelization_factor > 1
    one_lane = msgspec.structs.replace(plan(first), parallelization_factor=1)
    assert broken_by(one_lane, wrong) is None


@pytest.mark.parametrize("was_settled", [True, False])
def test_what_is_too_old_may_be_discarded_only_if_it_was_settled_before(
    was_settled: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    run = Run(1, 1, age_seconds=60)
    if was_settled:
        run.poller.drain()
        run.settled.clear()  # somebody changed the store by hand
        run.poller.rewind_all()
    run.conditions.time.advance(3_600.0)
    if was_settled:
        run.poller.drain()
    else:
        with pytest.raises(ViolationError, match="I1: f discards a batch: RecordAgeExceeded"):
            run.poller.drain()
