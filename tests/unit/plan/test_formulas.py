"""Formulas are texts that can calculate, and do nothing else."""

import pytest

from lockstep.plan.formulas import names_in, value_of
from lockstep.plan.planning import SECTIONS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("ceil(7 / 2) + floor(7 / 2)", 7),
        ("max(1, a, 3) + min(1, a)", 6),
        ("'few' if a < 5 else 'many'", "many"),
        ("1 if b == 'x' else 2", 1),
        ("1 if b != 'x' else 2", 2),
        ("1 if a <= 5 else 2", 1),
        ("1 if a >= 6 else 2", 2),
        ("1 if a > 4 else 2", 1),
        # In binary fractions, 3 * 0.1 / 0.1 is more than 3, and 0.3 / 0.1 less.
        ("ceil(3 * 0.1 / 0.1)", 3),
        ("floor(0.3 / 0.1)", 3),
    ],
)
def test_a_formula_calculates(text: str, value: float | str) -> None:
    assert value_of(text, {"a": 5.0, "b": "x"}) == value


@pytest.mark.parametrize("text", ["a ** a", "a.real", "print(a)", "[a]", "max(a, key=a)", "not a"])
def test_a_formula_can_do_nothing_but_calculate(text: str) -> None:
    with pytest.raises(TypeError, match="a formula cannot contain"):
        value_of(text, {"a": 5.0})


def test_a_formula_lists_the_figures_that_it_names() -> None:
    assert names_in("max(b, a / 2) + b") == ["b", "a"]


def test_every_figure_has_a_name_of_its_own_and_a_label() -> None:
    formulas = [one for _, section in SECTIONS for one in section]
    assert len({one.name for one in formulas}) == len(formulas)
    assert all(one.label for one in formulas)


def test_every_unit_of_a_figure_is_in_its_name_or_beside_it() -> None:
    units = {"dollars": "_dollars", "ms": "_ms", "us": "_us", "s": "_s", "GiB": "_gib", "GB": "_gb"}
    for _, section in SECTIONS:
        for one in section:
            if one.unit in units:
                assert one.name.endswith(units[one.unit]), one.name
