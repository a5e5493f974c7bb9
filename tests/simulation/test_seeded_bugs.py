"""The simulation catches every seeded bug."""

from collections.abc import Mapping

import pytest

from lockstep.simulation.components import REAL
from lockstep.simulation.history import History
from lockstep.simulation.plan import plan, seeded_random
from lockstep.simulation.run import broken_by
from tests.simulation.rewired import rewired
from tools.seeded_bugs import (
    DOCUMENT,
    WRONG,
    Catch,
    Slipped,
    catches,
    caught_again,
    document,
    documented_seeds,
    kind_of,
    used,
)

# If the document is out of date, the first test waits for a search that uses all cores.
pytestmark = pytest.mark.timeout(1_200)


@pytest.fixture(scope="module")
def found() -> Mapping[str, Catch | Slipped]:
    return catches(caught_again)


@pytest.mark.parametrize("name", WRONG)
def test_every_seeded_bug_is_caught_by_a_history_that_passes_with_the_real_parts(
    found: Mapping[str, Catch | Slipped], name: str
) -> None:
    catch = found[name]
    assert isinstance(catch, Catch)
    kind = kind_of(name)
    assert broken_by(kind.plan(catch.seed), kind=kind) is None


# That no seed before catches it is tested at night: a search of minutes.
def test_the_document_names_each_bug_with_a_seed_that_catches_it(
    found: Mapping[str, Catch | Slipped],
) -> None:
    assert documented_seeds().keys() == WRONG.keys()
    assert DOCUMENT.read_text() == document(found), "out of date: make generated"


def test_a_history_that_uses_nothing_wrong_is_the_same_with_a_bug() -> None:
    name = "purge: two hours too early"
    skipped = [seed for seed in range(1, 60) if "purge_all" not in used(seed)]
    assert len(skipped) > 20
    for seed in skipped[:20]:
        right, wrong = (History(plan(seed), parts) for parts in (REAL, WRONG[name]))
        right.run()
        wrong.run()
        assert right.system.fingerprint() == wrong.system.fingerprint()


def test_a_rewired_function_does_not_change_its_module() -> None:
    same_random = rewired(plan, seeded_random=lambda _: seeded_random(7))
    assert same_random(3).steps == plan(7).steps
    assert plan(3).steps != plan(7).steps
