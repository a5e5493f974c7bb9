"""Did you mean: only words that nothing found has, only as the best hit spells them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from functions.search_images.language import parse
from functions.search_images.spelling import corrected, counts


def _corrected(text: str, there: set[str], *hits: Sequence[str]) -> str | None:
    """The better text, when of its words these are in the images found."""
    query = parse(text)
    answer: Mapping[str, Any] = {
        f"spelled_{at}": {"doc_count": int(word in there)} for at, word in enumerate(query.words)
    }
    assert counts(query).keys() <= answer.keys()
    return corrected(query, answer, hits)


@pytest.mark.parametrize(
    ("typed", "has", "better"),
    [
        ("tames", "Thames", "thames"),
        ("cahpel", "Chapel", "chapel"),
        ("chappel", "chapel", "chapel"),
        ("richmnod", "Richmond", "richmond"),
        ("landscpae", "landscape", "landscape"),
        ("portrate", "portrait", "portrait"),
        ("besancno", "Besançon", "besancon"),
        ("tames", "Thomas", None),  # two letters in a short word
        ("sea", "tea", None),  # too short to tell
        ("mountain", "mount", None),
        ("thames", "Thames", None),  # it is that word, in another form
        ("t4mes", "Thames", None),  # no word of letters
    ],
)
def test_a_word_is_mended_by_as_much_as_the_search_forgives(
    typed: str, has: str, better: str | None
) -> None:
    assert _corrected(typed, set(), [has]) == better


def test_a_word_that_is_there_stays() -> None:
    assert _corrected("richmnd tames", {"tames"}, ["Thames", "Richmond"]) == "richmond tames"


def test_all_comes_from_one_hit_so_that_the_text_finds_it() -> None:
    hits = (["Richmond"], ["Richmund", "Thames"])
    assert _corrected("richmnd tames", set(), *hits) == "richmond tames"


def test_the_rest_of_the_text_stays_as_it_was_typed() -> None:
    typed = '  richmnd "tames  x" -richmnd artist:tames'
    assert _corrected(typed, set(), ["Richmond"]) == ('richmond "tames  x" -richmnd artist:tames')


def test_without_hits_nothing_is_meant() -> None:
    assert _corrected("tames", set()) is None
