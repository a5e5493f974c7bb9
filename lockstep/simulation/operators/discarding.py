"""Failure documents of many records, of records that went back, and several of one record."""

from collections.abc import Mapping, Sequence

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.steps import Discard
from lockstep.simulation.discards import DiscardWriter
from lockstep.simulation.events import as_json, event_of
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.oracle import Meaning, time_of
from lockstep.simulation.system import Function, System

_FUNCTIONS: Sequence[Function] = ("write_to_dynamodb", "write_to_es")
# A document of Lambda holds as many records as a batch.
_MANY_SHARE = 0.6
_MANY = (101, 105)
# Each reading of a document with many records takes as long as a usual history.
_MOST_DOCUMENTS, _MOST_OF_MANY = 3, 2
_MANY_SECONDS = 60.0


class Discarding:
    """Gives up batches, and lets an operator redrive in between."""

    def __init__(self, system: System, around: Surroundings, *, batch_size: int) -> None:
        """Act on this system, whose batches have this size."""
        self._system = system
        self._around = around
        self._batch_size = batch_size
        self._writers: Mapping[Function, DiscardWriter] = {
            one: DiscardWriter(system, one, name="many-") for one in _FUNCTIONS
        }
        self._images = 0

    def step(self) -> None:
        """Write some failure documents of one shard, whose records may overlap."""
        chance = self._system.conditions.chance
        many = self._batch_size >= _MANY[0] - 1 and chance.random() < _MANY_SHARE
        if many:
            self._put_many()
        shards = [one for one in self._system.stream.shards.values() if one.records]
        if not shards:
            return
        shard = max(shards, key=lambda one: len(one.records)) if many else chance.choice(shards)
        function = chance.choice(_FUNCTIONS)
        for _ in range(chance.randint(1, _MOST_OF_MANY if many else _MOST_DOCUMENTS)):
            records = shard.records[-_MANY[1] :]
            first = 0 if many else chance.randrange(len(records))
            last = len(records) if many else chance.randint(first + 1, len(records))
            self._give_up(function, records[first:last])
            if chance.random() < 0.5:  # noqa: PLR2004 - a coin
                self._around.redrive()

    def _put_many(self) -> None:
        """Another program updates one image more often than a batch has records."""
        system, chance = self._system, self._system.conditions.chance
        self._images += 1
        image_id = f"M{self._images}"
        for number in range(chance.randint(*_MANY)):
            version = int(system.time.now * 1_000_000) + number
            image = {"name": f"number {number}"}
            event = Meaning(image_id, version, "image.updated", time_of(version), image)
            data = as_json(chance, event_of(event))
            system.ledger.note(data, event)
            system.stream.accept(image_id, data)
        system.conditions.tally["many records of one image"] += 1
        system.time.advance(_MANY_SECONDS)

    def _give_up(self, function: Function, records: Sequence[AcceptedRecord]) -> None:
        """The mapping of this function gives up a batch, and reads on or begins again."""
        entries = tuple(
            BatchRecord(one.sequence_number, one.partition_key, one.arrived_at, b"", one.data)
            for one in records
        )
        step = Discard(entries, "RetryAttemptsExhausted", 1, None, None)
        self._writers[function].write(step, records)
