"""Choices between two contents of one version, and the promises of a redrive."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.simulation.components import REAL
from lockstep.simulation.faults import Tally
from lockstep.simulation.history import History
from lockstep.simulation.operators.redrives import Redrives
from lockstep.simulation.operators.settling import Settling
from lockstep.simulation.run import broken_by
from lockstep.simulation.violation import ViolationError
from tests.simulation.test_operators import quiet
from tests.simulation.wrong_components import WRONG


def test_the_source_goes_on_after_a_choice_and_nothing_is_lost() -> None:
    tally = Tally()
    for seed in range(20):
        history = History(quiet("choose", seed=seed), REAL, tally)
        history.run()
    assert tally["chosen while the source went on"] == 20
    assert tally["chosen days later"] + tally["corrected days later"] > 5
    assert tally["clock back"]


@pytest.mark.parametrize(
    "name",
    [
        "redrive: a choice takes the number that the source uses next",
        "redrive: a choice takes the stamp that the source uses next",
        "redrive: a correction takes the number that the source uses next",
    ],
)
def test_a_number_that_the_source_uses_next_is_seen(name: str) -> None:
    found = {broken_by(quiet("choose", seed=seed), WRONG[name]) for seed in range(100)}
    assert any("which its source uses" in (one or "") for one in found)


@pytest.mark.parametrize(("below_the_clock", "is_noted"), [(0, False), (1, True), (1_000, True)])
def test_only_a_stamp_of_this_microsecond_may_be_that_of_another_program_too(
    below_the_clock: int,
    is_noted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    system = History(quiet()).system
    version = int(system.time.now * 1_000_000) - below_the_clock
    event = SimpleNamespace(image_id="T0", version=version)
    stores: Any = None
    settled: Any = SimpleNamespace(event=event, case=SimpleNamespace(image="T0", version=5))
    Settling(system, stores, lambda: system.time.now)._check_version(settled)  # noqa: SLF001 - as its steps do
    assert system.chosen == ({("T0", version)} if is_noted else set())


@pytest.mark.parametrize(("seconds_ahead", "is_seen"), [(0.0, True), (7_200.0, False)])
def test_a_tombstone_is_over_by_the_clock_of_the_operator(
    seconds_ahead: float,
    is_seen: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    system = History(quiet()).system
    ends = int(system.time.now) + 3_600
    system.table.items["T0"] = {"version": {"N": "2"}, "expires_at": {"N": str(ends)}}
    stores: Any = None
    settling = Settling(system, stores, lambda: system.time.now + seconds_ahead)
    mended: Any = SimpleNamespace(event=object(), case=SimpleNamespace(image="T0", version=1))
    with pytest.raises(ViolationError, match="O5") if is_seen else nullcontext():
        settling._check_undoes_nothing(mended, None)  # noqa: SLF001 - as its steps do


@pytest.mark.parametrize("promise", ["O1", "O2"])
def test_a_redrive_that_breaks_a_promise_is_seen(
    promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(quiet("put", "poll"))
    history.play()
    history._drain_all()  # noqa: SLF001 - as a step does
    system = history.system
    system.time.advance(8 * 86_400)  # the stream has forgotten all
    history._programs.put_poison("refused by the table")  # noqa: SLF001 - so that there is a case
    history._drain_all()  # noqa: SLF001 - the same
    items, documents = system.table.items, system.index.documents
    image_id = min(items)

    def wrong(*_: object) -> bool:
        del items[image_id]
        if promise == "O1":
            del documents[image_id]
        return True

    redrives = Redrives(system, lambda: None)
    assert redrives.found()
    monkeypatch.setattr(redrives, "_try", wrong)
    with pytest.raises(ViolationError, match=promise):
        redrives.redrive()
