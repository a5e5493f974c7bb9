"""Ranking: the clauses for words. They decide where a word may match and what ranks higher.

Each word of the query may match in any field of the image, because the catch-all field contains all
of them. A match in the name ranks highest. Fields and analysis: docs/guides/search.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

# OpenSearch refuses queries of more than 1,024 clauses. This many words make fewer clauses, even if
# each word has all forms and alternatives in two fields.
MAX_TOKENS = 32
# If a query has one or two words, each must match. With more words, a quarter may be missing.
MOST_WORDS = "2<-25%"

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
        {"match": {"url.file": {"query": together, "operator": "and"}}},
        {"term": {"url": text}},
    ]
    closer = [
        _words("name", words, alternatives, boost=3),
        {"match_phrase": {"name": {"query": together, "slop": 2, "boost": 4}}},
        {"term": {"name.keyword": {"value": text, "boost": 100}}},
        {"term": {"image_id": {"value": text, "boost": 100}}},
    ]
    return {"bool": {"must": {"bool": {"should": found_somewhere}}, "should": closer}}


def word_clauses(
    field: str, word: str, alternatives: Alternatives = NO_ALTERNATIVES
) -> list[dict[str, Any]]:
    """The clauses for one word: exact, in another form, misspelled."""
    return [_exact(field, word), _stemmed(field, word), *misspelled(field, word, alternatives)]


def highlight_clause(
    field: str, words: Iterable[str], alternatives: Alternatives = NO_ALTERNATIVES
) -> dict[str, Any]:
    """The clause for highlights in a field: the words that matched in the catch-all field."""
    clauses = [
        clause
        for word in words
        for clause in (
            _stemmed(field, word),
            {"match_bool_prefix": {field: {"query": word, "operator": "and"}}},
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
    prefix = {"match": {f"{field}.prefix": {"query": word, "operator": "and", "boost": 0.5}}}
    return {"dis_max": {"queries": [*word_clauses(field, word, alternatives), prefix]}}


def _exact(field: str, word: str) -> dict[str, Any]:
    return {"match": {field: {"query": word, "operator": "and", "boost": 2}}}


def _stemmed(field: str, word: str) -> dict[str, Any]:
    return {"match": {f"{field}.stem": {"query": word, "operator": "and"}}}


def misspelled(field: str, word: str, alternatives: Alternatives) -> list[dict[str, Any]]:
    """The clauses for the alternatives of a word. They rank lower than the typed word."""
    return [
        {"match": {field: {"query": other, "operator": "and", "boost": 0.4}}}
        for other in alternatives.get(word, ())
    ]
