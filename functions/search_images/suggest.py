"""Suggestions: names of images, as somebody types one."""

from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.search_images import highlight
from functions.search_images.language import parse
from functions.search_images.ranking import TYPOS, TYPOS_PER_WORD, marking
from functions.search_images.search import answered


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
    body = {
        "size": size,
        "_source": ["name"],
        "query": {
            "bool": {
                "must": [_word(word) for word in words],
                "should": [
                    {"match": {"name": {"query": " ".join(words)}}},
                    {"prefix": {"name.keyword": {"value": query.text, "boost": 5}}},
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
                "name": {
                    "number_of_fragments": 0,
                    "matched_fields": ["name", "name.stem"],
                    "highlight_query": marking("name", words),
                }
            },
        },
    }
    hits = answered(client, alias_live, body)["hits"]["hits"]
    return Suggestions([_suggestion(hit) for hit in hits])


def _word(word: str) -> dict[str, Any]:
    """A word of a name: begun, or with a typo; the better way counts."""
    begun = {"match": {"name.prefix": {"query": word, "operator": "and"}}}
    typo = {"fuzziness": TYPOS, "max_expansions": TYPOS_PER_WORD, "boost": 0.1}
    ways = [begun, {"match": {"name": {"query": word, "operator": "and", **typo}}}]
    return {"dis_max": {"queries": ways}}


def _suggestion(hit: dict[str, Any]) -> Suggestion:
    name = hit["_source"]["name"]
    (marked,) = hit.get("highlight", {}).get("name", [name])
    return Suggestion(hit["_id"], name, highlight.safe_html(marked))
