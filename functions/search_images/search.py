"""Search: the request to the index, and its answer as a reader may see it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from opensearchpy import OpenSearch

from functions.search_images import cursor, filters, highlight, spelling
from functions.search_images.clauses import marks, spelt, wanted
from functions.search_images.cursor import Place
from functions.search_images.fields import ATTRIBUTE_VALUE, ATTRIBUTES, SHOWN
from functions.search_images.filters import Filters
from functions.search_images.language import Query, parse
from functions.search_images.ranking import AS_TYPED, Near

Sort = Literal["relevance", "newest"]

# What the index may take for a query, at most; it then answers with what it has found until then.
SECONDS = 2
FACET_VALUES = 10
# Lambda takes an answer of 6 MB, in which each quote of our JSON is escaped once more. An image has
# at most 256 KiB, and its highlights that again in HTML.
MOST_BYTES = 2 * 1024 * 1024

HIGHLIGHTED = ("name", "description", "tags", ATTRIBUTE_VALUE)
_WHOLE = 0  # fragments: the whole value
_FRAGMENTS: Mapping[str, int] = {"name": _WHOLE, ATTRIBUTE_VALUE: _WHOLE, "tags": _WHOLE}

_BY: Mapping[Sort, dict[str, str]] = {
    "relevance": {"_score": "desc"},
    "newest": {"arrived_at": "desc"},
}
_FACETS: Mapping[str, Mapping[str, Any]] = {
    "tags": {"terms": {"field": "tags.keyword", "size": FACET_VALUES}},
    "content_type": {"terms": {"field": "content_type", "size": FACET_VALUES}},
    "uploaded_by": {"terms": {"field": "uploaded_by", "size": FACET_VALUES}},
    "year": {
        "date_histogram": {
            "field": "taken_at",
            "calendar_interval": "year",
            "format": "yyyy",
            "min_doc_count": 1,
        }
    },
}


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One image that was found, with all that a reader may see of it; what it has not is left out.

    `name_html` and `highlights` are safe HTML, in which only `<em>` is markup: around words that
    were found. `highlights` holds the pieces of other fields in which words were found, by field
    (a user's own as `attributes.NAME`).
    """

    image_id: str
    version: int
    name: str
    name_html: str
    highlights: dict[str, list[str]]
    description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    uploaded_by: str | UnsetType = UNSET
    taken_at: str | UnsetType = UNSET
    tags: list[str]
    attributes: dict[str, str]


class Count(msgspec.Struct, frozen=True):
    """A value, and how many of the images found have it."""

    value: str
    count: int


class Facets(msgspec.Struct, frozen=True):
    """The most frequent values among all images found, the most frequent first."""

    tags: list[Count]
    content_type: list[Count]
    uploaded_by: list[Count]
    year: list[Count]


class SearchResult(msgspec.Struct, frozen=True):
    """A page of hits, best first, of `total` images that were found.

    `next`: the cursor of the next page. `did_you_mean`: the query in better spelling.
    """

    total: int
    hits: list[Hit]
    facets: Facets
    next: str | None
    did_you_mean: str | None


class TooSlowError(Exception):
    """The index did not finish within `SECONDS`."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A search: what may be found, in which order.

    `text` is in the language of `language.parse`; None asks for all images, while a text without
    any word asks for none.
    """

    text: str | None
    filters: Filters = Filters()
    sort: Sort = "relevance"


def search(client: OpenSearch, alias_live: str, text: str, size: int = 10) -> SearchResult:
    """Images that a person may mean by this text; see `page`."""
    return page(client, alias_live, Asked(text=text), size=size)


def page(
    client: OpenSearch, alias_live: str, asked: Asked, *, size: int, after: str | None = None
) -> SearchResult:
    """One page of what a search finds.

    Images that are written meanwhile shift no page: each begins behind the last hit of the one
    before, wherever that now stands (docs/guides/search-api.md).

    Args:
        client: of the index.
        alias_live: the alias that hides deleted images.
        asked: what is searched.
        size: how many hits, at most; fewer when images are so large that `MOST_BYTES` are full.
        after: `next` of the page before; None for the first page.

    Raises:
        InvalidCursorError: `after` is no cursor of this search.
        TooSlowError: it takes the index too long.
        OpenSearchException: the index did not answer, or there is no such alias.
    """
    place = None if after is None else cursor.read(after, asked)
    query = None if asked.text is None else parse(asked.text)
    if query is not None and query.empty:
        return SearchResult(0, [], Facets([], [], [], []), None, None)
    words = spelt(query) if query else ()
    question = spelling.question(words)
    near = AS_TYPED
    if place is None:
        answer = answered(client, alias_live, _page(asked, query, near, size) | question)
        if query and answer["hits"]["total"]["value"] < spelling.ENOUGH:
            near = spelling.near(words, answer)
        if near:
            answer = answered(client, alias_live, _page(asked, query, near, size))
        return _result(answer, asked, query, near, size)
    if query and place.respelled:
        body = _request(asked, query, near, 0) | question
        near = spelling.near(words, answered(client, alias_live, body))
    if asked.sort == "relevance":
        place = _place_now(client, alias_live, _request(asked, query, near, 1), place)
    body = _page(asked, query, near, size) | {"search_after": [place.by, place.image_id]}
    return _result(answered(client, alias_live, body), asked, query, near, size)


