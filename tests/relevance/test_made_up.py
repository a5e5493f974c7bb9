"""The judged queries over made-up names are many, of many scripts, and leave no image out."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tools.relevance.figures import (
    Figures,
    Measured,
    own_words_unmet,
)
from tools.relevance.generated import Judged
from tools.relevance.made_up import Named, images, judged_names, made_up_events, own_words

QUERIES = 150
A_CLASS = 20
SCRIPTS = 14
_BETWEEN_CASES = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_FIRST_WITHOUT_SPACES = "\u0e00"  # Thai, Lao, Burmese, Khmer, then kana, Chinese, Korean


def test_there_are_enough_queries_in_each_class() -> None:
    by_class = Counter(one.kind for one in judged_names())
    assert len(judged_names()) >= QUERIES
    assert {kind: count for kind, count in by_class.items() if count < A_CLASS} == {}
    assert own_words() <= by_class.keys()


def test_no_query_is_twice_in_a_class() -> None:
    counted = Counter((one.kind, one.query) for one in judged_names())
    assert [key for key, count in counted.items() if count > 1] == []


def test_the_names_are_of_many_scripts() -> None:
    scripts = {
        unicodedata.name(char).split()[0].split("-")[0]
        for one in images().values()
        for char in one.name
        if char.isalpha()
    }
    assert len(scripts - {"FULLWIDTH", "HALFWIDTH"}) >= SCRIPTS


def test_every_image_is_a_valid_event_as_it_is_stored() -> None:
    assert [event.image.name for event in made_up_events() if event.image] == [
        one.stored for one in images().values()
    ]
    assert any(one.stored != one.name for one in images().values())


# Each has all words of the query, but another number comes first.
DECOYS = {"1705-1982", "1982-1705", "١٧٠٥-١٩٨٢", "A.123.1-2015"}


def test_no_image_that_has_the_words_of_a_query_is_left_out() -> None:
    """By the standard library alone, so that no analyzer judges itself."""
    texts = {its_id: _text(one) for its_id, one in images().items()}
    words = {its_id: _words(text) for its_id, text in texts.items()}
    written = [one for one in judged_names() if not one.kind.startswith("form: ")]
    left_out = [
        (one.kind, one.query, texts[its_id])
        for one in written
        if one.query not in DECOYS
        for asked in [_words(one.query)]
        for its_id in images().keys() - one.relevant
        if _begins_all(asked, words[its_id]) or _within(one.query, texts[its_id])
    ]
    assert left_out == []


def _text(one: Named) -> str:
    more = one.more
    file = str(more.get("url", "")).rpartition("/")[2]
    attributes = more.get("attributes", {})
    assert isinstance(attributes, dict)
    tags = more.get("tags", ())
    assert isinstance(tags, Sequence)
    return "\n".join([one.stored, file, *attributes.values(), *tags])


def _words(text: str) -> list[str]:
    """Runs of letters or of digits, in lower case, with Latin letters and digits for their kin."""
    apart = _BETWEEN_CASES.sub(" ", unicodedata.normalize("NFKD", text.replace("%20", " ")))
    plain = "".join(
        str(unicodedata.digit(char)) if unicodedata.category(char) == "Nd" else char
        for char in apart.casefold()
        if not unicodedata.combining(char) and unicodedata.category(char) != "Cf"
    )
    spaced = (char if unicodedata.category(char)[0] in "LMN" else " " for char in plain)
    return _BETWEEN_DIGITS.sub(" ", "".join(spaced)).split()


def _begins_all(asked: Sequence[str], words: Sequence[str]) -> bool:
    return all(any(word.startswith(one) for word in words) for one in asked)


def _within(query: str, text: str) -> bool:
    """Whether a text of a script without spaces has the query anywhere."""
    return query >= _FIRST_WITHOUT_SPACES and query in text


class TestWhatMustBeReached:
    def measured(self, *found: int) -> list[Measured]:
        good, bad = Figures(1.0, 1.0, 1.0), Figures(0.0, 0.0, 0.0)
        return [
            Measured(Judged("Greek", str(at), frozenset({"T1"}), "as it was"), good if one else bad)
            for at, one in enumerate(found)
        ]

    def test_all_found_needs_nothing_more(self) -> None:
        assert own_words_unmet(self.measured(1, 1), ["Greek"]) == []

    def test_each_unmet_need_is_a_line(self) -> None:
        assert own_words_unmet(self.measured(1, 0, 0), ["Greek"]) == [
            "queries by words of names: recall is 0.3333, must be at least 0.98",
            "queries by words of names: precision is 0.3333, must be at least 0.86",
            "Greek: 2 queries are missed, must be at most 1",
        ]

    def test_other_classes_do_not_count(self) -> None:
        other = Measured(
            Judged("word forms", "x", frozenset({"T1"}), "as it was"), Figures(0.0, 0.0, 0.0)
        )
        assert own_words_unmet([*self.measured(1), other], ["Greek"]) == []
