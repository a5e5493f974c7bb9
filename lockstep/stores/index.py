"""The reader of the index: a scan of all documents, searches, and lookups."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import (
    AuthorizationException,
    NotFoundError,
    OpenSearchException,
)

from functions.write_to_es import document
from lockstep.console.failures import is_no_answer, message_of
from lockstep.stores.entry import FIELDS, Entry, from_document, from_whole_document
from lockstep.stores.image_state import StoredImage, state_of_document
from lockstep.stores.pages import SearchPage, summary_of
from lockstep.stores.readers import Segment, StoreUnreadableError, milliseconds
from lockstep.stores.routing import name_of_document, routed

DOCUMENTS_PER_PAGE = 2_000
WHOLE_DOCUMENTS_PER_PAGE = 200
KEEP_ALIVE = "2m"
# OpenSearch allows 1,024 shards of an index, each with one document of an `_id`.
_MOST_SHARDS = 1_024


class IndexPoint(msgspec.Struct, frozen=True):
    """How far the index was read, as of one point in time.

    `keep_alive`: OpenSearch keeps the point for so long after each page. `after` is the sort value
    of the last document that was read, and `count` how many were. `total` is known from the first
    page on.
    """

    pit_id: str
    keep_alive: str = KEEP_ALIVE
    after: Any = None
    count: int = 0
    total: int | None = None


class PointLostError(StoreUnreadableError):
    """The index must be read from the beginning, at another point in time."""


class IndexReader:
    """The index behind its write alias, tombstones included."""

    def __init__(
        self,
        client: OpenSearch,
        alias: str,
        *,
        searcher: OpenSearch | None = None,
        whole: bool = False,
        since: dt.datetime | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            client: the client of OpenSearch.
            alias: the write alias, or an index.
            searcher: a client that decodes answers with `lockstep.stores.pages.SearchPages`.
            whole: read every value of an entry, and check its content against its digest.
            since: leave out what arrived before.
        """
        self._client = client
        self._searcher = client if whole or searcher is None else searcher
        self._alias = alias
        self._fields: Sequence[str] = document.FIELDS if whole else FIELDS
        self._entry = from_whole_document if whole else from_document
        self._size = WHOLE_DOCUMENTS_PER_PAGE if whole else DOCUMENTS_PER_PAGE
        self._since = since

    def scan(self) -> Iterator[Entry]:
        """Every document, as of one point in time, in any order.

        That time is now if the caller may refresh the index, and the last refresh otherwise.
        """
        return self._scan({})

    def scan_segment(self, segment: Segment) -> Iterator[Entry]:
        """Every document of a segment, as of a point in time that is the segment's own."""
        if segment.of == 1:  # OpenSearch refuses a single slice
            return self._scan({})
        # By default, by the hash of `_id`: a document stays in its slice when it changes.
        return self._scan({"slice": {"id": segment.number, "max": segment.of}})

    def _scan(self, more: Mapping[str, Any]) -> Iterator[Entry]:
        query = dict(more)
        if self._since is not None:
            since = {"range": {"arrived_at": {"gte": milliseconds(self._since)}}}
            unknown = {"bool": {"must_not": {"exists": {"field": "arrived_at"}}}}
            query["query"] = {"bool": {"should": [since, unknown]}}
        for page in self._pages(self._searcher, self._fields, query):
            yield from self._entries(page)

    def open_point(self, keep_alive: str) -> IndexPoint:
        """A point in time of the index, as it is now, to read with `entry_pages`.

        Unlike a scan, it needs the right to refresh the index.
        """
        try:
            self._client.indices.refresh(index=self._alias)
            return self._point(keep_alive)
        except OpenSearchException as error:
            raise self._unreadable(error) from error

    def entry_pages(self, point: IndexPoint) -> Iterator[tuple[Sequence[Entry], IndexPoint]]:
        """The documents as of a point in time, page by page, each with the point after it.

        Raises:
            PointLostError: OpenSearch has forgotten the point, or not all documents came.
            StoreUnreadableError: a page could not be read. The point may still be good.
        """
        try:
            for answer, at in self._pages_from(point, self._searcher, self._fields, {}):
                yield list(self._entries(answer)), at
        except NotFoundError as error:
            message = f"index {self._alias}: the point in time is lost: {error}"
            raise PointLostError(message) from error
        except OpenSearchException as error:
            raise self._unreadable(error) from error

    def close_point(self, point: IndexPoint) -> None:
        """Let OpenSearch forget the point, if it has not. It does so itself, later.

        Raises:
            StoreUnreadableError: OpenSearch refused it, or did not answer.
        """
        try:
            with suppress(NotFoundError):
                self._client.delete_pit(body={"pit_id": [point.pit_id]})
        except OpenSearchException as error:
            raise self._unreadable(error) from error

    def search(
        self, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """These fields of every document that the query finds; as of the same time as `scan`."""
        for page in self._pages(self._client, fields, query):
            yield from page["hits"]["hits"]

    def _pages(
        self, client: OpenSearch, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Any]:
        """The answers to a search at one point in time, as this client decodes them."""
        try:
            with suppress(AuthorizationException):
                self._client.indices.refresh(index=self._alias)
            point = self._point(KEEP_ALIVE)
            try:
                for answer, _ in self._pages_from(point, client, fields, query):
                    yield answer
            finally:
                self._client.delete_pit(body={"pit_id": [point.pit_id]})
        except OpenSearchException as error:
            raise self._unreadable(error) from error

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """See `EntryLookup`; also sees what was written since the last refresh."""
        documents = self._documents(image_ids, self._fields)
        return {name: self._entry(doc) for name, doc in documents}

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        """See `WholeLookup`; also sees what was written since the last refresh."""
        documents = self._documents(image_ids, document.FIELDS)
        return {name: state_of_document(doc) for name, doc in documents}

    def lookup_raw(self, image_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """See `RawLookup`; documents have all their fields, also those that are not ours."""
        return dict(self._documents(image_ids, None))

    def routed_names(self, image_id: str) -> Sequence[str]:
        """The names of the documents with this `_id` that have a custom routing.

        A lookup does not find them. A search does, as of the last refresh.
        """
        try:
            answer = self._client.search(
                index=self._alias,
                body={
                    "size": _MOST_SHARDS,
                    "query": {"ids": {"values": [image_id]}},
                    "_source": False,
                },
                params={"allow_partial_search_results": "false"},
            )
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        hits = answer["hits"]["hits"]
        return sorted(name_of_document(hit) for hit in hits if "_routing" in hit)

    def count(self) -> int:
        """The number of documents that a search would find."""
        try:
            count: int = self._client.count(index=self._alias)["count"]
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        return count

    def sample(self, count: int, chance: Callable[[], float]) -> Sequence[str]:
        """`count` random image IDs, or all if there are fewer."""
        score = {"seed": int(chance() * 2**31), "field": "_seq_no"}
        try:
            answer = self._client.search(
                index=self._alias,
                body={
                    "size": count,
                    "query": {"function_score": {"random_score": score}},
                    "_source": False,
                },
                params={"allow_partial_search_results": "false"},
            )
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        return [name_of_document(hit) for hit in answer["hits"]["hits"]]

    def _documents(
        self, names: Sequence[str], fields: Sequence[str] | None
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The documents with these names that exist, whether or not a name says a routing."""
        only = {} if fields is None else {"_source_includes": ",".join(fields)}
        # Somebody may have written any `_id`, so a name may also be a plain `_id`.
        asked: list[tuple[str, str, str | None]] = [(name, name, None) for name in names]
        asked += [(name, *place) for name in names if (place := routed(name)) is not None]
        body: dict[str, Any] = {"ids": list(names)}
        if len(asked) > len(names):
            body = {"docs": [_place(document_id, routing) for _, document_id, routing in asked]}
        try:
            answer = self._client.mget(index=self._alias, body=body, params=only)
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        for (name, _, routing), doc in zip(asked, answer["docs"], strict=False):
            if "error" in doc:
                message = f"index {self._alias}: {doc['_id']}: {doc['error']}"
                raise StoreUnreadableError(message)
            # Another document of this `_id` may be in the shard of the routing.
            if doc["found"] and (routing is None or doc.get("_routing") == routing):
                yield name, doc

    def _entries(self, page: Any) -> Iterable[Entry]:
        """The entries of a page, which the client may have decoded."""
        if isinstance(page, SearchPage):
            return page.entries()
        return map(self._entry, page["hits"]["hits"])

    def _point(self, keep_alive: str) -> IndexPoint:
        pit = self._client.create_pit(index=self._alias, params={"keep_alive": keep_alive})
        return IndexPoint(pit["pit_id"], keep_alive)

    def _pages_from(
        self, point: IndexPoint, client: OpenSearch, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[tuple[Any, IndexPoint]]:
        """The answers to a search from a point on, each with the point after it."""
        while True:
            answer = client.search(
                body={
                    "size": self._size,
                    "pit": {"id": point.pit_id, "keep_alive": point.keep_alive},
                    # Not by image ID: a foreign document may lack it or have another image's, and
                    # a page that ends between two equal IDs would hide one of them.
                    "sort": [{"_shard_doc": "asc"}],
                    "track_total_hits": point.total is None,
                    "version": True,
                    "_source": list(fields),
                    **query,
                    **({} if point.after is None else {"search_after": point.after}),
                },
                params={"allow_partial_search_results": "false"},
            )
            page = summary_of(answer)
            if not page.complete:
                message = f"index {self._alias}: a shard did not answer; try again"
                raise StoreUnreadableError(message)
            point = msgspec.structs.replace(
                point,
                after=page.last if page.hits else point.after,
                count=point.count + page.hits,
                total=page.total if point.total is None else point.total,
            )
            yield answer, point
            if page.hits < self._size:
                break
        if point.count != point.total:
            message = (
                f"index {self._alias}: {point.count} documents of {point.total} could be read; "
                "try again"
            )
            raise PointLostError(message)

    def _unreadable(self, error: Exception) -> StoreUnreadableError:
        if isinstance(error, NotFoundError) and error.error == "index_not_found_exception":
            return StoreUnreadableError(f"index {self._alias} does not exist")
        why = message_of(error) if is_no_answer(error) else str(error)
        return StoreUnreadableError(f"index {self._alias}: {why}")


def _place(document_id: str, routing: str | None) -> Mapping[str, str]:
    """A document that an `_mget` asks for."""
    return {"_id": document_id} | ({} if routing is None else {"routing": routing})
