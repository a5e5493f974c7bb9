"""The two stores as an auditor reads them: whole, page by page; or a few images, right now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, OpenSearchException

from lockstep.audit.entry import FIELDS, Entry, from_document, from_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# DynamoDB's limit for BatchGetItem; fits `_mget` as well.
LOOKUP = 100
DOCUMENTS_PER_PAGE = 2_000
KEEP_ALIVE = "2m"
# Some of our attribute names are reserved words in DynamoDB's expressions.
_NAMES = {f"#{name}": name for name in FIELDS}
_PROJECTION = ", ".join(_NAMES)
# botocore takes an answer that was cut off for an empty success: then a member is missing.
_UNREADABLE = (ClientError, BotoCoreError, ResponseParserError, KeyError)


class StoreUnreadableError(Exception):
    """A store could not be read to its end: nothing can be said about equality."""


class TableEntries:
    """The system of record, read consistently."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def all(self) -> Iterator[Entry]:
        """Every item, in no order."""
        try:
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table,
                ConsistentRead=True,
                ProjectionExpression=_PROJECTION,
                ExpressionAttributeNames=_NAMES,
            )
            for page in pages:
                yield from map(from_item, page["Items"])
        except _UNREADABLE as error:
            raise StoreUnreadableError(f"table {self._table}: {error!r}") from error

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The entries of these images, at most `LOOKUP` of them, as they are at this moment."""
        wanted: dict[str, Any] = {
            self._table: {
                "Keys": [{"image_id": {"S": image_id}} for image_id in image_ids],
                "ConsistentRead": True,
                "ProjectionExpression": _PROJECTION,
                "ExpressionAttributeNames": _NAMES,
            }
        }
        found: dict[str, Entry] = {}
        try:
            while wanted:
                answer = self._client.batch_get_item(RequestItems=wanted)
                for item in answer["Responses"].get(self._table, []):
                    entry = from_item(item)
                    found[entry.image_id] = entry
                wanted = answer["UnprocessedKeys"]
        except _UNREADABLE as error:
            raise StoreUnreadableError(f"table {self._table}: {error!r}") from error
        return found


class IndexEntries:
    """The search index behind its writing alias, tombstones included."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self._client = client
        self._alias = alias

    def all(self) -> Iterator[Entry]:
        """Every document of one point in time, in the order of image ids.

        That time is now, for who may refresh the index; else it is the last refresh.
        """
        try:
            with suppress(AuthorizationException):
                self._client.indices.refresh(index=self._alias)
            pit = self._client.create_pit(index=self._alias, params={"keep_alive": KEEP_ALIVE})
            try:
                for hit in self._hits(pit["pit_id"]):
                    yield from_document(hit)
            finally:
                self._client.delete_pit(body={"pit_id": [pit["pit_id"]]})
        except OpenSearchException as error:
            raise StoreUnreadableError(f"index {self._alias}: {error}") from error

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The entries of these images, also those written since the last refresh."""
        try:
            answer = self._client.mget(
                index=self._alias,
                body={"ids": list(image_ids)},
                params={"_source_includes": ",".join(FIELDS)},
            )
        except OpenSearchException as error:
            raise StoreUnreadableError(f"index {self._alias}: {error}") from error
        return {doc["_id"]: from_document(doc) for doc in answer["docs"] if doc.get("found")}

    def _hits(self, pit_id: str) -> Iterable[Mapping[str, Any]]:
        after: dict[str, Any] = {}
        while True:
            answer = self._client.search(
                body={
                    "size": DOCUMENTS_PER_PAGE,
                    "pit": {"id": pit_id, "keep_alive": KEEP_ALIVE},
                    "sort": [{"image_id": "asc"}],
                    "track_total_hits": False,
                    "version": True,
                    "_source": FIELDS,
                    **after,
                },
                params={"allow_partial_search_results": "false"},
            )
            if answer["timed_out"] or answer["_shards"]["failed"]:
                message = f"index {self._alias}: a shard did not answer; try again"
                raise StoreUnreadableError(message)
            hits = answer["hits"]["hits"]
            yield from hits
            if len(hits) < DOCUMENTS_PER_PAGE:
                return
            after = {"search_after": hits[-1]["sort"]}
