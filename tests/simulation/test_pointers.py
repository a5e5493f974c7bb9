"""Redrives of what failure documents without records point at."""

import datetime as dt

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.steps import Discard
from lockstep.quarantine.bucket import redriven_key
from lockstep.simulation.discards import DiscardWriter
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.history import History
from lockstep.simulation.operators.redrives import Redrives
from lockstep.simulation.system import System
from tests.simulation.test_operators import quiet


def _pointer(system: System, record: AcceptedRecord) -> bytes:
    """A failure document that names the position of one record, and does not contain it."""
    entry = BatchRecord(
        record.sequence_number, record.partition_key, record.arrived_at, b"", record.data
    )
    at = dt.datetime.fromtimestamp(system.time.now, dt.UTC)
    discard = Discard((entry,), "RetryAttemptsExhausted", 1, None, None)
    return (
        DiscardWriter(system, "write_to_es", name="pointer-")
        .document(discard, [record], at)
        .pointer
    )


def test_a_forged_object_at_the_key_of_a_pointers_record_stays() -> None:
    history = History(quiet("put", "poll"))
    history._programs.put_poison("refused by the table")  # noqa: SLF001 - so that there is a case
    history._drain_all()  # noqa: SLF001 - as a step does
    system = history.system
    record = system.stream.accepted[-1]
    in_table, in_index = (
        system.quarantine_key(system.consumers[name], record)
        for name in ("write_to_dynamodb", "write_to_es")
    )
    assert in_table in system.bucket.objects
    system.bucket.objects[in_index] = b"{"
    system.forged.add(in_index)
    redrives = Redrives(system, lambda: None)
    found = redrives.redrive_pointers([_pointer(system, record)])
    assert [one.keys for one in found.cases] == [(in_table, in_index)]
    assert system.bucket.objects.keys() >= {in_index, redriven_key(in_table)}
    assert in_table not in system.bucket.objects
