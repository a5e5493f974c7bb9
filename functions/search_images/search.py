"""Search: the request to the index, and its answer as a reader may see it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.search_images.language import MAX_TEXT_LENGTH, words_of
from functions.search_images.ranking import marking, ranked

HIGHLIGHTED = ("name", "description", "tags", "attributes.value")
_WHOLE = 0  # fragments: the whole value
_FRAGMENTS: Mapping[str, int] = {"name": _WHOLE, "attributes.value": _WHOLE, "tags": _WHOLE}
_BEGIN, _END = "<em>", "</em>"


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


def request(text: str, words: Sequence[str], size: int) -> dict[str, Any]:
    """The search request: all words found, ranked by how and where."""
    return {
        "size": size,
        "track_total_hits": True,
        "_source": list(_SHOWN),
        "query": ranked(text, words),
        "highlight": {
            "pre_tags": [_BEGIN],
            "post_tags": [_END],
            "fields": {
                field: {
                    "number_of_fragments": _FRAGMENTS.get(field, 3),
                    "matched_fields": [field, f"{field}.stem"],
                    "highlight_query": marking(field, words),
                }
                for field in HIGHLIGHTED
            },
        },
    }


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
