"""The search: makes the request to the index, and converts the answer to a result."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from functions.search_images import cursor, facets, filters, highlight, spelling
from functions.search_images.clauses import correctable_words, highlight_query, matching
from functions.search_images.cursor import HitPosition
from functions.search_images.facets import NO_FACETS, Facets, FacetValues
from functions.search_images.fields import ATTRIBUTE_VALUE, ATTRIBUTES
from functions.search_images.filters import Filters
from functions.search_images.language import Query, parse_query
from functions.search_images.ranking import NO_ALTERNATIVES, Alternatives, matched_fields
from functions.search_images.spelling import Ask
from functions.search_images.visible import shows

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

Sort = Literal["relevance", "newest"]

# The time limit of a query. After that time, the index answers with a partial result.
SECONDS = 2
# The response of a function has at most 6 MB, and each quote of our JSON is escaped again in it.
# One image has at most 256 KiB, and its highlights as HTML may have the same size.
MOST_BYTES = 2 * 1024 * 1024

# A search by number reaches so many hits: `index.max_result_window` of the index. A cursor reaches
# all of them.
DEEPEST = 10_000

HIGHLIGHTED = ("name", "description", "tags", ATTRIBUTE_VALUE)
_WHOLE = 0  # `number_of_fragments: 0` highlights the whole value
_FRAGMENTS: Mapping[str, int] = {"name": _WHOLE, ATTRIBUTE_VALUE: _WHOLE, "tags": _WHOLE}

_BY: Mapping[Sort, dict[str, str]] = {
    "relevance": {"_score": "desc"},
    "newest": {"arrived_at": "desc"},
}


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One found image. Absent fields are left out.

    `name_html` and `highlights` are safe HTML, with matched words in `<em>` and no other markup.
    `highlights` has fragments of the other fields that matched, by field name. The name of an
    attribute is `attributes.NAME`.
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
    checksum: str | UnsetType = UNSET
    uploaded_by: str | UnsetType = UNSET
    taken_at: str | UnsetType = UNSET
    tags: list[str]
    attributes: dict[str, str]


# The fields to read. The others are not part of the document.
_SOURCE_FIELDS = tuple(
    name for name in Hit.__struct_fields__ if name not in {"image_id", "name_html", "highlights"}
)


class SearchResult(msgspec.Struct, frozen=True):
    """A page of hits, best first, and the number of all hits in `total`.

    `next` is the cursor of the next page. `did_you_mean` is the text with corrected spelling.
    """

    total: int
    hits: list[Hit]
    facets: Facets
    next: str | None
    did_you_mean: str | None


class TooSlowError(Exception):
    """The index did not finish within `SECONDS`."""


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A search: text, filters and order.

    `text` is in the query language (`language.parse_query`). None finds all images. A text
    without any word finds the images with this name, and a text that shows nothing finds none.
    """

    text: str | None
    filters: Filters = Filters()
    sort: Sort = "relevance"


def search(client: "OpenSearch", alias_live: str, text: str, size: int = 10) -> SearchResult:
    """The first page for a text, without filters; see `page`."""
    return page(client, alias_live, SearchRequest(text=text), size=size)


def page(
    client: "OpenSearch",
    alias_live: str,
    request: SearchRequest,
    *,
    size: int,
    after: str | None = None,
    attributes: Sequence[str] = (),
    skip: int = 0,
) -> SearchResult:
    """One page of the hits of a search.

    Concurrent writes do not shift pages: a page begins after the last hit of the previous page, at
    the current position of that hit (docs/guides/search-api.md).

    Args:
        client: the client of the index.
        alias_live: the alias that hides tombstones.
        request: the search.
        size: the maximum number of hits; the page has fewer if they exceed `MOST_BYTES`.
        after: `next` of the previous page; None for the first page.
        attributes: the names of the attributes that are facets, besides the fields.
        skip: without `after`, how many hits come before the page. Together with `size`, less than
            `DEEPEST`.

    Raises:
        InvalidCursorError: `after` is not a cursor of this search.
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    place = None if after is None else cursor.decode_cursor(after, request)
    query = None if request.text is None else parse_query(request.text)
    if query is not None and not shows(query.text):
        return SearchResult(0, [], NO_FACETS, None, None)
    # All pages of a search come from the same copies of the shards: the scores of others differ a
    # little.
    ask = partial(run_query, client, alias_live, copies=cursor.digest(request))
    body = partial(_page_query, request, query, size=size, attributes=attributes)
    result = partial(_result, request, query, size=size, attributes=attributes)
    if place is None:
        answer, alternatives = _corrected(ask, query, lambda words: body(words) | {"from": skip})
        return result(answer, alternatives)
    alternatives = NO_ALTERNATIVES
    if query and place.corrected:
        words = correctable_words(query)
        dictionary = spelling.dictionary_query(words)
        answer = ask(_query(request, query, alternatives, 0) | dictionary)
        alternatives = spelling.alternatives(words, answer, ask)
    if request.sort == "relevance":
        place = _position_now(ask, _query(request, query, alternatives, 1), place)
    begins = {"search_after": [place.sort_value, place.image_id]}
    return result(ask(body(alternatives) | begins), alternatives)


def facet_values(
    client: "OpenSearch",
    alias_live: str,
    request: SearchRequest,
    facet: str,
    *,
    containing: str,
    size: int,
) -> FacetValues:
    """The values of one facet of a search, the most frequent first.

    Args:
        client: the client of the index.
        alias_live: the alias that hides tombstones.
        request: the search.
        facet: the name of the facet (`facets.is_facet`).
        containing: only values that contain this text, in any case, with or without accents.
        size: the maximum number of values.

    Raises:
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    query = None if request.text is None else parse_query(request.text)
    if query is not None and not shows(query.text):
        return FacetValues([], more=False)
    chosen = filters.by_facet(request.filters)
    counted = {"track_total_hits": True, "aggs": facets.aggregation(facet, containing, chosen)}
    ask = partial(run_query, client, alias_live)
    answer, _ = _corrected(
        ask, query, lambda alternatives: _query(request, query, alternatives, 0) | counted
    )
    return facets.values_in(answer["aggregations"], facet, containing, size)


