"""The page of three stacks is as the code makes it, and its figures follow from the sources."""

from pathlib import Path

import pytest

from lockstep.plan.words import with_unit
from tests.unit.plan.test_figures import calculated
from tools.three_stacks import COMMANDS, page, planned

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "three-stacks.md"
LINES = PAGE.read_text().splitlines()


def test_the_page_is_as_the_code_makes_it() -> None:
    made = "".join(page({events: planned(one) for events, one in COMMANDS.items()}))
    assert PAGE.read_text() == made, "run `make generated`"


@pytest.mark.parametrize("events", COMMANDS)
def test_each_figure_of_the_page_is_calculated_a_second_time(events: str) -> None:
    """The second calculation reads the data files, and not the formulas."""
    column = 3 + list(COMMANDS).index(events)
    shown = planned(COMMANDS[events])
    known = calculated(shown.load)
    compared = 0
    for line in LINES:
        cells = [one.strip() for one in line.split("|")]
        if len(cells) != 7 or not cells[2].startswith("`"):
            continue
        figure = next(one for one in shown.figures if f"`{one.name}`" == cells[2])
        value = known[figure.name]
        # Near the rounding to three digits, both calculations may differ in the last bit.
        assert value == (pytest.approx(figure.value, rel=1e-9) if figure.value != value else value)
        assert cells[column].removesuffix(" *") == " ".join(with_unit(figure)).strip()
        compared += 1
    assert compared == len(known) == len(shown.figures)


def test_each_name_of_a_formula_is_on_the_page() -> None:
    """So a reader can follow each figure to its sources."""
    text = PAGE.read_text()
    for command in COMMANDS.values():
        shown = planned(command)
        for source in shown.sources:
            assert f"| `{source.name}` | {source.value:.10g} | {source.meaning} |" in text
        for figure in shown.figures:
            assert f"| `{figure.name}` | `{figure.formula}` |" in text
