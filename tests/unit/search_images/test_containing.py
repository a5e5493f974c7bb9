"""A value of a facet is found by a part of it, whatever its case and its accents."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.containing import LONGEST_PATTERN, contains, pattern

LETTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "aAéÉłŁøßſKkİıΑάςσйЙאַبِ東が가 ́.*[]-^\\\n"
)
TEXTS = st.text(LETTERS, max_size=12)


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ("Paul Cézanne", "CEZANNE"),
        ("Paul Cezanne", "cézanne"),
        ("Cafe\u0301", "café"),
        ("Żółkiewska", "zolk"),
        ("Straße", "STRAßE"),
        ("İstanbul", "istanbul"),
        ("Αθήνα", "ΑΘΗΝΑ"),
        ("Гончарова", "ГОНЧ"),
        ("שָׁלוֹם", "שלום"),
        ("葛飾北斎", "北斎"),
        ("경복궁", "복궁"),
        ("Turner,  J. M. W.", "turner, j."),
        ("anything", ""),
        ("anything", " \u0301"),
    ],
)
def test_a_part_of_a_value_is_in_it(value: str, typed: str) -> None:
    assert contains(value, typed)
    assert _matches(value, typed)


@pytest.mark.parametrize(
    ("value", "typed"), [("Turner", "tuner"), ("a-b", "a.b"), ("東京", "京東")]
)
def test_what_is_no_part_of_a_value_is_not_in_it(value: str, typed: str) -> None:
    assert not contains(value, typed)


@given(TEXTS, TEXTS, TEXTS, st.sampled_from([str, str.upper, str.lower, str.swapcase]))
def test_whatever_is_in_a_value_matches_its_pattern(
    before: str, typed: str, after: str, written: type[str]
) -> None:
    value = unicodedata.normalize("NFC", before + written(typed) + after)
    if contains(value, typed):
        assert _matches(value, typed)


@given(st.text(LETTERS, min_size=100, max_size=200))
def test_the_pattern_of_a_long_text_is_cut_and_still_finds_it(typed: str) -> None:
    found = pattern(typed)
    assert found is None or len(found) <= LONGEST_PATTERN
    assert _matches(unicodedata.normalize("NFC", typed), typed)


def _matches(value: str, typed: str) -> bool:
    """Whether the index would return this value; Python reads these expressions alike."""
    found = pattern(typed)
    return found is None or re.fullmatch(found, value, re.DOTALL) is not None
