"""The poller: an event source mapping's real core, driven over the stream's shards in its time."""

from collections.abc import Callable, Sequence

import msgspec

from lockstep.local.kinesis import sequence
from lockstep.local.mapping.batch import Entry
from lockstep.local.mapping.core import Advance, Discard, Finished, Invoke, Read, Shard, Wait
from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.fakes.kinesis import Accepted, Kinesis, ShardOfStream
from lockstep.simulation.parts import Parts
from lockstep.simulation.violation import ViolationError

RETENTION_SECONDS = 7 * 24 * 3_600.0
# Far beyond what any batch needs once nothing fails any more.
MOST_STEPS = 10_000

type Invocation = Callable[[Sequence[Accepted]], Returned | Errored]


class _Reader(msgspec.Struct):
    """One shard on its way; it is read from `position` on."""

    core: Shard
    position: int
    asked: Invoke | None = None
    """What the core wants invoked, when there was no invocation left for it."""


class Poller:
    """One event source mapping; `checkpoints` says how many records of each shard are settled."""

    def __init__(
        self,
        function: str,
        *,
        stream: Kinesis,
        settings: Settings,
        time: VirtualTime,
        parts: Parts,
        chance: Callable[[], float],
        invoke: Invocation,
    ) -> None:
        self.function = function
        self.checkpoints: dict[str, int] = {}
        self._stream = stream
        self._settings = settings
        self._time = time
        self._parts = parts
        self._chance = chance
        self._invoke = invoke
        self._readers: dict[str, _Reader] = {}
        self._ended: set[str] = set()
        self._delivered: set[str] = set()
        self._latest: dict[str, int] = {}  # by partition key, the highest number delivered

    def run(self, *, invocations: int, seconds: float) -> None:
        """Go on with every shard that may be read: so many invocations each, and so long."""
        for shard in self._startable():
            self._go_on(shard, invocations, self._time.now + seconds)

    def drain(self) -> None:
        """Go on until everything on the stream is settled.

        Raises:
            ViolationError: it does not come to an end.
        """
        for _ in range(MOST_STEPS):
            waiting = [
                shard
                for shard in self._startable()
                if shard.closed or self.checkpoints.get(shard.shard_id, 0) < len(shard.records)
            ]
            if not waiting:
                return
            for shard in waiting:
                self._go_on(shard, 1, self._time.now + RETENTION_SECONDS)
        raise ViolationError("I7", f"{self.function} never drains")

    def restart(self) -> None:
        """Go on from the checkpoints: what was read or under way is read again."""
        self._readers.clear()

    def rewind(self, shard_id: str, to: int) -> None:
        """Read one shard again from here."""
        self._readers.pop(shard_id, None)
        self._ended.discard(shard_id)
        self.checkpoints[shard_id] = min(to, self.checkpoints.get(shard_id, 0))

    def rewind_all(self) -> None:
        """Read everything again, from TRIM_HORIZON."""
        self._readers.clear()
        self._ended.clear()
        self.checkpoints.clear()

    def _startable(self) -> list[ShardOfStream]:
        shards = self._stream.shards
        parents = {shard_id: shard.parents for shard_id, shard in shards.items()}
        return [shards[one] for one in self._parts.startable(parents, ended=self._ended)]

    def _reader(self, shard_id: str) -> _Reader:
        reader = self._readers.get(shard_id)
        if reader is None:
            core = self._parts.shard(
                self._settings, retention=RETENTION_SECONDS, chance=self._chance
            )
            reader = _Reader(core, self.checkpoints.get(shard_id, 0))
            self._readers[shard_id] = reader
        return reader

    def _go_on(self, shard: ShardOfStream, invocations: int, until: float) -> None:
        reader, time = self._reader(shard.shard_id), self._time
        for _ in range(MOST_STEPS):
            step, reader.asked = reader.asked or reader.core.next(time.now), None
            match step:
                case Invoke(batch):
                    if not invocations:
                        reader.asked = step
                        return
                    invocations -= 1
                    self._deliver(reader.core, shard, batch)
                case Wait(at):
                    if at > until:
                        return
                    time.advance(at - time.now)
                case step:
                    if not self._moved(step, reader, shard):
                        return
        raise ViolationError("I7", f"{self.function} goes round and round in {shard.shard_id}")

    def _deliver(self, core: Shard, shard: ShardOfStream, batch: Sequence[Entry]) -> None:
        first = sequence.parse(batch[0].sequence_number).position - 1
        records = shard.records[first : first + len(batch)]
        self._keep_order(records)
        core.answered(self._invoke(records), request_id="", now=self._time.now)

    def _moved(
        self, step: Read | Advance | Discard | Finished, reader: _Reader, shard: ShardOfStream
    ) -> bool:
        """Do what takes no time; whether there is anything left to do."""
        match step:
            case Read(limit):
                return self._read(reader, shard, limit)
            case Advance(number):
                self.checkpoints[shard.shard_id] = sequence.parse(number).position
                reader.core.advanced()
                return True
            case Discard(batch, condition):
                raise ViolationError("I1", f"{len(batch)} records given up: {condition}")
            case Finished():
                self._ended.add(shard.shard_id)
                self._readers.pop(shard.shard_id)
                return False

    def _read(self, reader: _Reader, shard: ShardOfStream, limit: int) -> bool:
        there = shard.records[reader.position : reader.position + limit]
        reader.position += len(there)
        behind = reader.position < len(shard.records)
        ended = shard.closed and not behind
        entries = [
            Entry(one.sequence_number, one.partition_key, one.arrived_at, b"") for one in there
        ]
        reader.core.took(entries, behind=behind, ended=ended, now=self._time.now)
        return bool(there) or ended or not self._settled(shard)

    def _keep_order(self, records: Sequence[Accepted]) -> None:
        """I5: what is delivered for the first time comes after all of its key before it."""
        for record in records:
            number, key = record.sequence_number, record.partition_key
            if number in self._delivered:
                continue
            self._delivered.add(number)
            if int(number) < self._latest.get(key, 0):
                raise ViolationError("I5", f"{self.function}: {record} came too late")
            self._latest[key] = int(number)

    def _settled(self, shard: ShardOfStream) -> bool:
        return self.checkpoints.get(shard.shard_id, 0) == len(shard.records)
