"""Search: what a person would find. Any field, typos, accents, word forms, prefixes; best first.

Each word of the query may be found in its own way, anywhere in the image: that is what the
catch-all field is for. What the image is called counts most. Fields and analysis: docs/search.md.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch

# OpenSearch refuses queries of more than 1,024 clauses: of this many words, each with its forms
# and typos in two fields, come fewer.
MAX_TOKENS = 32
TYPOS_PER_WORD = 10
# Letters that may be wrong: none in the shortest words, whose neighbours are other words.
TYPOS = "AUTO:4,8"
# An analyzer cuts there: no longer word is in the index.
MAX_WORD_LENGTH = 255
# More than any name has; the rest of a text that long says nothing new.
MAX_TEXT_LENGTH = 8 * 1024
# Up to two words: each must be found. Above, a quarter of them may be missing.
MOST_WORDS = "2<-25%"

CATCH_ALL = "everything"
HIGHLIGHTED = ("name", "description", "tags", "attributes.value")
_WHOLE = 0  # fragments: the whole value
_FRAGMENTS: Mapping[str, int] = {"name": _WHOLE, "attributes.value": _WHOLE, "tags": _WHOLE}
_BEGIN, _END = "<em>", "</em>"

# About what the standard tokenizer makes of a text, and never fewer: each letter of a script that
# is written without spaces, other runs of letters and digits, each symbol.
_WIDE = "\u2e80-\u2fdf\u3041-\u3096\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+|[^\w\s\x00-\u1fff]")


class Hit(msgspec.Struct, frozen=True):
    """One image that was found, with what tells a person which it is.

    `highlights` holds, by field (a user's own as `attributes.NAME`), the pieces in which words
    were found, those words between `<em>` and `</em>`; the text around is as it was indexed.
    """

    image_id: str
    score: float
    name: str
    highlights: dict[str, list[str]]
    version: int
    description: str | None
    url: str | None
    uploaded_by: str | None
    taken_at: str | None
    tags: list[str]
    attributes: dict[str, str]


class SearchResult(msgspec.Struct, frozen=True):
    """The best hits, best first, of `total` images that were found."""

    total: int
    hits: list[Hit]


def search(client: OpenSearch, alias_live: str, text: str, size: int = 10) -> SearchResult:
    """Images that a person may mean by this text.

    Any text is a good query: what holds no word finds nothing.

    Args:
        client: of the index.
        alias_live: the alias that hides deleted images.
        text: words, in any form.
        size: of how many images more than their number is wanted.

    Raises:
        OpenSearchException: the index did not answer, or there is no such alias.
    """
    # A lone surrogate is no text, and no JSON either.
    text = text[:MAX_TEXT_LENGTH].encode(errors="replace").decode()
    words = words_of(text)
    if not words:
        return SearchResult(0, [])
    answer = client.search(index=alias_live, body=request(text.strip(), words, size))
    hits = answer["hits"]
    return SearchResult(hits["total"]["value"], [_hit(hit) for hit in hits["hits"]])


def words_of(text: str) -> Sequence[str]:
    """What stands between spaces and holds a letter or digit; not more than a query may have."""
    words: list[str] = []
    tokens = 0
    for word in text.split():
        if not any(char.isalnum() for char in word):
            continue
        tokens += len(_TOKEN.findall(word[:MAX_WORD_LENGTH]))
        if tokens > MAX_TOKENS:
            return words or [word[:MAX_TOKENS]]
        words.append(word[:MAX_WORD_LENGTH])
    return words


def request(text: str, words: Sequence[str], size: int) -> dict[str, Any]:
    """The search request: all words found, ranked by how and where."""
    together = " ".join(words)
    found_somewhere = [
        _words(CATCH_ALL, words),
        # Of an address only the file's name is made of words: the rest is the same for many.
        {"match": {"url.file": {"query": together, "operator": "and"}}},
        {"term": {"url": text}},
    ]
    closer = [
        _words("name", words, boost=3),
        {"match_phrase": {"name": {"query": together, "slop": 2, "boost": 4}}},
        {"term": {"name.keyword": {"value": text, "boost": 100}}},
        {"term": {"image_id": {"value": text, "boost": 100}}},
    ]
    return {
        "size": size,
        "track_total_hits": True,
        "_source": list(_SHOWN),
        "query": {"bool": {"must": {"bool": {"should": found_somewhere}}, "should": closer}},
        "highlight": {
            "pre_tags": [_BEGIN],
            "post_tags": [_END],
            "fields": {
                field: {
                    "number_of_fragments": _FRAGMENTS.get(field, 3),
                    "matched_fields": [field, f"{field}.stem"],
                    "highlight_query": _marking(field, words),
                }
                for field in HIGHLIGHTED
            },
        },
    }


def _words(field: str, words: Iterable[str], boost: float = 1) -> dict[str, Any]:
    """Most of the words in this field, each in its own way."""
    clauses = [_word(field, word) for word in words]
    return {"bool": {"should": clauses, "minimum_should_match": MOST_WORDS, "boost": boost}}


def _word(field: str, word: str) -> dict[str, Any]:
    """One word: as it is, in another form, as a beginning, with a typo; the best way counts."""
    beginning = {"match": {f"{field}.prefix": {"query": word, "operator": "and", "boost": 0.5}}}
    ways = [_as_it_is(field, word), _form(field, word), beginning, _typo(field, word)]
    return {"dis_max": {"queries": ways}}


def _marking(field: str, words: Iterable[str]) -> dict[str, Any]:
    """What to mark in a field that was found through the catch-all: the same, in its own words."""
    ways = [
        way
        for word in words
        for way in (
            _form(field, word),
            {"match_bool_prefix": {field: {"query": word, "operator": "and"}}},
            _typo(field, word),
        )
    ]
    return {"bool": {"should": ways}}


def _as_it_is(field: str, word: str) -> dict[str, Any]:
    return {"match": {field: {"query": word, "operator": "and", "boost": 2}}}


def _form(field: str, word: str) -> dict[str, Any]:
    return {"match": {f"{field}.stem": {"query": word, "operator": "and"}}}


def _typo(field: str, word: str) -> dict[str, Any]:
    typo = {
        "query": word,
        "operator": "and",
        "fuzziness": TYPOS,
        "max_expansions": TYPOS_PER_WORD,
        "boost": 0.5,
    }
    return {"match": {field: typo}}


def _hit(hit: Mapping[str, Any]) -> Hit:
    source = hit["_source"]
    attributes = {one["name"]: one["value"] for one in source.get("attributes", ())}
    highlights = dict(hit.get("highlight", {}))
    for marked in highlights.pop("attributes.value", ()):
        for name, value in attributes.items():
            if _unmarked(marked) == _unmarked(value):
                highlights[f"attributes.{name}"] = [marked]
    return Hit(
        image_id=hit["_id"],
        score=hit["_score"],
        name=source["name"],
        highlights=highlights,
        version=source["version"],
        description=source.get("description"),
        url=source.get("url"),
        uploaded_by=source.get("uploaded_by"),
        taken_at=source.get("taken_at"),
        tags=source.get("tags", []),
        attributes=attributes,
    )


def _unmarked(text: str) -> str:
    return text.replace(_BEGIN, "").replace(_END, "")


_SHOWN = (
    "name",
    "version",
    "description",
    "url",
    "uploaded_by",
    "taken_at",
    "tags",
    "attributes",
)
