"""Suggestions: finds names of images while somebody types."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from functions.search_images import highlight, spelling
from functions.search_images.filters import NOT_DELETED
from functions.search_images.language import parse_query
from functions.search_images.numbers import with_a_blank, with_other_zeros
from functions.search_images.ranking import (
    NO_ALTERNATIVES,
    Alternatives,
    beginnings,
    highlight_clause,
    in_running_text,
    matched_fields,
    misspelled,
)
from functions.search_images.search import run_query
from functions.search_images.visible import shown, shows

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

NAME = "name"


# A longer text is no query: it may not fit into an address.
LONGEST_TEXT = 3_000


class Suggestion(msgspec.Struct, frozen=True):
    """The name of an image. `name_html` is safe HTML, with the typed words in `<em>`.

    For a name that shows nothing, `name_html` is a label.
    `text` is a query that finds the image: its name, or `id:ID` if a search box would change the
    name, or if the name means something else in the query language.
    """

    image_id: str
    name: str
    name_html: str
    text: str


class Suggestions(msgspec.Struct, frozen=True):
    """Matching names, best first, each once."""

    suggestions: list[Suggestion]


def suggest(client: "OpenSearch", alias_live: str, typed: str, size: int = 8) -> Suggestions:
    """Find names with all words of the text. Each word may be a prefix.

    A text without any word finds the names that begin with it.

    Raises:
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    query = parse_query(typed)
    words = [*query.words, *(term.text for term in query.required)]
    text = query.text
    if not shows(text):
        return Suggestions([])
    body = _names_query(text, words, NO_ALTERNATIVES, size) | spelling.dictionary_query(words)
    ask = partial(run_query, client, alias_live)
    answer = ask(body)
    alternatives = (
        NO_ALTERNATIVES if answer["hits"]["hits"] else spelling.alternatives(words, answer, ask)
    )
    if alternatives:
        answer = ask(_names_query(text, words, alternatives, size))
    return Suggestions([_suggestion(hit) for hit in answer["hits"]["hits"]])


def _names_query(
    text: str, words: Sequence[str], alternatives: Alternatives, size: int
) -> dict[str, Any]:
    begins = {"prefix": {"name.keyword": {"value": text, "boost": 5}}}
    return {
        "size": size,
        "_source": ["name"],
        "query": {
            "bool": {
                "must": [_name_word(word, alternatives) for word in words] or [begins],
                "filter": [NOT_DELETED],
                "should": [
                    *({"match_phrase": {NAME: word}} for word in words),
                    begins,
                    {"term": {"name.keyword": {"value": text, "boost": 5}}},
                ],
            }
        },
        "sort": [{"_score": "desc"}, {"image_id": "asc"}],
        # Return each name once.
        "collapse": {"field": "name.keyword"},
        "highlight": {
            "pre_tags": [highlight.BEGIN],
            "post_tags": [highlight.END],
            "fields": {
                NAME: {
                    "number_of_fragments": 0,
                    "matched_fields": matched_fields(NAME, text),
                    "highlight_query": highlight_clause(NAME, words, alternatives),
                }
            },
        },
    }


def _name_word(word: str, alternatives: Alternatives) -> dict[str, Any]:
    """The clause for a word in a name: as a prefix or misspelled. The best match counts."""
    clauses = [
        *beginnings(NAME, word),
        *in_running_text(NAME, word),
        *with_a_blank(NAME, word),
        *with_other_zeros(NAME, word),
        *misspelled(NAME, word, alternatives),
    ]
    return {"dis_max": {"queries": clauses}}


def _suggestion(hit: dict[str, Any]) -> Suggestion:
    name = hit["_source"]["name"]
    marked = highlight.whole(name, hit.get("highlight", {}).get(NAME, ()))
    seen = highlight.safe_html(marked) if shown(name) == name else shown(name)
    return Suggestion(hit["_id"], name, seen, _query_for(hit["_id"], name))


def _query_for(image_id: str, name: str) -> str:
    text = " ".join(name.split())
    query = parse_query(text)
    only_words = not (query.required or query.excluded)
    if (only_words or text == name) and len(quote(text)) <= LONGEST_TEXT:
        return text
    return f"id:{image_id}"