def matching_query(
    client: "OpenSearch", alias_live: str, request: SearchRequest, *, corrected: bool | None
) -> tuple[Mapping[str, Any] | None, bool]:
    """The query that finds exactly the images of a search, in no order.

    Args:
        client: the client of the index.
        alias_live: the alias that hides tombstones.
        request: the search.
        corrected: whether misspelled words have alternatives; None: only if few images match.

    Returns:
        The query, or None if the search finds nothing; and whether words have alternatives.

    Raises:
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    query = None if request.text is None else parse_query(request.text)
    if query is not None and not shows(query.text):
        return None, False
    ask = partial(run_query, client, alias_live)
    alternatives = NO_ALTERNATIVES
    if query and corrected is not False:
        words = correctable_words(query)
        counted = _query(request, query, alternatives, 0) | {"track_total_hits": True}
        answer = ask(counted | spelling.dictionary_query(words))
        if corrected or answer["hits"]["total"]["value"] < spelling.ENOUGH_HITS:
            alternatives = spelling.alternatives(words, answer, ask)
    body = _query(request, query, alternatives, 0)
    filtered = [body["query"], *body.get("post_filter", {"bool": {"filter": []}})["bool"]["filter"]]
    return {"bool": {"filter": filtered}}, bool(alternatives)


def _corrected(
    ask: Ask, query: Query | None, body: Callable[[Alternatives], Mapping[str, Any]]
) -> tuple[Mapping[str, Any], Alternatives]:
    """The answer, with alternatives of misspelled words if few images have the typed ones."""
    words = correctable_words(query) if query else ()
    alternatives = NO_ALTERNATIVES
    answer = ask({**body(alternatives), **spelling.dictionary_query(words)})
    if query and answer["hits"]["total"]["value"] < spelling.ENOUGH_HITS:
        alternatives = spelling.alternatives(words, answer, ask)
    return (ask(body(alternatives)) if alternatives else answer), alternatives


def run_query(
    client: "OpenSearch", alias_live: str, body: Mapping[str, Any], *, copies: str | None = None
) -> dict[str, Any]:
    """Send a request with the time limit; return the complete answer.

    Hits rank as if the index had a single shard: first all shards count the words. With one shard,
    OpenSearch leaves that step out.

    Args:
        client: the client of the index.
        alias_live: the alias that hides tombstones.
        body: the request.
        copies: requests with the same text are answered by the same copies of the shards. With
            None, any copy answers.

    Raises:
        TooSlowError: the answer is partial.
        OpenSearchException: there is no answer.
    """
    params = {"search_type": "dfs_query_then_fetch"}
    if copies is not None:
        params["preference"] = copies
    found: dict[str, Any] = client.search(
        index=alias_live, body={**body, "timeout": f"{SECONDS}s"}, params=params
    )
    if found["timed_out"]:
        raise TooSlowError(f"no result within {SECONDS} s: simplify the search, or retry later")
    return found


def _position_now(ask: Ask, request: Mapping[str, Any], place: HitPosition) -> HitPosition:
    """Find the current position of that hit, because each write changes all scores a little."""
    body = {**request, "_source": False}
    body["query"]["bool"]["filter"].append({"ids": {"values": [place.image_id]}})
    hits = ask(body)["hits"]["hits"]
    return msgspec.structs.replace(place, sort_value=hits[0]["sort"][0]) if hits else place


def _page_query(
    request: SearchRequest,
    query: Query | None,
    alternatives: Alternatives,
    *,
    size: int,
    attributes: Sequence[str],
) -> dict[str, Any]:
    """The request for a page. One hit more than `size` tells whether there is a next page."""
    return _query(request, query, alternatives, size + 1) | {
        "_source": list(_SOURCE_FIELDS),
        "track_total_hits": True,
        "highlight": _highlight(query, alternatives),
        "aggs": facets.aggregations(attributes, filters.by_facet(request.filters)),
    }


def _query(
    request: SearchRequest, query: Query | None, alternatives: Alternatives, size: int
) -> dict[str, Any]:
    chosen = list(filters.by_facet(request.filters).values())
    return {
        "size": size,
        "query": {
            "bool": {
                "must": [{"match_all": {}} if query is None else matching(query, alternatives)],
                "filter": [filters.NOT_DELETED, *filters.clauses(request.filters)],
            }
        },
        # Facets count within the query. Each leaves its own filter out, so these come after it.
        **({"post_filter": {"bool": {"filter": chosen}}} if chosen else {}),
        # The id breaks ties, so each hit has a different position.
        "sort": [_BY[request.sort], {"image_id": "asc"}],
    }


def _highlight(query: Query | None, alternatives: Alternatives) -> dict[str, Any]:
    fields = {}
    for path in HIGHLIGHTED if query else ():
        if query and (what := highlight_query(path, query, alternatives)):
            fields[path] = {
                "number_of_fragments": _FRAGMENTS.get(path, 3),
                "matched_fields": matched_fields(path, query.text),
                "highlight_query": what,
            }
    return {"pre_tags": [highlight.BEGIN], "post_tags": [highlight.END], "fields": fields}


def _result(
    request: SearchRequest,
    query: Query | None,
    answer: Mapping[str, Any],
    alternatives: Alternatives,
    *,
    size: int,
    attributes: Sequence[str],
) -> SearchResult:
    raw = answer["hits"]["hits"]
    sound = [(hit, one) for one in raw[:size] if (hit := _hit(one)) is not None]
    hits = list(_filling([hit for hit, _ in sound]))
    shown = [one for _, one in sound[: len(hits)]]
    if len(hits) < len(sound):
        last = _last_position(shown, alternatives)
    else:
        last = _last_position(raw[:size], alternatives) if len(raw) > size else None
    marked = [list(_marked_words(hit)) for hit in shown]
    return SearchResult(
        total=answer["hits"]["total"]["value"],
        hits=hits,
        facets=facets.facets_in(answer["aggregations"], attributes),
        next=None if last is None else cursor.encode_cursor(last, request),
        did_you_mean=spelling.corrected_text(query.text, alternatives, marked) if query else None,
    )


def _last_position(
    hits: Sequence[Mapping[str, Any]], alternatives: Alternatives
) -> HitPosition | None:
    """The position of the last hit that has one: a malformed document may lack an image ID."""
    for hit in reversed(hits):
        with suppress(msgspec.ValidationError):
            return msgspec.convert([*hit["sort"], bool(alternatives)], HitPosition)
    return None


def _filling(hits: Iterable[Hit]) -> Iterator[Hit]:
    """The hits that fit into an answer, at least one."""
    room = MOST_BYTES
    for at, hit in enumerate(hits):
        room -= len(msgspec.json.encode(hit))
        if at and room < 0:
            return
        yield hit


def _marked_words(hit: Mapping[str, Any]) -> Iterable[str]:
    marked: Mapping[str, Sequence[str]] = hit.get("highlight", {})
    return (
        word
        for path in HIGHLIGHTED
        for one in marked.get(path, ())
        for word in highlight.words_in(one)
    )


class _Pair(msgspec.Struct, frozen=True):
    """An attribute in a document."""

    name: str
    value: str


class _SourceAttributes(msgspec.Struct, frozen=True):
    """The attributes in a document."""

    attributes: list[_Pair] = []


def _hit(hit: Mapping[str, Any]) -> Hit | None:
    """The image in a document; None if no consumer wrote it, so that it is not an image.

    An audit finds such a document. It must not hide the other hits.
    """
    try:
        pairs = msgspec.convert(hit["_source"], _SourceAttributes).attributes
        attributes = {one.name: one.value for one in pairs}
        begun = {"tags": [], **hit["_source"], "image_id": hit["_id"], "attributes": attributes}
        plain = msgspec.convert({**begun, "name_html": "", "highlights": {}}, Hit)
    except msgspec.ValidationError:
        return None
    marked = dict(hit.get("highlight", {}))
    name = highlight.whole(plain.name, marked.pop("name", ()))
    for one in marked.pop(ATTRIBUTE_VALUE, ()):
        for own, value in attributes.items():
            if highlight.unmarked(one) == highlight.unmarked(value):
                marked[f"{ATTRIBUTES}.{own}"] = [one]
    return msgspec.structs.replace(
        plain,
        name_html=highlight.safe_html(name),
        highlights={
            path: [highlight.safe_html(one) for one in pieces] for path, pieces in marked.items()
        },
    )
