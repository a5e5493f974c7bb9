"""If one store is down for the whole history, the other ends as in the run without faults.

The run without faults is the same plan with both stores up. Both runs count versions up instead of
using a clock, because time passes differently where requests time out. Only these may differ: where
and when a record arrived, and how a shard was cut into batches. A refused or conflicting event
needs no quarantine if a higher version of its image is in the same batch.
"""

from collections.abc import Callable, Mapping
from itertools import count
from math import inf
from typing import Any

import msgspec
import pytest

from lockstep.simulation.clock import START
from lockstep.simulation.components import Components
from lockstep.simulation.faulty_network import StoreName
from lockstep.simulation.history import History
from lockstep.simulation.plan import HistoryPlan, StepKind, plain, plan
from lockstep.simulation.store_views import StoreView
from lockstep.simulation.system import Function
from shared.quarantine import PREFIX, QuarantinedRecord

SEEDS = 250
POSITIONAL = {"arrived_at", "expires_at", "sequence_number"}
# Other outages, and operations that depend on the quarantine of both consumers.
LEFT_OUT: set[StepKind] = {"store down", "alias missing", "days pass", "redrive"}
OTHERS: Mapping[StoreName, tuple[Function, Function]] = {
    "table": ("write_to_dynamodb", "write_to_es"),
    "index": ("write_to_es", "write_to_dynamodb"),
}


def counting(_: Callable[[], float]) -> Callable[[], int]:
    return count(int(START * 1_000_000)).__next__


def without_faults(seed: int) -> HistoryPlan:
    whole = plain(plan(seed))
    steps = tuple(step for step in whole.steps if step.kind not in LEFT_OUT)
    # The mappings discard nothing, because the outage does not end.
    return msgspec.structs.replace(
        whole, fault_rate=0.0, steps=steps, retries=None, age_seconds=None
    )


def state(history: History, function: Function) -> tuple[object, object]:
    """What is stored, and what is quarantined and not superseded, without positions and times."""
    system = history.system
    store = system.consumers[function].store
    stored: Mapping[str, Mapping[str, Any] | None] = (
        system.table.items
        if function == "write_to_dynamodb"
        else {one: document.source for one, document in system.index.documents.items()}
    )
    quarantined = [
        msgspec.json.decode(body, type=QuarantinedRecord)
        for key, body in system.bucket.objects.items()
        if key.startswith(f"{PREFIX}{function}/")
    ]
    return (
        {
            image_id: {name: value for name, value in one.items() if name not in POSITIONAL}
            for image_id, one in stored.items()
            if one is not None
        },
        sorted(
            (one.partition_key, one.version or 0, one.reason, one.payload)
            for one in quarantined
            if one.reason not in {"refused_by_store", "conflict"} or not superseded(store, one)
        ),
    )


def superseded(store: StoreView, one: QuarantinedRecord) -> bool:
    held = store.stored_version(one.partition_key)
    return held is not None and held.version > (one.version or 0)


@pytest.mark.parametrize("down", OTHERS)
def test_the_other_store_ends_as_without_the_outage(down: StoreName) -> None:
    out, other = OTHERS[down]
    missed = 0
    for seed in range(SEEDS):
        planned = without_faults(seed)
        healthy = History(planned, Components(stamp=counting))
        healthy.run()
        faulty = History(planned, Components(stamp=counting))
        faulty.system.connections[down].down_until = inf
        faulty.play()
        faulty.drain(other)
        assert state(faulty, other) == state(healthy, other), f"seed {seed}, {down} down"
        stored, _ = state(faulty, out)
        assert not stored
        missed += state(healthy, out) != state(faulty, out)
        # After the outage, the store that was down reaches the same state.
        faulty.finish()
        assert state(faulty, out) == state(healthy, out), f"seed {seed}, {down} up again"
        assert state(faulty, other) == state(healthy, other), f"seed {seed}, {down} up again"
    # In the other histories, which have two steps or fewer, mostly nothing is put.
    assert missed > SEEDS * 0.6
