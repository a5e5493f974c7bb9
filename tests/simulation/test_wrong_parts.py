"""Every seeded bug is caught: the simulation can fail, and sees what it is there to see."""

import pytest

from lockstep.simulation.parts import REAL
from lockstep.simulation.plan import plan
from lockstep.simulation.run import broken_by
from tests.simulation.wrong_parts import WRONG

HISTORIES = 1_000


@pytest.mark.parametrize("name", WRONG)
def test_every_seeded_bug_is_caught(name: str) -> None:
    seeds = range(1, HISTORIES + 1)
    first = next((seed for seed in seeds if broken_by(plan(seed), WRONG[name])), None)
    assert first is not None
    assert broken_by(plan(first), REAL) is None
