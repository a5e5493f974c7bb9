"""Ranking: how words become clauses, where each may be found and what counts more.

Each word of the query may be found in its own way, anywhere in the image: that is what the
catch-all field is for. What the image is called counts most.
Fields and analysis: docs/guides/search.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

# OpenSearch refuses queries of more than 1,024 clauses: of this many words, each with its forms
# and what it may be meant for in two fields, come fewer.
MAX_TOKENS = 32
# Up to two words: each must be found. Above, a quarter of them may be missing.
MOST_WORDS = "2<-25%"

CATCH_ALL = "everything"

type Near = Mapping[str, Sequence[str]]
"""By word of a query, what it may be meant for, too."""

AS_TYPED: Near = MappingProxyType({})


def ranked(text: str, words: Sequence[str], near: Near = AS_TYPED) -> dict[str, Any]:
    """The query for images that hold these words of a text, the likeliest first."""
    together = " ".join(words)
    found_somewhere = [
        _words(CATCH_ALL, words, near),
        # Of an address only the file's name is made of words: the rest is the same for many.
        {"match": {"url.file": {"query": together, "operator": "and"}}},
        {"term": {"url": text}},
    ]
    closer = [
        _words("name", words, near, boost=3),
        {"match_phrase": {"name": {"query": together, "slop": 2, "boost": 4}}},
        {"term": {"name.keyword": {"value": text, "boost": 100}}},
        {"term": {"image_id": {"value": text, "boost": 100}}},
    ]
    return {"bool": {"must": {"bool": {"should": found_somewhere}}, "should": closer}}


def spellings(field: str, word: str, near: Near = AS_TYPED) -> list[dict[str, Any]]:
    """Ways to find one word: as it is, in another form, mistyped; the best way is to count."""
    return [_as_it_is(field, word), _form(field, word), *mistyped(field, word, near)]


def marking(field: str, words: Iterable[str], near: Near = AS_TYPED) -> dict[str, Any]:
    """What to mark in a field that was found through the catch-all: the same, in its own words."""
    ways = [
        way
        for word in words
        for way in (
            _form(field, word),
            {"match_bool_prefix": {field: {"query": word, "operator": "and"}}},
            *mistyped(field, word, near),
        )
    ]
    return {"bool": {"should": ways}}


def _words(field: str, words: Iterable[str], near: Near, boost: float = 1) -> dict[str, Any]:
    """Most of the words in this field, each in its own way."""
    clauses = [_word(field, word, near) for word in words]
    return {"bool": {"should": clauses, "minimum_should_match": MOST_WORDS, "boost": boost}}


def _word(field: str, word: str, near: Near) -> dict[str, Any]:
    """One word: as it is, in another form, as a beginning, mistyped; the best way counts."""
    beginning = {"match": {f"{field}.prefix": {"query": word, "operator": "and", "boost": 0.5}}}
    return {"dis_max": {"queries": [*spellings(field, word, near), beginning]}}


def _as_it_is(field: str, word: str) -> dict[str, Any]:
    return {"match": {field: {"query": word, "operator": "and", "boost": 2}}}


def _form(field: str, word: str) -> dict[str, Any]:
    return {"match": {f"{field}.stem": {"query": word, "operator": "and"}}}


def mistyped(field: str, word: str, near: Near) -> list[dict[str, Any]]:
    """Ways to find what a word may be meant for; less than anything that was typed."""
    return [
        {"match": {field: {"query": other, "operator": "and", "boost": 0.4}}}
        for other in near.get(word, ())
    ]
