"""Documents of the index that hold an image beside its own document.

Somebody else may have written them: with a custom routing, under another id, or into an index that
a rebuild has replaced and kept. No event reaches them, so they are deleted.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.connect import sink_errors
from lockstep.stores.index import IndexReader

_FIELDS = ("image_id", "deleted")


class StrayDocument(msgspec.Struct, frozen=True):
    """A document, the index that it is in, and the image that it holds."""

    image_id: str
    index: str
    id: str
    routing: str | None


class StrayDocuments:
    """Finds and deletes them. Raises what the client raises."""

    def __init__(self, client: OpenSearch, live: str, others: Collection[str]) -> None:
        """Set it up.

        Args:
            client: the client of the index.
            live: the index, or the alias, that the consumers write to.
            others: the other indices of the stack.
        """
        self._client = client
        self._live = live
        self._others = others

    def find(self, image_ids: Collection[str]) -> Sequence[StrayDocument]:
        """All of them.

        Raises:
            StoreUnreadableError: an index could not be read.
            SinkError: it could not be refreshed.
        """
        names = sorted(image_ids)
        query = {"bool": {"should": [{"ids": {"values": names}}, {"terms": {"image_id": names}}]}}
        indices = (self._live, *self._others)
        for index in indices:
            with sink_errors(index):
                # Without it, a search finds what was there at the last refresh.
                self._client.indices.refresh(index=index)
        return [
            stray
            for index in indices
            for hit in IndexReader(self._client, index).search(_FIELDS, {"query": query})
            if (stray := self._stray(index, hit, image_ids)) is not None
        ]

    def delete(self, found: Collection[StrayDocument]) -> None:
        """Delete documents; they need not exist.

        Raises:
            SinkError: one may still exist.
        """
        for one in found:
            params: dict[str, Any] = {} if one.routing is None else {"routing": one.routing}
            with sink_errors(one.index):
                self._client.delete(index=one.index, id=one.id, params=params, ignore=404)

    def _stray(self, index: str, hit: Any, image_ids: Collection[str]) -> StrayDocument | None:
        routing = hit.get("_routing")
        own = hit["_id"] in image_ids and routing is None
        if own and (index == self._live or hit.get("_source", {}).get("deleted") is True):
            return None
        said = hit["_id"] if hit["_id"] in image_ids else hit["_source"]["image_id"]
        return StrayDocument(said, hit["_index"], hit["_id"], routing)
