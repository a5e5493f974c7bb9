"""The poller: runs the real core of an event source mapping on the fake stream."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Protocol

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Finished, Invoke, Read, Wait
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.violation import ViolationError
from lockstep.stream.checkpoints import Gap
from lockstep.stream.gaps import GapFinder
from shared.event import AGGREGATED_MAGIC

# Far more than any batch needs after the faults have stopped.
MOST_STEPS = 10_000
# So short that an invocation can begin during the first requests of another one.
MEANWHILE_SECONDS = 0.2

# The pause before a failure document is written again. The destination may be down for hours.
UNWRITTEN_SECONDS = 30.0

type Invocation = Callable[[Sequence[AcceptedRecord]], Returned | Errored]

type WriteDiscarded = Callable[[Discard, Sequence[AcceptedRecord]], bool]
"""Writes the failure document of these records; returns whether the write is confirmed."""


class PolledShard(Protocol):
    """A shard of any stream: the image stream, the table's own, or that of the table's changes."""

    @property
    def shard_id(self) -> str:
        """Its id."""
        ...

    @property
    def parents(self) -> AbstractSet[str]:
        """The shards that it continues."""
        ...

    @property
    def records(self) -> Sequence[AcceptedRecord]:
        """Its records, in order."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it accepts no more records."""
        ...

    @property
    def trimmed(self) -> int:
        """How many records were removed after the retention."""
        ...

    def position_of(self, sequence_number: str) -> int:
        """How many records there are up to this one."""
        ...


class Polled(Protocol):
    """A stream of any kind."""

    @property
    def shards(self) -> Mapping[str, PolledShard]:
        """Its shards by id."""
        ...

    @property
    def retention(self) -> float:
        """How long it keeps a record, in seconds."""
        ...

    def trim(self, before: float) -> None:
        """Remove the records that arrived before this time."""
        ...


class LossNotes(Protocol):
    """Where a mapping notes what it cannot read any more."""

    def finder(self, shard_id: str, after: str) -> GapFinder:
        """Finds the gaps of a shard after the last record that was settled."""
        ...

    def note(self, gap: Gap) -> None:
        """Store a gap; one with a known beginning gets a new end."""
        ...


class MappingParts(Protocol):
    """The components of an event source mapping."""

    @property
    def shard(self) -> Callable[..., Shard]:
        """The core of the mapping, for one shard."""
        ...

    @property
    def startable(self) -> Callable[..., list[str]]:
        """Which shards can be read: those whose parents have ended."""
        ...


class _Reader(msgspec.Struct):
    """The progress in one shard; `position` is the next record to read."""

    core: Shard
    position: int
    records: dict[str, AcceptedRecord] = msgspec.field(default_factory=dict)
    """The records read, by sequence number."""
    gaps: GapFinder | None = None
    """Set if the stream has removed records after the last one that was settled."""
    in_flight: list[Invoke] = msgspec.field(default_factory=list)
    """The invocations that the core has begun, at most one for each lane."""


