"""One store down for the whole history: the other's final state is that of the fault-free run.

The fault-free run is the same plan with both stores up and no trouble on any line. Both runs stamp
versions by counting, since time passes differently where every request runs into its timeout.
What then differs is where and when a record arrived, and how a shard was cut into batches: an event
that the store refuses, or that is in conflict, needs no quarantine where a higher version of its
image is in the same batch.
Nothing else may differ.
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
from lockstep.simulation.plan import HistoryPlan, StepKind, plan
from lockstep.simulation.store_views import StoreView
from lockstep.simulation.system import Function
from shared.quarantine import PREFIX, QuarantinedRecord

SEEDS = 250
POSITIONAL = {"arrived_at", "expires_at", "sequence_number"}
# Other outages; and what an operator does depends on what both consumers have set aside.
LEFT_OUT: set[StepKind] = {"store down", "alias missing", "days pass", "redrive"}
OTHERS: Mapping[StoreName, tuple[Function, Function]] = {
    "table": ("write_to_dynamodb", "write_to_es"),
    "index": ("write_to_es", "write_to_dynamodb"),
}


def counting(_: Callable[[], float]) -> Callable[[], int]:
    return count(int(START * 1_000_000)).__next__


def without_faults(seed: int) -> HistoryPlan:
    whole = plan(seed)
    steps = tuple(step for step in whole.steps if step.kind not in LEFT_OUT)
    # Nor does a mapping give up: the outage never ends.
    return msgspec.structs.replace(
        whole, fault_rate=0.0, steps=steps, retries=None, age_seconds=None
    )


def state(history: History, function: Function) -> tuple[object, object]:
    """What is stored, and what is set aside and not superseded, less what is positional."""
    system = history.system
    store = system.consumers[function].store
    stored: Mapping[str, Mapping[str, Any] | None] = (
        system.table.items
        if function == "write_to_dynamodb"
        else {one: document.source for one, document in system.index.documents.items()}
    )
    aside = [
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
            for one in aside
            if one.reason not in {"refused_by_store", "conflict"} or not superseded(store, one)
        ),
    )


def superseded(store: StoreView, one: QuarantinedRecord) -> bool:
    held = store.stored_version(one.partition_key)
    return held is not None and held.version > (one.version or 0)


@pytest.mark.parametrize("down", OTHERS)
def test_the_other_store_ends_as_if_there_had_been_no_outage(down: StoreName) -> None:
    out, other = OTHERS[down]
    behind = 0
    for seed in range(SEEDS):
        planned = without_faults(seed)
        well = History(planned, Components(stamp=counting))
        well.run()
        troubled = History(planned, Components(stamp=counting))
        troubled.system.connections[down].down_until = inf
        troubled.play()
        troubled.drain(other)
        assert state(troubled, other) == state(well, other), f"seed {seed}, {down} down"
        stored, _ = state(troubled, out)
        assert not stored
        behind += state(well, out) != state(troubled, out)
        # The outage over, the store that was down catches up to the same state.
        troubled.finish()
        assert state(troubled, out) == state(well, out), f"seed {seed}, {down} up again"
        assert state(troubled, other) == state(well, other), f"seed {seed}, {down} up again"
    assert behind > SEEDS * 0.8  # most histories had something to miss
