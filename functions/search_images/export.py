"""All images of a search in order of their ids, as a download has them.

An id never changes. So an image that matches from the first request to the last one is exported
exactly once, whatever else is written meanwhile, and the index keeps no state for it
(docs/decisions/2026-11-30-exports-in-order-of-ids.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from functions.search_images.cursor import HitPosition, decode_cursor, encode_cursor
from functions.search_images.fields import ATTRIBUTE_NAME, ATTRIBUTES
from functions.search_images.search import SearchRequest, matching_query, run_query

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# The images of one request to the index. One image has at most 256 KiB.
AT_ONCE = 200
# So many attributes have a column of their own in a table, the most frequent ones.
MOST_COLUMNS = 50


class ExportedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image, with the fields of a hit (`search.Hit`) except highlights and checksum."""

    image_id: str
    version: int
    name: str
    description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    uploaded_by: str | UnsetType = UNSET
    taken_at: str | UnsetType = UNSET
    tags: list[str]
    attributes: dict[str, str]


class ImageExport:
    """The images of one search, from the beginning or from a cursor."""

    def __init__(
        self,
        client: "OpenSearch",
        alias_live: str,
        request: SearchRequest,
        after: str | None = None,
    ) -> None:
        """Find what matches. The images are read later.

        Args:
            client: the client of the index.
            alias_live: the alias that hides tombstones.
            request: the search. Its order changes nothing.
            after: `cursor` of an earlier export of the same search.

        Raises:
            InvalidCursorError: `after` is not a cursor of this search.
            TooSlowError: the index did not finish in time.
            OpenSearchException: the index did not answer, or the alias does not exist.
        """
        self._client, self._alias = client, alias_live
        # A cursor of a page is none of an export.
        self._asked = ("export", request)
        place = None if after is None else decode_cursor(after, self._asked)
        self._last = None if place is None else place.image_id
        corrected = None if place is None else place.corrected
        self._query, self._corrected = matching_query(
            client, alias_live, request, corrected=corrected
        )

    def images(self) -> Iterator[ExportedImage]:
        """Every image, in order of the ids. It is read when it is taken.

        A document that no consumer wrote is left out.

        Raises:
            TooSlowError: see above.
            OpenSearchException: see above.
        """
        hits = self._hits() if self._query is not None else []
        while hits:
            for hit in hits:
                (self._last,) = hit["sort"]
                if self._last is None:  # no image id: no consumer wrote it, nor what follows
                    return
                if (found := _exported(hit)) is not None:
                    yield found
            hits = self._hits() if len(hits) == AT_ONCE else []

    def cursor_after(self, image_id: str) -> str:
        """The cursor of what follows this image."""
        return encode_cursor(HitPosition(0, image_id, self._corrected), self._asked)

    def attribute_names(self) -> list[str]:
        """The names of the most frequent attributes of all images of the search, in their order."""
        if self._query is None:
            return []
        names = {"terms": {"field": ATTRIBUTE_NAME, "size": MOST_COLUMNS}}
        own = {"nested": {"path": ATTRIBUTES}, "aggs": {"names": names}}
        found = self._ask({"size": 0, "query": self._query, "aggs": {"own": own}})
        return sorted(one["key"] for one in found["aggregations"]["own"]["names"]["buckets"])

    def _hits(self) -> Sequence[Mapping[str, Any]]:
        body: dict[str, Any] = {
            "size": AT_ONCE,
            "query": self._query,
            "sort": [{"image_id": "asc"}],
            "_source": list(ExportedImage.__struct_fields__),
            "track_total_hits": False,
        }
        if self._last is not None:
            body["search_after"] = [self._last]
        hits: Sequence[Mapping[str, Any]] = self._ask(body)["hits"]["hits"]
        return hits

    def _ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return run_query(self._client, self._alias, body)


class _Attribute(msgspec.Struct, frozen=True):
    """An attribute in a document."""

    name: str
    value: str


def _exported(hit: Mapping[str, Any]) -> ExportedImage | None:
    """The image in a document; None if no consumer wrote it."""
    source = hit["_source"]
    if source.get("image_id") != hit["_id"]:  # else a cursor would not be where the image is
        return None
    try:
        pairs = msgspec.convert(source.get(ATTRIBUTES, []), list[_Attribute])
        fields = {
            "tags": [],
            **source,
            "attributes": {one.name: one.value for one in pairs},
        }
        found = msgspec.convert(fields, ExportedImage)
        msgspec.json.encode(found)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    return found
