"""The simulation catches every seeded bug."""

from pathlib import Path

import pytest

from lockstep.simulation.components import REAL
from lockstep.simulation.plan import plan, seeded_random
from lockstep.simulation.run import broken_by
from tests.simulation.rewired import rewired
from tests.simulation.wrong_components import WRONG
from tools.seeded_bugs import Catch, caught, document

DOCUMENT = Path(__file__).parents[2] / "docs" / "internals" / "seeded-bugs.md"


@pytest.mark.parametrize("name", WRONG)
def test_every_seeded_bug_is_caught_by_a_history_that_passes_with_the_real_parts_survive(
    name: str,
) -> None:
    catch = caught(name)
    assert isinstance(catch, Catch)
    assert broken_by(plan(catch.seed), REAL) is None


def test_the_document_names_each_bug_with_its_first_seed() -> None:
    assert DOCUMENT.read_text() == document(), "out of date: make generated"


def test_a_rewired_function_does_not_change_its_module() -> None:
    same_random = rewired(plan, seeded_random=lambda _: seeded_random(7))
    assert same_random(3).steps == plan(7).steps
    assert plan(3).steps != plan(7).steps


def test_a_name_that_the_module_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_name"):
        rewired(plan, no_such_name=None)
