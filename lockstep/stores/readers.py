"""The two stores as an auditor reads them: whole, page by page; or a few images, right now."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, OpenSearchException

from functions.write_to_es import document
from lockstep.console.errors import UserError
from lockstep.stores.entry import (
    FIELDS,
    Entry,
    from_document,
    from_item,
    from_whole_document,
    from_whole_item,
)
from lockstep.stores.held import Held, held_in_document, held_in_item
from lockstep.stores.pages import SearchPage, place_of
from shared.item import KEY, OUR_ATTRIBUTES

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# DynamoDB's limit for BatchGetItem; fits `_mget` as well.
LOOKUP = 100
DOCUMENTS_PER_PAGE = 2_000
WHOLE_DOCUMENTS_PER_PAGE = 200
# A page of a scan under a rate: so small that its price is a small part of a second's.
ITEMS_PER_PACED_PAGE = 100
KEEP_ALIVE = "2m"
# botocore takes an answer that was cut off for an empty success: then a member is missing.
_UNREADABLE = (ClientError, BotoCoreError, ResponseParserError, KeyError)


class StoreUnreadableError(UserError):
    """A store could not be read to its end: nothing can be said about equality."""


class Pace:
    """Bounds the read capacity that is used, in units a second; one second's may come at once."""

    def __init__(
        self, rate: float, elapsed: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._rate = rate
        self._elapsed = elapsed
        self._sleep = sleep
        self._free_from = 0.0

    def spend(self, units: float) -> None:
        """Wait until these units, which were used just now, are within the rate."""
        now = self._elapsed()
        self._free_from = max(self._free_from, now - 1) + units / self._rate
        if self._free_from > now:
            self._sleep(self._free_from - now)


class TableEntries:
    """The system of record, read consistently."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        scanner: "DynamoDBClient | None" = None,
        whole: bool = False,
        since: dt.datetime | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            client: of DynamoDB.
            table: its name.
            scanner: the same, but that it decodes scans by `lockstep.stores.pages.decode_scan`.
            whole: read all values, and look whether they are what they say.
            since: leave out what arrived before. It is read all the same: that is its price.
            pace: bounds the capacity that is used.
        """
        self._client = client
        self._scanner = client if whole or scanner is None else scanner
        self._table = table
        self._fields: Sequence[str] = sorted(OUR_ATTRIBUTES) if whole else FIELDS
        self._entry = from_whole_item if whole else from_item
        self._since = since
        self._pace = pace

    def all(self) -> Iterator[Entry]:
        """Every item, in no order."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            **self._projection(self._fields),
        }
        if self._since is not None:
            request["FilterExpression"] = (
                "#arrived_at >= :since OR attribute_not_exists(#arrived_at)"
            )
            request["ExpressionAttributeValues"] = {
                ":since": {"N": str(_milliseconds(self._since))}
            }
        if self._pace is not None:
            request["PaginationConfig"] = {"PageSize": ITEMS_PER_PACED_PAGE}
        try:
            for page in self._scanner.get_paginator("scan").paginate(**request):
                decoded: Any = page.get("Entries")
                yield from map(self._entry, page["Items"]) if decoded is None else decoded
                self._spend([page.get("ConsumedCapacity")])
        except _UNREADABLE as error:
            raise self._unreadable(error) from error

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The entries of these images, at most `LOOKUP` of them, as they are at this moment."""
        found = map(self._entry, self._items(image_ids, self._fields))
        return {entry.image_id: entry for entry in found}

    def held(self, image_ids: Sequence[str]) -> Mapping[str, Held]:
        """What is held of these images, whole, at most `LOOKUP` of them, at this moment."""
        items = self._items(image_ids, sorted(OUR_ATTRIBUTES))
        return {item[KEY]["S"]: held_in_item(item) for item in items}

    def about(self) -> int:
        """How many items there are; on AWS, as it was some hours ago."""
        try:
            return self._client.describe_table(TableName=self._table)["Table"]["ItemCount"]
        except _UNREADABLE as error:
            raise self._unreadable(error) from error

    def some(self, count: int, chance: Callable[[], float]) -> Sequence[str]:
        """About so many image ids by chance, whatever they say: of random ranges of ids' hashes."""
        items_per_segment = 20
        segments = max(1, min(1_000_000, self.about() // items_per_segment))
        found: dict[str, None] = {}
        seen: set[int] = set()
        try:
            while len(found) < count and len(seen) < segments:
                segment = int(chance() * segments)
                if segment in seen:
                    continue
                seen.add(segment)
                pages = self._client.get_paginator("scan").paginate(
                    TableName=self._table,
                    TotalSegments=segments,
                    Segment=segment,
                    **self._projection([KEY]),
                )
                for page in pages:
                    found.update((item[KEY]["S"], None) for item in page["Items"])
                    self._spend([page.get("ConsumedCapacity")])
        except _UNREADABLE as error:
            raise self._unreadable(error) from error
        return list(found)[:count]

    def _items(
        self, image_ids: Sequence[str], fields: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        wanted: dict[str, Any] = {
            self._table: {
                "Keys": [{KEY: {"S": image_id}} for image_id in image_ids],
                "ConsistentRead": True,
                **self._projection(fields, "ReturnConsumedCapacity"),
            }
        }
        capacity: Any = {} if self._pace is None else {"ReturnConsumedCapacity": "TOTAL"}
        try:
            while wanted:
                answer = self._client.batch_get_item(RequestItems=wanted, **capacity)
                yield from answer["Responses"].get(self._table, [])
                self._spend(answer.get("ConsumedCapacity", []))
                wanted = answer["UnprocessedKeys"]
        except _UNREADABLE as error:
            raise self._unreadable(error) from error

    def _projection(self, fields: Sequence[str], *but: str) -> dict[str, Any]:
        """What to read. Some of our names are reserved words in DynamoDB's expressions."""
        names = {f"#{name}": name for name in fields}
        projection: dict[str, Any] = {
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        if self._pace is not None:
            projection["ReturnConsumedCapacity"] = "TOTAL"
        return {name: value for name, value in projection.items() if name not in but}

    def _spend(self, consumed: Iterable[Any]) -> None:
        if self._pace is not None:
            self._pace.spend(sum(one["CapacityUnits"] for one in consumed if one))

    def _unreadable(self, error: Exception) -> StoreUnreadableError:
        return StoreUnreadableError(f"table {self._table}: {error!r}")


class IndexEntries:
    """The search index behind its writing alias, tombstones included."""

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
            client: of OpenSearch.
            alias: the writing alias.
            searcher: the same, but that it decodes by `lockstep.stores.pages.SearchPages`.
            whole: read all values, and look whether they are what they say.
            since: leave out what arrived before.
        """
        self._client = client
        self._searcher = client if whole or searcher is None else searcher
        self._alias = alias
        self._fields: Sequence[str] = document.FIELDS if whole else FIELDS
        self._entry = from_whole_document if whole else from_document
        self._page = WHOLE_DOCUMENTS_PER_PAGE if whole else DOCUMENTS_PER_PAGE
        self._since = since

    def all(self) -> Iterator[Entry]:
        """Every document of one point in time, in no order.

        That time is now, for who may refresh the index; else it is the last refresh.
        """
        query: dict[str, Any] = {}
        if self._since is not None:
            since = {"range": {"arrived_at": {"gte": _milliseconds(self._since)}}}
            unknown = {"bool": {"must_not": {"exists": {"field": "arrived_at"}}}}
            query = {"query": {"bool": {"should": [since, unknown]}}}
        for page in self._pages(self._searcher, self._fields, query):
            if isinstance(page, SearchPage):
                yield from page.entries()
            else:
                yield from map(self._entry, page["hits"]["hits"])

    def hits(self, fields: Sequence[str], query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """These fields of every document that the query finds, of one point in time; see `all`."""
        for page in self._pages(self._client, fields, query):
            yield from page["hits"]["hits"]

    def _pages(
        self, client: OpenSearch, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Any]:
        """The answers to a search of one point in time, as this client decodes them."""
        try:
            with suppress(AuthorizationException):
                self._client.indices.refresh(index=self._alias)
            pit = self._client.create_pit(index=self._alias, params={"keep_alive": KEEP_ALIVE})
            try:
                yield from self._pages_of(pit["pit_id"], client, fields, query)
            finally:
                self._client.delete_pit(body={"pit_id": [pit["pit_id"]]})
        except OpenSearchException as error:
            raise self._unreadable(error) from error

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The entries of these images, also those written since the last refresh."""
        return {doc["_id"]: self._entry(doc) for doc in self._documents(image_ids, self._fields)}

    def held(self, image_ids: Sequence[str]) -> Mapping[str, Held]:
        """What is held of these images, whole, also what was written since the last refresh."""
        documents = self._documents(image_ids, document.FIELDS)
        return {doc["_id"]: held_in_document(doc) for doc in documents}

    def about(self) -> int:
        """How many documents a search would find."""
        try:
            count: int = self._client.count(index=self._alias)["count"]
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        return count

    def some(self, count: int, chance: Callable[[], float]) -> Sequence[str]:
        """So many image ids by chance, if there are."""
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
        return [hit["_id"] for hit in answer["hits"]["hits"]]

    def _documents(
        self, image_ids: Sequence[str], fields: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        try:
            answer = self._client.mget(
                index=self._alias,
                body={"ids": list(image_ids)},
                params={"_source_includes": ",".join(fields)},
            )
        except OpenSearchException as error:
            raise self._unreadable(error) from error
        for doc in answer["docs"]:
            if "error" in doc:
                message = f"index {self._alias}: {doc['_id']}: {doc['error']}"
                raise StoreUnreadableError(message)
            if doc["found"]:
                yield doc

    def _pages_of(
        self, pit_id: str, client: OpenSearch, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Any]:
        after: dict[str, Any] = {}
        count = 0
        while True:
            answer = client.search(
                body={
                    "size": self._page,
                    "pit": {"id": pit_id, "keep_alive": KEEP_ALIVE},
                    # Not by image id: foreign documents may lack it, or have another's, and a page
                    # that ends between two of the same would hide one.
                    "sort": [{"_shard_doc": "asc"}],
                    "track_total_hits": not after,
                    "version": True,
                    "_source": list(fields),
                    **query,
                    **after,
                },
                params={"allow_partial_search_results": "false"},
            )
            place = place_of(answer)
            if not place.complete:
                message = f"index {self._alias}: a shard did not answer; try again"
                raise StoreUnreadableError(message)
            if not after:
                total = place.total
            yield answer
            count += place.hits
            if place.hits < self._page:
                break
            after = {"search_after": place.last}
        if count != total:
            message = f"index {self._alias}: {count} documents of {total} could be read; try again"
            raise StoreUnreadableError(message)

    def _unreadable(self, error: Exception) -> StoreUnreadableError:
        return StoreUnreadableError(f"index {self._alias}: {error}")


def _milliseconds(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
