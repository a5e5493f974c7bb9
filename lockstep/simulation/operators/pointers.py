"""Redrives by failure documents without records: they name only positions of the stream."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.steps import Discard
from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.quarantine.cases import FoundCases
from lockstep.simulation.discards import DiscardWriter
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.system import Function, System
from lockstep.simulation.violation import ViolationError

_HOUR = 3_600.0
_MOST_POINTERS, _MOST_EVENTS, _MOST_RECORDS = 3, 4, 6
# How often the stream removes some of the records before the redrive.
_GONE_SHARE = 0.4


class Pointers:
    """Gives up batches whose failure documents go to a queue, and redrives them."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Act on this system."""
        self._system = system
        self._around = around
        functions: Sequence[Function] = ("write_to_dynamodb", "write_to_es")
        # Only a consumer of the image stream can give up its records.
        self._writers: Mapping[Function, DiscardWriter] = {
            one: DiscardWriter(system, one, name="pointer-")
            for one in functions[: 2 if around.reads_events else 1]
        }

    def step(self) -> None:
        """Write pointers to some records of a shard, wait, and redrive what they point at.

        Raises:
            ViolationError: I1: the redrive finds other records than the stream holds, or does not
                name those that are gone. O1, O2, O4 or O6, as of each redrive.
        """
        chance = self._system.conditions.chance
        for _ in range(chance.randint(0, _MOST_EVENTS)):
            self._around.put(f"T{chance.randrange(3)}")
        shards = [one for one in self._system.stream.shards.values() if one.records]
        if not shards:
            return
        records = chance.choice(shards).records[-_MOST_RECORDS:]
        named: list[tuple[Function, Sequence[AcceptedRecord]]] = []
        for _ in range(chance.randint(1, _MOST_POINTERS)):
            first = chance.randrange(len(records))
            last = chance.randint(first + 1, len(records))
            named.append((chance.choice(sorted(self._writers)), records[first:last]))
        pointers = [self._pointer(function, some) for function, some in named]
        if chance.random() < _GONE_SHARE:
            self._let_some_go(chance.choice(records))
        there = [(function, self._held(some)) for function, some in named]
        moved = self._moved(there)
        found = self._around.redrive_pointers(pointers)
        self._check(found, named, there, moved)

    def _pointer(self, function: Function, records: Sequence[AcceptedRecord]) -> bytes:
        entries = tuple(
            BatchRecord(one.sequence_number, one.partition_key, one.arrived_at, b"", one.data)
            for one in records
        )
        step = Discard(entries, "RetryAttemptsExhausted", 1, None, None)
        at = dt.datetime.fromtimestamp(self._system.time.now, dt.UTC)
        return self._writers[function].document(step, records, at).pointer

    def _let_some_go(self, last: AcceptedRecord) -> None:
        """Consume everything, then wait until the stream has removed this record, or nearly."""
        system = self._system
        rate = system.conditions.fault_rate
        self._around.drain()
        system.conditions.fault_rate = rate
        off = system.conditions.chance.choice((-_HOUR, 1.0, _HOUR))
        system.time.advance(
            max(0.0, last.arrived_at + system.stream.retention + off - system.time.now)
        )
        system.stream.trim_expired()

    def _held(self, records: Sequence[AcceptedRecord]) -> Sequence[AcceptedRecord]:
        """Those of these records that the stream still holds."""
        self._system.stream.trim_expired()
        shard = self._system.stream.shards[records[0].shard_id]
        held = {one.sequence_number for one in shard.records[shard.trimmed :]}
        return [one for one in records if one.sequence_number in held]

    def _keys(self, named: Sequence[tuple[Function, Sequence[AcceptedRecord]]]) -> Iterator[str]:
        for function, records in named:
            consumer = self._system.consumers[function]
            yield from (self._system.quarantine_key(consumer, one) for one in records)

    def _moved(self, named: Sequence[tuple[Function, Sequence[AcceptedRecord]]]) -> set[str]:
        """Which of these records an operator has settled before."""
        objects = self._system.bucket.objects
        return {
            key
            for key in self._keys(named)
            if key not in objects
            and (redriven_key(key) in objects or discarded_key(key) in objects)
        }

    def _check(
        self,
        found: FoundCases,
        named: Sequence[tuple[Function, Sequence[AcceptedRecord]]],
        there: Sequence[tuple[Function, Sequence[AcceptedRecord]]],
        moved: set[str],
    ) -> None:
        """I1: the redrive found what the stream holds, and named what is gone."""
        tally = self._system.conditions.tally
        expected = set(self._keys(there)) - moved
        if found.fetched.keys() != expected:
            raise ViolationError(
                "I1", f"pointers to {sorted(expected)}: the redrive found {sorted(found.fetched)}"
            )
        gone = [
            len(all_of) - len(held) for (_, all_of), (_, held) in zip(named, there, strict=True)
        ]
        said = [one.records for one in found.gone]
        if said != [number for number in gone if number]:
            raise ViolationError(
                "I1", f"{gone} records of pointers are gone: the redrive says {said}"
            )
        tally["redriven from the stream"] += len(expected)
        tally["pointed at records that are gone"] += sum(gone)
