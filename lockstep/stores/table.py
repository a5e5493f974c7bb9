"""The reader of the table: scans of all items, resumable page by page, and lookups."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lockstep.console.failures import is_no_answer, message_of
from lockstep.stores.entry import FIELDS, Entry, from_item, from_whole_item
from lockstep.stores.image_state import StoredImage, state_of_item
from lockstep.stores.readers import Segment, StoreUnreadableError, milliseconds
from shared.item import KEY, OUR_ATTRIBUTES
from shared.pace import ITEMS_PER_PACED_PAGE, Pace

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# What reading a table may raise.
# KeyError: botocore returns a truncated response as a success in which a member is missing.
# UnicodeDecodeError: it was truncated within a character.
UNREADABLE = (ClientError, BotoCoreError, ResponseParserError, KeyError, UnicodeDecodeError)
# DynamoDB's limit for a partition key, in bytes.
_LONGEST_KEY = 2_048


class WholePage(msgspec.Struct, frozen=True):
    """Some images, each with all that is stored of it.

    `position` is where reading continues; None: this is the last page.
    """

    images: Sequence[tuple[str, StoredImage]]
    position: str | None


class EntryPage(msgspec.Struct, frozen=True):
    """Some entries. `position` is where reading continues; None: this is the last page."""

    entries: Sequence[Entry]
    position: str | None


class TableReader:
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
            client: the client of DynamoDB.
            table: the table's name.
            scanner: a client that decodes scans with `lockstep.stores.pages.decode_scan`.
            whole: read every value of an entry, and check its content against its digest.
            since: leave out what arrived before. DynamoDB still reads and charges for it.
            pace: limits the read capacity.
        """
        self._client = client
        self._scanner = client if whole or scanner is None else scanner
        self._table = table
        self._fields: Sequence[str] = sorted(OUR_ATTRIBUTES) if whole else FIELDS
        self._entry = from_whole_item if whole else from_item
        self._since = since
        self._pace = pace

    @property
    def name(self) -> str:
        """The name of the store in messages and in the state of a rebuild."""
        return f"table {self._table}"

    def scan(self) -> Iterator[Entry]:
        """Every item, in no particular order."""
        return self._scan()

    def scan_segment(self, segment: Segment) -> Iterator[Entry]:
        """Every item of a segment, in no particular order."""
        return self._scan(Segment=segment.number, TotalSegments=segment.of)

    def _scan(self, **segment: int) -> Iterator[Entry]:
        request = self._scan_request() | segment
        if self._since is not None:
            request["FilterExpression"] = (
                "#arrived_at >= :since OR attribute_not_exists(#arrived_at)"
            )
            request["ExpressionAttributeValues"] = {":since": {"N": str(milliseconds(self._since))}}
        if self._pace is not None:
            request["PaginationConfig"] = {"PageSize": ITEMS_PER_PACED_PAGE}
        try:
            for page in self._scanner.get_paginator("scan").paginate(**request):
                yield from self._entries(page)
                self._spend([page.get("ConsumedCapacity")])
        except UNREADABLE as error:
            raise self._unreadable(error) from error

    def entry_pages(self, position: str | None) -> Iterator[EntryPage]:
        """The same in pages, from this position on; None: from the first.

        A position is the last key of the previous page.
        """
        request = self._scan_request()
        if self._pace is not None:
            request["Limit"] = ITEMS_PER_PACED_PAGE
        while True:
            if position is not None:
                request["ExclusiveStartKey"] = msgspec.json.decode(position)
            try:
                answer = self._scanner.scan(**request)
                entries = list(self._entries(answer))
            except UNREADABLE as error:
                raise self._unreadable(error) from error
            end = answer.get("LastEvaluatedKey")
            position = msgspec.json.encode(end).decode() if end else None
            yield EntryPage(entries, position)
            self._spend([answer.get("ConsumedCapacity")])
            if position is None:
                return

    def some(self, count: int) -> Sequence[Entry]:
        """At most this many items, by one request: whether there are any, and which, for example.

        The read is eventually consistent.
        """
        request: dict[str, Any] = {"TableName": self._table, "Limit": count}
        try:
            answer = self._client.scan(**request, **self._projection(FIELDS))
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        return [from_item(item) for item in answer["Items"]]

    def pages(self, position: str | None) -> Iterator[WholePage]:
        """All items, whole, in pages from this position on; None: from the first.

        A position is the last key of the previous page. Reads are eventually consistent, at half
        the price: the caller must read the table again later.
        """
        request: dict[str, Any] = {"TableName": self._table}
        if self._pace is not None:
            request |= {"ReturnConsumedCapacity": "TOTAL", "Limit": ITEMS_PER_PACED_PAGE}
        while True:
            if position is not None:
                request["ExclusiveStartKey"] = msgspec.json.decode(position)
            try:
                answer = self._client.scan(**request)
                items, end = answer["Items"], answer.get("LastEvaluatedKey")
            except UNREADABLE as error:
                raise self._unreadable(error) from error
            self._spend([answer.get("ConsumedCapacity")])
            position = msgspec.json.encode(end).decode() if end else None
            yield WholePage([(item[KEY]["S"], state_of_item(item)) for item in items], position)
            if position is None:
                return

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """See `EntryLookup`."""
        found = map(self._entry, self._items(image_ids, self._fields))
        return {entry.image_id: entry for entry in found}

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        """See `WholeLookup`."""
        return {one: state_of_item(item) for one, item in self.lookup_raw(image_ids).items()}

    def lookup_raw(self, image_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """See `RawLookup`; items have our attributes only."""
        items = self._items(image_ids, sorted(OUR_ATTRIBUTES))
        return {item[KEY]["S"]: item for item in items}

    def count(self) -> int:
        """The number of items; on AWS, as it was some hours ago."""
        count: int = self.description()["ItemCount"]
        return count

    def description(self) -> Mapping[str, Any]:
        """The table's description, as DescribeTable returns it."""
        try:
            return self._client.describe_table(TableName=self._table)["Table"]
        except UNREADABLE as error:
            raise self._unreadable(error) from error

    def sample(self, count: int, chance: Callable[[], float]) -> Sequence[str]:
        """About `count` random image IDs, taken from random ranges of the IDs' hashes."""
        items_per_segment = 20
        segments = max(1, min(1_000_000, self.count() // items_per_segment))
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
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        return list(found)[:count]

    def _scan_request(self) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "ConsistentRead": True,
            **self._projection(self._fields),
        }

    def _entries(self, page: Any) -> Iterable[Entry]:
        """The entries of a page of a scan, which the client may have decoded."""
        decoded: Iterable[Entry] | None = page.get("Entries")
        return map(self._entry, page["Items"]) if decoded is None else decoded

    def _items(
        self, image_ids: Sequence[str], fields: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        # The index may have documents with longer names, which no item can have.
        keys = [{KEY: {"S": one}} for one in image_ids if len(one.encode()) <= _LONGEST_KEY]
        if not keys:
            return
        wanted: dict[str, Any] = {
            self._table: {
                "Keys": keys,
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
        except UNREADABLE as error:
            raise self._unreadable(error) from error

    def _projection(self, fields: Sequence[str], *without: str) -> dict[str, Any]:
        """The parameters that select fields; some field names are reserved words of DynamoDB."""
        names = {f"#{name}": name for name in fields}
        projection: dict[str, Any] = {
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        if self._pace is not None:
            projection["ReturnConsumedCapacity"] = "TOTAL"
        return {name: value for name, value in projection.items() if name not in without}

    def _spend(self, consumed: Iterable[Any]) -> None:
        if self._pace is not None:
            self._pace.spend(sum(one["CapacityUnits"] for one in consumed if one))

    def _unreadable(self, error: Exception) -> StoreUnreadableError:
        why = message_of(error) if is_no_answer(error) else repr(error)
        return StoreUnreadableError(f"{self.name}: {why}")
