"""Days later: what goes back and what is purged is held to the same invariants as all else."""

from typing import Any

import msgspec

from lockstep.simulation.history import History
from lockstep.simulation.plan import Plan, Step, plan


def quiet(*kinds: Any, seed: int = 0) -> Plan:
    """A plan without trouble, of these steps."""
    steps = tuple(Step(kind, seed + at) for at, kind in enumerate(kinds))
    return msgspec.structs.replace(plan(0), trouble=0.0, second_mapping=None, steps=steps)


def test_a_quarantined_record_whose_cause_is_over_goes_back_and_is_applied() -> None:
    applied = 0
    for seed in range(100):
        history = History(quiet("put", "days pass", "redrive", seed=seed))
        history.run()
        tally = history.system.weather.tally
        keys = history.system.bucket.objects
        redriven = {key for key in keys if key.startswith("redriven/write_to_")}
        expected = tally["redriven days later"] + tally["mended or chosen days later"]
        assert bool(redriven) == bool(expected)
        applied += expected
    assert applied


def test_expired_tombstones_go_from_both_stores_and_the_image_may_come_back() -> None:
    purged = came_back = 0
    for seed in range(150):
        history = History(quiet("put", "put", "days pass", "wait", "put", seed=seed * 10))
        history.run()
        for function, consumer in history.system.consumers.items():
            gone = {image_id for image_id, _ in history.system.purged[function]}
            purged += len(gone)
            came_back += sum(consumer.store.held(image_id) is not None for image_id in gone)
    assert purged
    assert 0 < came_back < purged
