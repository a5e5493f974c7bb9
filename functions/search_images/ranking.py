"""Ranking: the clauses for words. They decide where a word may match and what ranks higher.

Each word of the query may match in any field of the image, because the catch-all field contains all
of them. A match in the name ranks highest. Fields and analysis: docs/guides/search.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from functions.search_images.numbers import (
    FILE_NAME,
    taken_in,
    with_a_blank,
    with_other_zeros,
)
from functions.search_images.scripts import (
    is_one_token,
    is_one_token_joined,
    is_pairs,
    is_single,
    is_syllable,
    subfields,
)

# OpenSearch refuses queries of more than 1,024 clauses. This many words make fewer clauses, even if
# each word has all forms and alternatives in two fields.
MAX_TOKENS = 32
# If a query has one or two words, each must match. With more words, a quarter may be missing.
MOST_WORDS = "2<-25%"

# If the last part of a typed word may go on ("1982-17"), the index tries this many words.
MOST_ENDINGS = 1_000

CATCH_ALL = "everything"

type Alternatives = Mapping[str, Sequence[str]]
"""For each misspelled word of a query, the indexed words that the user may mean."""

NO_ALTERNATIVES: Alternatives = MappingProxyType({})


def ranking_clause(
    text: str, words: Sequence[str], alternatives: Alternatives = NO_ALTERNATIVES
) -> dict[str, Any]:
    """The clause for the images with these words of a text, best first."""
    together = " ".join(words)
    found_somewhere = [
        _words(CATCH_ALL, words, alternatives),
        # Only the file name of a URL matches by words. The rest is the same for many images.
        _in_file_name(words),
        {"term": {"url": text}},
    ]
    closer = [
        _words("name", words, alternatives, boost=3),
        {"match_phrase": {"name": {"query": together, "slop": _slop(words), "boost": 4}}},
        {"term": {"name.keyword": {"value": text, "boost": 100}}},
        {"term": {"image_id": {"value": text, "boost": 100}}},
    ]
    return {"bool": {"must": {"bool": {"should": found_somewhere}}, "should": closer}}


def _slop(words: Iterable[str]) -> int:
    """How far apart adjacent words may be.

    A phrase of many equal pairs of characters would take OpenSearch minutes if they may be apart.
    """
    return 2 if all(map(is_one_token, words)) else 0


def word_clauses(
    field: str, word: str, alternatives: Alternatives = NO_ALTERNATIVES
) -> list[dict[str, Any]]:
    """The clauses for one word: exact, in another form, as a part of a text, misspelled.

    A year also finds the images that were taken in it. If the analyzer splits the word
    ("1982-1705", "東京の桜"), its parts match only as a phrase.
    """
    return [
        _phrase(field, word, boost=2),
        _phrase(f"{field}.stem", word),
        *in_running_text(field, word),
        *with_a_blank(field, word),
        *with_other_zeros(field, word),
        *(taken_in(word) if field == CATCH_ALL else ()),
        *misspelled(field, word, alternatives),
    ]


def beginnings(field: str, word: str, boost: float = 1) -> list[dict[str, Any]]:
    """The clauses for words that begin with this one, in a field with a subfield `prefix`.

    The subfield also has the beginnings of a file name without its separators. A word with
    separators ("law-br") may also stand for several words ("Law Breakers").
    """
    begins: list[dict[str, Any]] = []
    if is_one_token_joined(word) or is_single(word):
        begins.append({"match": {f"{field}.prefix": {"query": word, "boost": boost}}})
    if not (is_one_token(word) or is_single(word)):
        begins += last_word_begins(field, word, boost)
    return begins


def _in_file_name(words: Sequence[str]) -> dict[str, Any]:
    """The clause for words in the file name of a URL. The last one may be the beginning of a word.

    The beginning of a number would match the names of too many cameras and catalogues.
    """
    clauses = [[_phrase(FILE_NAME, word), *with_other_zeros(FILE_NAME, word)] for word in words]
    last = words[-1] if words else ""
    if last and is_one_token_joined(last) and not any(char.isdigit() for char in last):
        clauses[-1:] = [last_word_begins(FILE_NAME, last)]
    return {"bool": {"must": [{"dis_max": {"queries": either}} for either in clauses]}}


def last_word_begins(field: str, word: str, boost: float = 1) -> list[dict[str, Any]]:
    """The clauses for a phrase of the parts of this word, of which the last one may go on.

    Pairs of characters ("東京") match within any text. Single ones are in the subfield `stem`, but
    not those of Korean, which begin a pair.
    """
    if is_one_token(word) or is_syllable(word):
        return [{"match_bool_prefix": {field: {"query": word, "boost": boost}}}]
    if is_single(word):
        return [_phrase(f"{field}.stem", word, boost)]
    if is_pairs(word):
        return [_phrase(field, word, boost)]
    how = {"query": word, "boost": boost, "max_expansions": MOST_ENDINGS}
    return [{"match_phrase_prefix": {field: how}}]


def in_running_text(field: str, word: str) -> list[dict[str, Any]]:
    """The clauses for a word in a script that puts no spaces between words."""
    return [_phrase(f"{field}.{part}", word) for part in subfields(word)]


def matched_fields(field: str, text: str) -> list[str]:
    """The field and its subfields in which the words of a text may match, for highlights."""
    return [field, f"{field}.stem", *(f"{field}.{part}" for part in subfields(text))]


def highlight_clause(
    field: str, words: Iterable[str], alternatives: Alternatives = NO_ALTERNATIVES
) -> dict[str, Any]:
    """The clause for highlights in a field: the words that matched in the catch-all field."""
    clauses = [
        clause
        for word in words
        for clause in (
            _phrase(f"{field}.stem", word),
            *last_word_begins(field, word),
            *in_running_text(field, word),
            *with_a_blank(field, word),
            *with_other_zeros(field, word),
            *misspelled(field, word, alternatives),
        )
    ]
    return {"bool": {"should": clauses}}


def _words(
    field: str, words: Iterable[str], alternatives: Alternatives, boost: float = 1
) -> dict[str, Any]:
    """The clause for most of the words in this field."""
    clauses = [_word(field, word, alternatives) for word in words]
    return {"bool": {"should": clauses, "minimum_should_match": MOST_WORDS, "boost": boost}}


def _word(field: str, word: str, alternatives: Alternatives) -> dict[str, Any]:
    """The clause for one word: exact, in another form, as a prefix, misspelled. The best counts."""
    clauses = [*word_clauses(field, word, alternatives), *beginnings(field, word, boost=0.5)]
    return {"dis_max": {"queries": clauses}}


def _phrase(field: str, word: str, boost: float = 1) -> dict[str, Any]:
    return {"match_phrase": {field: {"query": word, "boost": boost}}}


def misspelled(field: str, word: str, alternatives: Alternatives) -> list[dict[str, Any]]:
    """The clauses for the alternatives of a word. They rank lower than the typed word."""
    return [_phrase(field, other, boost=0.4) for other in alternatives.get(word, ())]
