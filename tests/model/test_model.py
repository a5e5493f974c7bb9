"""No state of the model breaks an invariant, and every bug does."""

from pathlib import Path

import pytest

from tests.model.bugs import ASSUMPTIONS, BUGS, WORLDS
from tests.model.model import Rules
from tests.model.search import search

ALL = {**BUGS, **ASSUMPTIONS}
TABLE = (Path(__file__).parents[2] / "docs/internals/model.md").read_text()


@pytest.mark.parametrize("world", WORLDS)
def test_no_state_breaks_an_invariant(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = search(Rules(WORLDS[world]))
    with capsys.disabled():
        print(f" {found.states:,} states, {found.steps:,} steps ", end="")  # noqa: T201 - the count is the proof's size
    assert found.broken is None, str(found.broken)
    assert f"| {world} | {found.states:,} | {found.steps:,} |" in TABLE


@pytest.mark.parametrize("name", [name for name, bug in ALL.items() if not bug.at_night])
def test_every_bug_breaks_an_invariant(name: str) -> None:
    bug = ALL[name]
    broken = search(bug.rules(bug.bounds)).broken
    assert broken is not None, f"{name}: nothing breaks"
    assert f"| {name} | {broken.invariant} | {len(broken.steps)} |" in TABLE
