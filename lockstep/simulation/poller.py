"""The poller: an event source mapping's real core, driven over the stream's shards in its time."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import (
    Advance,
    Discard,
    Finished,
    Invoke,
    Read,
    Shard,
    Wait,
)
from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.simulation.components import Components
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis, StreamShard
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.interpretation import RETENTION
from lockstep.simulation.violation import ViolationError
from lockstep.stream import sequence
from shared.event import AGGREGATED_MAGIC

# Far beyond what any batch needs once nothing fails any more.
MOST_STEPS = 10_000
# Soon enough for one invocation to begin while another's first requests are on their way.
MEANWHILE_SECONDS = 0.2

# Soon enough for an operator; a destination may be down for hours.
UNWRITTEN_SECONDS = 30.0

type Invocation = Callable[[Sequence[AcceptedRecord]], Returned | Errored]

type Keeping = Callable[[Discard, Sequence[AcceptedRecord]], bool]
"""Writes a failure document about these records; says whether it is known to be there."""


class _Reader(msgspec.Struct):
    """One shard on its way; it is read from `position` on."""

    core: Shard
    position: int
    records: dict[str, AcceptedRecord] = msgspec.field(default_factory=dict)
    """What was read, by sequence number."""
    in_flight: list[Invoke] = msgspec.field(default_factory=list)
    """The invocations that the core wants or takes for begun, one a lane at most."""


class Poller:
    """One event source mapping; `checkpoints` says how many records of each shard are settled."""

    def __init__(
        self,
        function: str,
        *,
        stream: Kinesis,
        settings: Settings,
        conditions: Conditions,
        components: Components,
        invoke: Invocation,
        is_durable: Callable[[AcceptedRecord], bool],
        keep: Keeping | None = None,
    ) -> None:
        self.function = function
        self.checkpoints: dict[str, int] = {}
        self._stream = stream
        self._settings = settings
        self._one_lane = settings.parallelization_factor == 1
        self._conditions = conditions
        self._time = conditions.time
        self._components = components
        self._invoke = invoke
        self._is_durable = is_durable
        self._keep = keep
        self._goes_on = False
        self._readers: dict[str, _Reader] = {}
        self._ended: set[str] = set()
        self._delivered: set[str] = set()
        self._latest: dict[str, int] = {}  # by partition key, the highest number delivered

    def run(self, *, invocations: int, seconds: float) -> None:
        """Go on with every shard that may be read: so many invocations each, and so long.

        In the middle of its own going on, this does nothing.
        """
        if self._goes_on:
            return
        self._goes_on = True
        for shard in self._startable():
            self._go_on(shard, invocations, self._time.now + seconds)
        self._goes_on = False

    def drain(self) -> None:
        """Go on until everything on the stream is settled.

        Raises:
            ViolationError: it does not come to an end.
        """
        for _ in range(MOST_STEPS):
            waiting = [
                shard for shard in self._startable() if shard.closed or not self._settled(shard)
            ]
            if not waiting:
                return
            for shard in waiting:
                self._go_on(shard, 1, self._time.now + RETENTION.total_seconds())
        raise ViolationError("I7", f"{self.function} never drains")

    def restart(self) -> None:
        """Go on from the checkpoints: what was read or under way is read again."""
        self._readers.clear()

    def rewind(self, shard_id: str, to: int) -> None:
        """Read one shard again from here, or from the oldest record that the stream still has."""
        self._trim()
        self._readers.pop(shard_id, None)
        self._ended.discard(shard_id)
        self.checkpoints[shard_id] = min(to, self.checkpoints.get(shard_id, 0))

    def rewind_all(self) -> None:
        """Read everything again, from TRIM_HORIZON."""
        self._trim()
        self._readers.clear()
        self._ended.clear()
        self.checkpoints.clear()

    def _trim(self) -> None:
        self._stream.trim(self._time.now - RETENTION.total_seconds())

    def _startable(self) -> list[StreamShard]:
        shards = self._stream.shards
        parents = {shard_id: shard.parents for shard_id, shard in shards.items()}
        return [shards[one] for one in self._components.startable(parents, ended=self._ended)]

    def _reader(self, shard_id: str) -> _Reader:
        reader = self._readers.get(shard_id)
        if reader is None:
            core = self._components.shard(
                self._settings, retention=RETENTION.total_seconds(), chance=self._conditions.draw
            )
            reader = _Reader(core, self._checkpoint(self._stream.shards[shard_id]))
            self._readers[shard_id] = reader
        return reader

    def _go_on(self, shard: StreamShard, invocations: int, until: float) -> None:
        """One step of the core after another; an invocation ends once every lane has begun."""
        reader, time = self._reader(shard.shard_id), self._time
        for _ in range(MOST_STEPS):
            step = self._next(reader)
            match step:
                case None:
                    if not invocations:
                        return
                    invocations -= 1
                    self._end_any(reader)
                case Wait(at):
                    if at > until:
                        return
                    time.advance(at - time.now)
                case step:
                    if not self._moved(step, reader, shard):
                        return
        raise ViolationError("I7", f"{self.function} goes round and round in {shard.shard_id}")

    def _next(self, reader: _Reader) -> Read | Advance | Discard | Wait | Finished | None:
        """What to do until an invocation ends; None when only that is left."""
        while not (reader.in_flight and self._one_lane):
            match reader.core.next(self._time.now):
                case Invoke() as begun:
                    reader.in_flight.append(begun)
                    if len(reader.in_flight) > 1:
                        self._conditions.tally["several batches of a shard in flight"] += 1
                case Wait() if reader.in_flight:
                    break
                case step:
                    return step
        return None

    def _end_any(self, reader: _Reader) -> None:
        """Chance says whose invocation goes on to its end, and which others end in the middle."""
        if len(reader.in_flight) == 1:
            self._deliver(reader, reader.in_flight.pop())
            return
        draw = self._conditions.draw
        one = reader.in_flight.pop(int(draw() * len(reader.in_flight)))
        if draw() < 0.5:  # noqa: PLR2004 - a coin
            for other in reader.in_flight:
                self._time.later(draw() * MEANWHILE_SECONDS, partial(self._end, reader, other))
        self._deliver(reader, one)

    def _end(self, reader: _Reader, one: Invoke) -> None:
        """In the middle of whatever else is under way."""
        if one in reader.in_flight:
            reader.in_flight.remove(one)
            self._conditions.interleave(lambda: self._deliver(reader, one))

    def _deliver(self, reader: _Reader, one: Invoke) -> None:
        records = [reader.records[entry.sequence_number] for entry in one.entries]
        self._keep_order(records)
        answer = self._invoke(records)
        reader.core.invocation_ended(answer, request_id="", now=self._time.now, lane=one.lane)

    def _moved(
        self, step: Read | Advance | Discard | Finished, reader: _Reader, shard: StreamShard
    ) -> bool:
        """Do what takes no time; whether there is anything left to do."""
        match step:
            case Read(limit):
                return self._read(reader, shard, limit)
            case Advance(number):
                self.checkpoints[shard.shard_id] = sequence.position(number)
                reader.core.checkpoint_saved()
                return True
            case Discard():
                self._give_up(step, reader)
                return True
            case Finished():
                self._ended.add(shard.shard_id)
                self._readers.pop(shard.shard_id)
                return False

    def _give_up(self, step: Discard, reader: _Reader) -> None:
        """Nothing is passed on that is in no place: the rest needs a failure document first."""
        records = [reader.records[entry.sequence_number] for entry in step.entries]
        if self._keep is not None:
            if not self._keep(step, records):
                again = self._time.now + UNWRITTEN_SECONDS
                reader.core.discard_failed(again=again, lane=step.lane)
                return
        elif not all(self._is_durable(record) for record in records):
            raise ViolationError("I1", f"{self.function} gives up: {step.condition}")
        reader.core.discarded(lane=step.lane)

    def _read(self, reader: _Reader, shard: StreamShard, limit: int) -> bool:
        there = shard.records[reader.position : reader.position + limit]
        reader.position += len(there)
        reader.records.update((one.sequence_number, one) for one in there)
        behind = reader.position < len(shard.records)
        ended = shard.closed and not behind
        entries = [
            BatchRecord(one.sequence_number, one.partition_key, one.arrived_at, b"", one.data)
            for one in there
        ]
        reader.core.records_read(entries, behind=behind, ended=ended, now=self._time.now)
        return bool(there) or ended or not self._settled(shard)

    def _keep_order(self, records: Sequence[AcceptedRecord]) -> None:
        """I5: what is delivered for the first time comes after all of its key before it.

        Not so an aggregated record, whose key is not that of what it holds: all of those have one
        lane, and each of them is poison (docs/internals/facts.md, Event source mapping).
        """
        for record in records:
            number, key = record.sequence_number, record.partition_key
            if number in self._delivered:
                continue
            self._delivered.add(number)
            if not self._one_lane and record.data.startswith(AGGREGATED_MAGIC):
                continue
            if int(number) < self._latest.get(key, 0):
                raise ViolationError("I5", f"{self.function}: {record} came too late")
            self._latest[key] = int(number)

    def _settled(self, shard: StreamShard) -> bool:
        return self._checkpoint(shard) == len(shard.records)

    def _checkpoint(self, shard: StreamShard) -> int:
        return max(self.checkpoints.get(shard.shard_id, 0), shard.trimmed)