def answered(client: OpenSearch, alias_live: str, body: dict[str, Any]) -> dict[str, Any]:
    """The index's whole answer to a request, which gets its time limit here.

    Raises:
        TooSlowError: it would be a part only.
        OpenSearchException: there is none.
    """
    found: dict[str, Any] = client.search(index=alias_live, body=body | {"timeout": f"{SECONDS}s"})
    if found["timed_out"]:
        raise TooSlowError(f"not found within {SECONDS} s: ask for less, or try again later")
    return found


def _place_now(
    client: OpenSearch, alias_live: str, request: Mapping[str, Any], place: Place
) -> Place:
    """Where that hit stands now: with each write all scores move a little."""
    body = {**request, "_source": False}
    body["query"]["bool"]["filter"].append({"ids": {"values": [place.image_id]}})
    hits = answered(client, alias_live, body)["hits"]["hits"]
    return msgspec.structs.replace(place, by=hits[0]["sort"][0]) if hits else place


def _page(asked: Asked, query: Query | None, near: Near, size: int) -> dict[str, Any]:
    """What to ask for a page; one hit more than is shown tells whether there is a next one."""
    return _request(asked, query, near, size + 1) | {
        "_source": list(SHOWN),
        "track_total_hits": True,
        "highlight": _highlight(query, near),
        "aggs": _FACETS,
    }


def _request(asked: Asked, query: Query | None, near: Near, size: int) -> dict[str, Any]:
    return {
        "size": size,
        "query": {
            "bool": {
                "must": [{"match_all": {}} if query is None else wanted(query, near)],
                "filter": filters.clauses(asked.filters),
            }
        },
        # The id breaks ties, so that no two hits stand in one place.
        "sort": [_BY[asked.sort], {"image_id": "asc"}],
    }


def _highlight(query: Query | None, near: Near) -> dict[str, Any]:
    fields = {}
    for path in HIGHLIGHTED if query else ():
        if query and (what := marks(path, query, near)):
            fields[path] = {
                "number_of_fragments": _FRAGMENTS.get(path, 3),
                "matched_fields": [path, f"{path}.stem"],
                "highlight_query": what,
            }
    return {"pre_tags": [highlight.BEGIN], "post_tags": [highlight.END], "fields": fields}


def _result(
    answer: Mapping[str, Any], asked: Asked, query: Query | None, near: Near, size: int
) -> SearchResult:
    raw = answer["hits"]["hits"]
    hits = list(_filling([_hit(hit) for hit in raw[:size]]))
    shown = raw[: len(hits)]
    aggregations = answer["aggregations"]
    last = _place(shown[-1], near) if len(raw) > len(shown) else None
    marked = [list(_marked_words(hit)) for hit in shown]
    return SearchResult(
        total=answer["hits"]["total"]["value"],
        hits=hits,
        facets=Facets(**{name: _counts(aggregations[name]["buckets"]) for name in _FACETS}),
        next=None if last is None else cursor.written(last, asked),
        did_you_mean=spelling.corrected(query.text, near, marked) if query else None,
    )


def _place(hit: Mapping[str, Any], near: Near) -> Place:
    by, image_id = hit["sort"]
    return Place(by, image_id, respelled=bool(near))


def _filling(hits: Iterable[Hit]) -> Iterator[Hit]:
    """The hits that an answer has room for; the first always fits."""
    room = MOST_BYTES
    for at, hit in enumerate(hits):
        room -= len(msgspec.json.encode(hit))
        if at and room < 0:
            return
        yield hit


def _counts(buckets: Iterable[Mapping[str, Any]]) -> list[Count]:
    counts = [Count(one.get("key_as_string", one["key"]), one["doc_count"]) for one in buckets]
    return sorted(counts, key=lambda one: (-one.count, one.value))[:FACET_VALUES]


def _marked_words(hit: Mapping[str, Any]) -> Iterable[str]:
    marked: Mapping[str, Sequence[str]] = hit.get("highlight", {})
    return (
        word
        for path in HIGHLIGHTED
        for one in marked.get(path, ())
        for word in highlight.words_in(one)
    )


def _hit(hit: Mapping[str, Any]) -> Hit:
    source = dict(hit["_source"])
    attributes = {one["name"]: one["value"] for one in source.pop(ATTRIBUTES, ())}
    marked = dict(hit.get("highlight", {}))
    (name,) = marked.pop("name", [source["name"]])
    for one in marked.pop(ATTRIBUTE_VALUE, ()):
        for own, value in attributes.items():
            if highlight.unmarked(one) == highlight.unmarked(value):
                marked[f"{ATTRIBUTES}.{own}"] = [one]
    return Hit(
        image_id=hit["_id"],
        name_html=highlight.safe_html(name),
        highlights={
            path: [highlight.safe_html(one) for one in pieces] for path, pieces in marked.items()
        },
        tags=source.pop("tags", []),
        attributes=attributes,
        **source,
    )