class Poller:
    """One event source mapping. `checkpoints` has the number of settled records of each shard."""

    def __init__(
        self,
        function: str,
        *,
        stream: Polled,
        settings: Settings,
        conditions: Conditions,
        components: MappingParts,
        invoke: Invocation,
        is_durable: Callable[[AcceptedRecord], bool],
        write_discarded: WriteDiscarded | None = None,
        losses: LossNotes | None = None,
    ) -> None:
        self.function = function
        self.stopped = False
        self.is_off = False
        self.checkpoints: dict[str, int] = {}
        self._stream = stream
        self._settings = settings
        self._one_lane = settings.parallelization_factor == 1
        self._conditions = conditions
        self._time = conditions.time
        self._components = components
        self._invoke = invoke
        self._is_durable = is_durable
        self._write_discarded = write_discarded
        self._losses = losses
        self._is_running = False
        self._furthest: dict[str, int] = {}  # how many records of a shard were ever settled
        self._parents: dict[str, AbstractSet[str]] = {}  # of each shard
        self._readers: dict[str, _Reader] = {}
        self._ended: set[str] = set()
        self._delivered: set[str] = set()
        self._latest: dict[str, int] = {}  # by partition key, the highest number delivered

    def run(self, *, invocations: int, seconds: float) -> None:
        """Process each readable shard with at most this many invocations and seconds.

        Does nothing if it is already running.
        """
        if self._is_running or self.stopped or self.is_off:
            return
        self._is_running = True
        for shard in self._startable():
            self._run_shard(shard, invocations, self._time.now + seconds)
        self._is_running = False

    def drain(self) -> None:
        """Run until every record on the stream is settled.

        Raises:
            ViolationError: it does not end.
        """
        for _ in range(MOST_STEPS):
            waiting = [
                shard for shard in self._startable() if shard.closed or not self._settled(shard)
            ]
            if not waiting or self.stopped or self.is_off:
                return
            for shard in waiting:
                self._run_shard(shard, 1, self._time.now + self._stream.retention)
        raise ViolationError("I7", f"{self.function} never drains")

    def settled(self) -> Iterator[AcceptedRecord]:
        """All records that are settled and still on the stream."""
        for shard in self._stream.shards.values():
            yield from shard.records[shard.trimmed : self._checkpoint(shard)]

    def readable_shards(self) -> Sequence[PolledShard]:
        """The shards of its stream, after it has removed what is too old."""
        self._trim()
        return list(self._stream.shards.values())

    def reads(self, shard: PolledShard) -> bool:
        """Whether this is a shard of its stream."""
        return self._stream.shards.get(shard.shard_id) is shard

    def stop(self) -> None:
        """Delete the mapping: it reads and delivers nothing any more."""
        self.stopped = True

    def turn_off(self) -> None:
        """Disable the mapping: it forgets what is in flight, and keeps its checkpoints."""
        self.is_off = True
        self._readers.clear()

    def turn_on(self) -> None:
        """Enable the mapping again: it reads on after its checkpoints."""
        self.is_off = False

    def unread_and_gone(self) -> Iterator[AcceptedRecord]:
        """What the stream removed after the last record of each shard that was settled."""
        for shard in self._stream.shards.values():
            yield from shard.records[self._furthest.get(shard.shard_id, 0) : shard.trimmed]

    def note_gaps(self) -> None:
        """Note what was removed in shards in which nothing follows it.

        The file of the stream shows it before the mapping reads on (lockstep/stream/backlog.py).
        """
        for shard in self._stream.shards.values():
            removed = shard.trimmed - self._furthest.get(shard.shard_id, 0)
            if removed > 0 and self._losses is not None:
                gaps = self._losses.finder(shard.shard_id, self._last_settled(shard))
                found = gaps.unread(until=self._time.now)
                self._losses.note(msgspec.structs.replace(found, records=removed))

    def restart(self) -> None:
        """Restart at the checkpoints: read records again that were read or in flight."""
        self._readers.clear()

    def rewind(self, shard_id: str, to: int) -> None:
        """Read a shard again from this position, or from its oldest record."""
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

    def oldest_unsettled(self) -> float | None:
        """The arrival of the oldest record that is not settled, in seconds; None if all are."""
        arrivals = [
            shard.records[self._checkpoint(shard)].arrived_at
            for shard in self._stream.shards.values()
            if not self._settled(shard)
        ]
        return min(arrivals, default=None)

    def _trim(self) -> None:
        self._stream.trim(self._time.now - self._stream.retention)

    def _startable(self) -> list[PolledShard]:
        shards = self._stream.shards
        if len(shards) > len(self._parents):  # a stream forgets no shard
            self._parents = {shard_id: shard.parents for shard_id, shard in shards.items()}
        startable = self._components.startable(self._parents, ended=self._ended)
        return [shards[one] for one in startable]

    def _reader(self, shard_id: str) -> _Reader:
        reader = self._readers.get(shard_id)
        if reader is None:
            core = self._components.shard(
                self._settings, retention=self._stream.retention, chance=self._conditions.draw
            )
            shard = self._stream.shards[shard_id]
            reader = _Reader(core, self._checkpoint(shard))
            if self._losses is not None and self._furthest.get(shard_id, 0) < shard.trimmed:
                reader.gaps = self._losses.finder(shard_id, self._last_settled(shard))
            self._readers[shard_id] = reader
        return reader

    def _last_settled(self, shard: PolledShard) -> str:
        """The number of the last record that was ever settled; empty: none was."""
        furthest = self._furthest.get(shard.shard_id, 0)
        return shard.records[furthest - 1].sequence_number if furthest else ""

    def _run_shard(self, shard: PolledShard, invocations: int, until: float) -> None:
        """Run the core step by step. Finish an invocation when no other one can begin."""
        reader, time = self._reader(shard.shard_id), self._time
        for _ in range(MOST_STEPS):
            if self.stopped:
                return
            step = self._next(reader)
            match step:
                case None:
                    if not invocations:
                        return
                    invocations -= 1
                    self._finish_one(reader)
                case Wait(at):
                    if at > until:
                        return
                    time.advance(at - time.now)
                case step:
                    if not self._apply(step, reader, shard):
                        return
        raise ViolationError("I7", f"{self.function} makes no progress in {shard.shard_id}")

    def _next(self, reader: _Reader) -> Read | Advance | Discard | Wait | Finished | None:
        """The next step of the core; None if an invocation must finish first."""
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

    def _finish_one(self, reader: _Reader) -> None:
        """Finish a random invocation. Others may finish during it."""
        if len(reader.in_flight) == 1:
            self._deliver(reader, reader.in_flight.pop())
            return
        draw = self._conditions.draw
        one = reader.in_flight.pop(int(draw() * len(reader.in_flight)))
        if draw() < 0.5:  # noqa: PLR2004 - a coin
            for other in reader.in_flight:
                self._time.later(draw() * MEANWHILE_SECONDS, partial(self._finish, reader, other))
        self._deliver(reader, one)

    def _finish(self, reader: _Reader, one: Invoke) -> None:
        """Finish this invocation, while another one runs."""
        if not self.stopped and one in reader.in_flight:
            reader.in_flight.remove(one)
            self._conditions.interleave(lambda: self._deliver(reader, one))

    def _deliver(self, reader: _Reader, one: Invoke) -> None:
        records = [reader.records[entry.sequence_number] for entry in one.entries]
        self._check_order(records)
        answer = self._invoke(records)
        reader.core.invocation_ended(answer, request_id="", now=self._time.now, lane=one.lane)

    def _apply(
        self, step: Read | Advance | Discard | Finished, reader: _Reader, shard: PolledShard
    ) -> bool:
        """Do a step that takes no time; return whether the shard has more to do."""
        match step:
            case Read(limit):
                return self._read(reader, shard, limit)
            case Advance(number):
                settled = shard.position_of(number)
                self.checkpoints[shard.shard_id] = settled
                self._furthest[shard.shard_id] = max(settled, self._furthest.get(shard.shard_id, 0))
                reader.core.checkpoint_saved()
                return True
            case Discard():
                self._discard(step, reader, shard)
                return True
            case Finished():
                self._ended.add(shard.shard_id)
                self._readers.pop(shard.shard_id)
                return False

    def _discard(self, step: Discard, reader: _Reader, shard: PolledShard) -> None:
        """Discard a batch. Records that are not durable need a failure document first.

        What was settled before is not lost: somebody changed a store by hand, and then began to
        read again shortly before the stream removed the records.
        """
        records = [reader.records[entry.sequence_number] for entry in step.entries]
        if self._write_discarded is not None:
            if not self._write_discarded(step, records):
                again = self._time.now + UNWRITTEN_SECONDS
                reader.core.discard_failed(again=again, lane=step.lane)
                return
        elif not all(
            self._is_durable(record)
            or shard.position_of(record.sequence_number) <= self._furthest.get(shard.shard_id, 0)
            for record in records
        ):
            raise ViolationError("I1", f"{self.function} discards a batch: {step.condition}")
        reader.core.discarded(lane=step.lane)

    def _read(self, reader: _Reader, shard: PolledShard, limit: int) -> bool:
        there = shard.records[reader.position : reader.position + limit]
        if there and reader.gaps is not None and self._losses is not None:
            first, last = there[0], there[-1]
            found = reader.gaps.read(first.sequence_number, first.arrived_at, last.sequence_number)
            if found is not None:
                self._losses.note(found)
            reader.gaps = None
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

    def _check_order(self, records: Sequence[AcceptedRecord]) -> None:
        """I5: the first deliveries of the records of one key are in order.

        With several lanes, aggregated records are exempt: the lane does not follow from their own
        partition key, so all share one lane. Each is poison (docs/internals/facts.md).
        """
        for record in records:
            number, key = record.sequence_number, record.partition_key
            if number in self._delivered:
                continue
            self._delivered.add(number)
            if not self._one_lane and record.data.startswith(AGGREGATED_MAGIC):
                continue
            if int(number) < self._latest.get(key, 0):
                raise ViolationError("I5", f"{self.function}: {record} was delivered too late")
            self._latest[key] = int(number)

    def _settled(self, shard: PolledShard) -> bool:
        return self._checkpoint(shard) == len(shard.records)

    def _checkpoint(self, shard: PolledShard) -> int:
        return max(self.checkpoints.get(shard.shard_id, 0), shard.trimmed)
