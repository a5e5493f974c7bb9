"""Days later: what goes back and what is purged is held to the same invariants as all else."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch

from lockstep.quarantine.cases import Found, find
from lockstep.redrive import Redrive, Settlement
from lockstep.simulation.history import History
from lockstep.simulation.parts import INDEX, Parts
from lockstep.simulation.plan import Plan, Step, plan
from lockstep.simulation.run import broken_by
from shared.deliver import Delivery, deliver
from shared.event import Event

LONG_AGO = dt.timedelta(days=10_000)
HISTORIES = 3_000


def finds_no_age(*args: Any, **kwargs: Any) -> Found:
    return find(*args, **kwargs | {"quarantine_age": LONG_AGO})


class KnowsNoAge(Redrive):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"quarantine_age": LONG_AGO})


class PutsNothing(Redrive):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._put = lambda _: None


class MovesFirst(Redrive):
    """Out of quarantine before the stream has it: what breaks off in between is lost."""

    def __init__(self, objects: Any, put: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(objects, self._hold, *args, **kwargs)
        self._really_put = put
        self._held: list[Event] = []

    def _hold(self, events: Iterable[Event]) -> None:
        self._held += events

    def _move(self, settlement: Settlement, bodies: Mapping[str, bytes]) -> int:
        moved = super()._move(settlement, bodies)
        held, self._held = self._held, []
        self._really_put(held)
        return moved


def purges_whatever_is_there(client: OpenSearch, image_id: str, _: int) -> None:
    target = {"_id": image_id, "require_alias": True}
    client.bulk(body=msgspec.json.encode({"delete": target}) + b"\n", index=INDEX)


def has_no_horizon(*args: Any, **kwargs: Any) -> Delivery:
    return deliver(*args, **kwargs | {"horizon": dt.timedelta(0)})


@pytest.mark.parametrize(
    ("wrong", "invariant"),
    [
        (Parts(find=finds_no_age, redrive=KnowsNoAge), "I"),
        (Parts(redrive=PutsNothing), "I1"),
        (Parts(redrive=MovesFirst), "I1"),
        (Parts(purge=purges_whatever_is_there), "I4"),
        (Parts(deliver=has_no_horizon), "I"),
    ],
    ids=["no age", "puts nothing", "moves first", "purges what is newer", "no horizon"],
)
def test_what_goes_wrong_days_later_is_found(wrong: Parts, invariant: str) -> None:
    for seed in range(HISTORIES):
        if any(step.kind in {"days pass", "redrive"} for step in plan(seed).steps):
            violation = broken_by(plan(seed), wrong)
            if violation is not None:
                assert violation.startswith(invariant), violation
                assert broken_by(plan(seed)) is None
                return
    pytest.fail("it was not found")


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
