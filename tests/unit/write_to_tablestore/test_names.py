"""Any name of an attribute becomes a column name that Table Store accepts, and comes back."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.write_to_tablestore.names import (
    GUARD_COLUMNS,
    escaped,
    flaw_in_name,
    unescaped,
)

# The rule of Table Store (https://www.alibabacloud.com/help/en/tablestore/limits-on-widecolumn-model).
ACCEPTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAMES = st.one_of(
    st.text(min_size=1),
    # Texts that look like escapes, which a careless rule confuses.
    st.text(alphabet="_x0041Fé5Fl", min_size=1),
    st.sampled_from(GUARD_COLUMNS),
)


@given(NAMES)
@example("_x0041é")
@example("_x0041_")
@example("_x005F_x0041_")
@example("_x00_x0041_")
@example("9lives")
@example("\U0001f600")
def test_each_name_is_accepted_and_comes_back(name: str) -> None:
    column = escaped(name)

    assert ACCEPTED.fullmatch(column)
    assert column not in GUARD_COLUMNS
    assert unescaped(column) == name


@given(st.from_regex(ACCEPTED, fullmatch=True))
def test_an_ordinary_name_stays(name: str) -> None:
    if name not in GUARD_COLUMNS and not re.search("_x[0-9A-F]{4}", name):
        assert escaped(name) == name


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("price.eur", "price_x002E_eur"),
        ("2nd", "_x0032_nd"),
        ("größe", "gr_x00F6__x00DF_e"),
        ("a\U0001f600", "a_x0001F600_"),
        ("pos_x", "pos_x"),
        ("lockstep_version", "_x006C_ockstep_version"),
        ("lockstep_other", "lockstep_other"),
    ],
)
def test_the_escapes_of_the_guide(name: str, column: str) -> None:
    assert escaped(name) == column


def test_a_name_that_is_too_long_is_refused_and_the_longest_is_not() -> None:
    assert flaw_in_name("a" * 255) is None
    assert flaw_in_name("a" * 256) == "256 characters, at most 255"
    assert flaw_in_name("a-b") is not None
    assert flaw_in_name("") is not None
