"""Suggestions: names of images, as somebody types one."""

from collections.abc import Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.search_images import highlight, spelling
from functions.search_images.language import parse
from functions.search_images.ranking import AS_TYPED, Near, marking, mistyped
from functions.search_images.search import answered

NAME = "name"


class Suggestion(msgspec.Struct, frozen=True):
    """The name of an image; `name_html` is safe HTML, with what was typed between `<em>`."""

    image_id: str
    name: str
    name_html: str


class Suggestions(msgspec.Struct, frozen=True):
    """Names that somebody may be typing, the likeliest first, each once."""

    suggestions: list[Suggestion]


def suggest(client: OpenSearch, alias_live: str, typed: str, size: int = 8) -> Suggestions:
    """Names with all these words in them, the last of which may be the beginning of one.

    Raises:
        TooSlowError: it takes the index too long.
        OpenSearchException: the index did not answer, or there is no such alias.
    """
    query = parse(typed)
    words = [*query.words, *(term.text for term in query.required)]
    if not words:
        return Suggestions([])
    text = query.text
    body = _request(text, words, AS_TYPED, size) | spelling.question(words)
    answer = answered(client, alias_live, body)
    near = AS_TYPED if answer["hits"]["hits"] else spelling.near(words, answer)
    if near:
        answer = answered(client, alias_live, _request(text, words, near, size))
    return Suggestions([_suggestion(hit) for hit in answer["hits"]["hits"]])


def _request(text: str, words: Sequence[str], near: Near, size: int) -> dict[str, Any]:
    return {
        "size": size,
        "_source": ["name"],
        "query": {
            "bool": {
                "must": [_word(word, near) for word in words],
                "should": [
                    {"match": {NAME: {"query": " ".join(words)}}},
                    {"prefix": {"name.keyword": {"value": text, "boost": 5}}},
                ],
            }
        },
        "sort": [{"_score": "desc"}, {"image_id": "asc"}],
        # Each name once.
        "collapse": {"field": "name.keyword"},
        "highlight": {
            "pre_tags": [highlight.BEGIN],
            "post_tags": [highlight.END],
            "fields": {
                NAME: {
                    "number_of_fragments": 0,
                    "matched_fields": ["name", "name.stem"],
                    "highlight_query": marking(NAME, words, near),
                }
            },
        },
    }


def _word(word: str, near: Near) -> dict[str, Any]:
    """A word of a name: begun, or mistyped; the better way counts."""
    begun = {"match": {"name.prefix": {"query": word, "operator": "and"}}}
    return {"dis_max": {"queries": [begun, *mistyped(NAME, word, near)]}}


def _suggestion(hit: dict[str, Any]) -> Suggestion:
    name = hit["_source"]["name"]
    (marked,) = hit.get("highlight", {}).get("name", [name])
    return Suggestion(hit["_id"], name, highlight.safe_html(marked))
