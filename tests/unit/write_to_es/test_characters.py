"""The rules of the index's character filters are those of Unicode."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functions.write_to_es
from functions.search_images.language import INVISIBLE
from functions.search_images.scripts import APOSTROPHES
from functions.write_to_es.index import Differs, definition, definition_sha256
from tools import character_rules

FILE = Path(functions.write_to_es.__file__).with_name("characters.json")
KEPT: Mapping[str, list[str]] = msgspec.json.decode(FILE.read_bytes())
FILTERS = definition()["settings"]["analysis"]["char_filter"]
# Python 3.14 knows more letters.
NEWEST_THAT_WE_USE = (15, 1)


def unescaped(text: str) -> str:
    units = re.sub(
        r"\\u([0-9a-f]{4})|(.)",
        lambda found: found[1] or found[2].encode("utf-16-be").hex(),
        text,
        flags=re.DOTALL,
    )
    return bytes.fromhex(units).decode("utf-16-be")


def read(rule: str) -> tuple[str, str]:
    # As Lucene reads a rule: the last arrow divides it, and the blanks around both parts go.
    old, new = rule.rsplit("=>", 1)
    assert (old, new) == (old.strip(), new.strip())
    return unescaped(old), unescaped(new)


RULES: Mapping[str, Mapping[str, str]] = {
    name: dict(map(read, rules)) for name, rules in KEPT.items()
}
LONGEST = {name: max(map(len, rules)) for name, rules in RULES.items()}


def filtered(text: str, *names: str) -> str:
    """The text as OpenSearch filters it: at each place the longest rule, once."""
    for name in names:
        out, at = "", 0
        while at < len(text):
            for length in range(LONGEST[name], 0, -1):
                new = RULES[name].get(text[at : at + length])
                if new is not None and at + length <= len(text):
                    out, at = out + new, at + length
                    break
            else:
                out, at = out + text[at], at + 1
        text = out
    return text


def test_the_file_is_generated() -> None:
    now = msgspec.json.decode(character_rules.generated())
    assert now.keys() == KEPT.keys()
    for name, rules in KEPT.items():
        missing = set(rules) - set(now[name])
        assert not missing, f"run `make generated`: {name}"
    if tuple(map(int, unicodedata.unidata_version.split(".")[:2])) <= NEWEST_THAT_WE_USE:
        assert now == KEPT, "run `make generated`"


def test_the_definition_has_the_rules() -> None:
    assert {name: FILTERS[name]["mappings"] for name in KEPT} == KEPT
    assert len(definition_sha256()) == 64


def test_every_character_is_composed_as_unicode_does_it() -> None:
    known = {*RULES["composed"], *RULES["composed"].values(), *RULES["hangul"].values()}
    wrong = [
        char
        for char in character_rules.every_character()
        if char in known or unicodedata.decomposition(char)
        for form in ("NFC", "NFD")
        if filtered(unicodedata.normalize(form, char), "composed", "hangul")
        != unicodedata.normalize("NFC", char)
    ]
    assert wrong == []


@given(
    st.lists(
        st.sampled_from(
            ["가", "각", "강남", "が", "Ảnh", "Й", "ξ", "क़", "ά", "Ångström", "x", " ", "１", "שׁ"]
        )
    )
)
def test_texts_are_composed(parts: list[str]) -> None:
    text = "".join(parts)
    for form in ("NFC", "NFD"):
        made = filtered(unicodedata.normalize(form, text), "composed", "hangul")
        assert made == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "written", ["e\u0302\u0323", "e\u0323\u0302", "\u1eb9\u0302", "\u00ea\u0323", "\u1ec7"]
)
def test_marks_may_have_any_order(written: str) -> None:
    assert filtered(written, "composed") == "ệ"


def test_nothing_grows_beyond_what_a_keyword_may_have() -> None:
    grown = {
        (old, new)
        for rules in RULES.values()
        for old, new in rules.items()
        if len(new.encode()) > character_rules.MOST_GROWTH * len(old.encode())
    }
    assert grown == set()


def test_what_shows_nothing_is_the_same_for_a_query() -> None:
    every = character_rules.every_character()
    shows_nothing = {char for char in every if INVISIBLE.fullmatch(char)}
    assert shows_nothing == {char for char, new in character_rules.plain().items() if not new}
    assert {char for char in shows_nothing if RULES["folded"].get(char) == ""} == shows_nothing
    assert {"\u00ad", "\u200b", "\u200d", "\u200e", "\u202e", "\ufeff", "\u2060"} <= shows_nothing


def test_letters_with_a_place_of_their_own_stay() -> None:
    for text in ("йЙїўѓќ", "がパ", "각", "แก้วน้ำ", "ы"):
        assert filtered(text, "composed", "hangul") == text
        assert filtered(text, "folded", "hangul") == text


def test_every_spelling_of_a_character_is_folded_in_the_same_way() -> None:
    spellings = {
        (written, char)
        for written, char in RULES["composed"].items()
        if unicodedata.normalize("NFC", written) == char
    }
    wrong = [
        (written, char)
        for written, char in spellings
        if filtered(written, "folded", "hangul") != filtered(char, "folded", "hangul")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        *(("ガ", "ガ"), ("ｶﾞ", "ガ"), ("ｶ\u3099", "ガ"), ("カﾞ", "ガ"), ("㋕\u3099", "ガ")),
        *(("Café", "Cafe"), ("𝓔\u0301", "E"), ("ﬁ", "fi"), ("ＴＯ", "TO"), ("ŉ", "'n")),
        *(("ё", "е"), ("и\u0306", "й"), ("Ἀθῆναι", "Αθηναι"), ("שּׁ", "ש"), ("ﻵ", "لا")),
        *(("\u1112\u1161\u11ab", "한"), ("नि\u0928\u094d\u0926", "निंद"), ("น\u0e4d\u0e49า", "น้ำ")),
        *(("a%20b%2Fc%c3", "a___b___c%c3"), ("1‐2－3．4＋5", "1-2-3.4+5")),
    ],
)
def test_a_text_for_words_is_folded_by_two_filters(text: str, usual: str) -> None:
    assert filtered(text, "folded", "hangul") == usual


def test_every_sign_for_an_apostrophe_is_one() -> None:
    assert {filtered(sign, "folded") for sign in APOSTROPHES} == {"'"}
    assert len({*APOSTROPHES}) == len(APOSTROPHES)


def test_a_difference_of_rules_is_told_in_one_short_line() -> None:
    told = str(Differs("settings.analysis.char_filter.hangul", None, FILTERS["hangul"]))
    assert len(told) < 1_200
    assert told.endswith(" characters)")
