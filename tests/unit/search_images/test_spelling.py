"""Spelling: what the dictionary knows of words that no image has, and what was meant."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from functions.search_images.ranking import Alternatives
from functions.search_images.spelling import (
    MOST_LETTERS,
    alternatives,
    corrected_text,
    dictionary_query,
)

type Options = Sequence[tuple[str, float]]


def _entry(text: str, offset: int, options: Options) -> dict[str, Any]:
    like = [{"text": other, "score": score} for other, score in options]
    return {"text": text, "offset": offset, "length": len(text), "options": like}


def _answer(*entries: tuple[str, int, Options], backwards: Options = ()) -> Mapping[str, Any]:
    """An answer of the index: words at their positions, and what is like them how much."""
    return {
        "suggest": {
            "everything": [_entry(*entry) for entry in entries],
            "everything.backwards": [
                _entry(text[::-1], offset, backwards) for text, offset, _ in entries
            ],
        }
    }


def found_by(words: Sequence[str], answer: Mapping[str, Any]) -> Alternatives:
    """The alternatives of words, by the answer of an index with a single shard."""

    def ask(_: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError("a single shard knows all words")

    return alternatives(words, {"_shards": {"total": 1}, **answer}, ask)


def test_the_dictionary_is_asked_for_all_words_at_once() -> None:
    asked = dictionary_query(["richmnd", "tames"])["suggest"]
    assert asked.pop("text") == "richmnd tames"
    assert {one["term"]["field"] for one in asked.values()} == {*asked}


def test_without_words_nothing_is_asked() -> None:
    assert dictionary_query([]) == {}
    assert found_by([], {}) == {}


@pytest.mark.parametrize(
    ("word", "options", "others"),
    [
        ("tames", [("thames", 0.8), ("james", 0.8), ("tales", 0.8)], ("thames", "james", "tales")),
        ("tames", [("thames", 0.8), ("tate", 0.5)], ("thames",)),  # only the nearest
        ("trams", [("tamar", 0.6)], None),  # two letters in a short word
        ("tvy", [("tavy", 0.67), ("the", 0.33)], ("tavy",)),
        ("mermade", [("mermaid", 0.71)], ("mermaid",)),
        ("1943", [("1942", 0.75)], None),  # another number is another thing
        ("t02681", [("t02680", 0.83)], None),
        ("castle", [], None),
    ],
)
def test_a_word_is_meant_for_the_nearest_others(
    word: str, options: Options, others: Sequence[str] | None
) -> None:
    found = found_by([word], _answer((word, 0, options)))
    assert found == ({} if others is None else {word: others})


def test_a_word_is_mended_where_it_is_wrong() -> None:
    words = ["turner", "burne-jnes"]
    answer = _answer(
        ("turner", 0, []),
        ("burne", 7, []),
        ("jnes", 13, [("jones", 0.75), ("jens", 0.75)]),
    )
    assert found_by(words, answer) == {"burne-jnes": ("burne-jones", "burne-jens")}


def test_a_word_is_mended_in_several_places() -> None:
    answer = _answer(("bune", 0, [("burne", 0.75)]), ("jnes", 5, [("jones", 0.75), ("jens", 0.75)]))
    assert found_by(["bune-jnes"], answer) == {"bune-jnes": ("burne-jones", "burne-jens")}


def test_positions_are_those_of_java_where_a_character_may_count_twice() -> None:
    words = ["𝒳🎨a", "tames"]
    assert found_by(words, _answer(("tames", 6, [("thames", 0.8)]))) == {"tames": ("thames",)}


def test_a_word_that_is_wrong_from_its_first_letter_on_is_found_from_its_end() -> None:
    answer = _answer(("irpalne", 0, []), backwards=[("enalpria", 0.71)])
    assert found_by(["irpalne"], answer) == {"irpalne": ("airplane",)}


def test_what_is_like_a_word_from_both_ends_counts_once() -> None:
    answer = _answer(("turnr", 0, [("turner", 0.8)]), backwards=[("renrut", 0.8), ("nrut", 0.75)])
    assert found_by(["turnr"], answer) == {"turnr": ("turner", "turn")}


def test_a_word_that_only_another_shard_has_is_not_misspelled() -> None:
    """Each shard offers alternatives of the words that it does not have itself."""
    asked: list[Mapping[str, Any]] = []

    def ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(body)
        return {"aggregations": {"0": {"doc_count": 1}, "1": {"doc_count": 0}}}

    answer = {
        "_shards": {"total": 5},
        **_answer(("james", 0, [("tames", 0.8)]), ("turnr", 6, [("turner", 0.8)]), ("sea", 12, [])),
    }
    assert alternatives(["james", "turnr", "sea"], answer, ask) == {"turnr": ("turner",)}
    (body,) = asked
    assert body["query"] == {"terms": {"everything": ["james", "turnr"]}}


@pytest.mark.parametrize(
    ("word", "others", "marked", "better"),
    [
        ("tames", ("james", "thames"), ["Thames"], "thames"),
        ("tames", ("thames", "james"), ["James", "Thames"], "thames"),  # the nearer one
        ("besancno", ("besancon",), ["Besançon"], "besancon"),
        ("bune-jones", ("burne-jones",), ["Burne", "Jones"], "burne-jones"),
        ("bune-jones", ("burne-jones",), ["Jones"], None),
        ("cathrine's", ("catherine's",), ["Catherine’s"], "catherine's"),
        ("tames", ("thames",), [], None),
    ],
)
def test_meant_is_what_the_best_hit_has(
    word: str, others: Sequence[str], marked: Sequence[str], better: str | None
) -> None:
    assert corrected_text(word, {word: others}, [marked]) == better


def test_all_comes_from_one_hit_so_that_the_text_finds_it() -> None:
    hits = (["Hill"], ["Richmond"], ["Richmund", "Thames"])
    meant = {"richmnd": ("richmond", "richmund"), "tames": ("thames",)}
    assert corrected_text("richmnd tames", meant, hits) == "richmond tames"


def test_the_rest_of_the_text_stays_as_it_was_typed() -> None:
    typed = '  richmnd "tames  x" -richmnd artist:tames'
    better = '  richmond "tames  x" -richmnd artist:tames'
    assert corrected_text(typed, {"richmnd": ("richmond",)}, [["Richmond"]]) == better


def test_a_word_in_a_field_is_mended_there_and_not_where_it_is_left_out() -> None:
    typed = "artist:tames -artist:tames x-y:tames http://tames tames"
    better = "artist:thames -artist:tames x-y:thames http://tames thames"
    assert corrected_text(typed, {"tames": ("thames",)}, [["Thames"]]) == better


def test_what_is_looked_up_is_bounded() -> None:
    text = dictionary_query(
        ["a" * 30, "b" * 31, *["c" * 10] * 3, *(f"{at:030}" for at in range(9))]
    )
    words = text["suggest"]["text"].split()
    assert words[:2] == ["a" * 30, "c" * 10]
    assert len("".join(words)) <= MOST_LETTERS
    assert dictionary_query(["d" * 31]) == {}
    assert found_by(["d" * 31], {}) == {}


def test_what_is_not_looked_up_shifts_no_place() -> None:
    words = ["tames", "x" * 31, "tames", "turnr"]
    answer = _answer(("tames", 0, [("thames", 0.8)]), ("turnr", 6, [("turner", 0.8)]))
    assert dictionary_query(words)["suggest"]["text"] == "tames turnr"
    assert found_by(words, answer) == {"tames": ("thames",), "turnr": ("turner",)}


def test_without_hits_or_misspelled_words_nothing_is_meant() -> None:
    assert corrected_text("tames", {"tames": ("thames",)}, []) is None
    assert corrected_text("thames", {}, [["Thames"]]) is None
