"""The rule of the simulation for changes that a stored one outran: which of them must be kept."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.simulation import invariants
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.history import History
from lockstep.simulation.oracle import Holding, Meaning
from lockstep.simulation.violation import ViolationError
from tests.simulation.test_operators import quiet

TABLE = "write_to_dynamodb"


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_change_of_a_batch_is_not_outrun_if_a_higher_one_of_its_millisecond_was_written(
    earlier: int,
) -> None:
    """A rebuild then wrote again what had expired in the index (seed 6,920,421)."""
    history = History(quiet())
    system = history.system
    history.uploaders[1].put([("T0", "image.updated")])
    history.uploaders[1].put([("T0", "image.deleted")])
    lower, higher = system.stream.accepted
    history.drain("write_to_es")
    store = system.consumers["write_to_es"].store
    *_, written = [one for one in store.journal if one.image_id == "T0"]
    written.entry.source["arrived_at"] = lower.arrived_ms - earlier
    copied = Holding(10**15, lower.arrived_ms - 1_000, "2026-11-21T07:00:00Z")
    system.stream.accepted.remove(higher)
    its = SimpleNamespace(holding=lambda _: copied, journal=[written])
    consumer: Any = SimpleNamespace(function="write_to_es", store=its)
    expected = pytest.raises(ViolationError, match="is outrun") if earlier else nullcontext()
    with expected:
        invariants._check_outrun(system, consumer, set())  # noqa: SLF001 - one rule of them


@pytest.mark.parametrize("first", ["08:00:10", "08:00:30"])
def test_a_repetition_is_judged_by_what_its_first_record_says(first: str) -> None:
    """Both may be in one batch, and are one candidate there (seed 6,954,324)."""
    held = Holding(10, 1_000, "2026-11-21T08:00:20Z")
    records = [AcceptedRecord("s", str(at), "T0", 2.0 + at, b"") for at in range(2)]
    said = dict(zip(records, (first, "08:00:40"), strict=True))

    def interpret(record: AcceptedRecord) -> Meaning:
        return Meaning("T0", 9, "image.deleted", f"2026-11-21T{said[record]}Z", None)

    system: Any = SimpleNamespace(
        discards={TABLE: SimpleNamespace(attempted={})},
        stream=SimpleNamespace(accepted=records),
        interpret=interpret,
        losses=SimpleNamespace(is_lost=lambda *_: False),
        touched={TABLE: {}},
    )
    store = SimpleNamespace(holding=lambda _: held, journal=[])
    consumer: Any = SimpleNamespace(function=TABLE, store=store)
    is_older = first < "08:00:20"
    expected = nullcontext() if is_older else pytest.raises(ViolationError, match="is outrun")
    with expected:
        invariants._check_outrun(system, consumer, set())  # noqa: SLF001 - one rule of them
