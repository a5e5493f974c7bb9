"""Cells of a spreadsheet: no part of a text can run as a formula, and nothing is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.cells import harmless

ALPHABET = "=+-@＝＋－＠﹦\t\r\n;'\"“ \u200b\ufeff\u00a0a1."


def undone(cell: str) -> str:
    """What the cell was before: without the apostrophes that were added."""
    parts = re.split("([;\t\r\n])", cell)
    if parts[0] and not parts[0].strip("'") and len(parts) > 1 and parts[1] != ";":
        parts[0] = parts[0][1:]
    return "".join(
        part[1:] if part.startswith("'") and harmless(part[1:]) == part else part for part in parts
    )


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1:A9)",
        "＝HYPERLINK(A1)",
        "＋1+1",
        "－1+1",
        "＠x",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\tharmless",
        "'\rharmless",
        ' "=1+1"',
        "'=1+1",
        "“=1+1”",
        "\u200b=1+1",
        "\ufeff=1+1",
        "\u00a0 =1+1",
        "+49 30 1234567",
    ],
)
def test_what_a_spreadsheet_may_run_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}" or harmless(text).startswith("'")
    assert undone(harmless(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The sea",
        "a = b",
        "2-3 days",
        "name@example.com",
        "-5",
        "+3.25",
        "-1.5e3",
        "Low tide; 5 boats",
        "'tis the season",
        '"Quoted"',
        "–dash",
    ],
)
def test_other_texts_and_numbers_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a;=1+1;b", "a;'=1+1;b"),
        ("a\n=1+1", "a\n'=1+1"),
        ("a\t@x", "a\t'@x"),
        ('"; =1+1', "\";' =1+1"),
        ("a; -5", "a; -5"),
    ],
)
def test_a_formula_behind_another_separator_is_harmless_too(text: str, cell: str) -> None:
    assert harmless(text) == cell


@given(st.text(ALPHABET, max_size=12) | st.text(max_size=12))
def test_no_part_begins_a_formula_and_nothing_is_lost(text: str) -> None:
    cell = harmless(text)
    for part in re.split("[;\t\r\n]", cell):
        bare = part.lstrip(" \u00a0\u200b\ufeff")
        is_number = re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", bare.strip(), re.ASCII)
        assert is_number or bare[:1] not in set("=+-@＝＋－＠﹦﹢﹣﹫")
    assert cell[:1] not in set("\t\r\n")
    assert undone(cell) == text
