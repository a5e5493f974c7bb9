"""The table as a rebuild reads it the first time: whole items, page by page, from any page on."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lockstep.stores.held import Held, held_in_item
from lockstep.stores.readers import ITEMS_PER_PACED_PAGE, Pace, StoreUnreadableError
from shared.item import KEY

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Page(msgspec.Struct, frozen=True):
    """Some images, each with what is held of it.

    `position` is where the reading goes on; None: this was the last page.
    """

    images: Sequence[tuple[str, Held]]
    position: str | None


class Items(Protocol):
    """The system of record, read whole."""

    @property
    def name(self) -> str:
        """Which it is: a position is good for the same one only."""
        ...

    def about(self) -> int:
        """How many items there are, roughly."""
        ...

    def pages(self, position: str | None) -> Iterator[Page]:
        """All pages from this position on; None: from the first.

        Raises:
            StoreUnreadableError: it could not be read to its end.
        """
        ...


class TableItems:
    """The table itself. Eventually consistent, at half the price: it is read once more later."""

    def __init__(self, client: "DynamoDBClient", table: str, pace: Pace | None = None) -> None:
        self._client = client
        self._table = table
        self._pace = pace

    @property
    def name(self) -> str:
        """The table, by its name."""
        return f"table {self._table}"

    def about(self) -> int:
        """How many items there are; on AWS, as it was some hours ago."""
        try:
            return self._client.describe_table(TableName=self._table)["Table"]["ItemCount"]
        except _UNREADABLE as error:
            raise self._unreadable(error) from error

    def pages(self, position: str | None) -> Iterator[Page]:
        """Pages of a scan; a position is the key that the page before ended with."""
        request: dict[str, Any] = {"TableName": self._table}
        if self._pace is not None:
            request |= {"ReturnConsumedCapacity": "TOTAL", "Limit": ITEMS_PER_PACED_PAGE}
        while True:
            if position is not None:
                request["ExclusiveStartKey"] = msgspec.json.decode(position)
            try:
                answer = self._client.scan(**request)
                items, end = answer["Items"], answer.get("LastEvaluatedKey")
            except _UNREADABLE as error:
                raise self._unreadable(error) from error
            if self._pace is not None:
                self._pace.spend(answer["ConsumedCapacity"]["CapacityUnits"])
            position = msgspec.json.encode(end).decode() if end else None
            yield Page([(item[KEY]["S"], held_in_item(item)) for item in items], position)
            if position is None:
                return

    def _unreadable(self, error: Exception) -> StoreUnreadableError:
        return StoreUnreadableError(f"{self.name}: {error!r}")


# botocore takes an answer that was cut off for an empty success: then a member is missing.
_UNREADABLE = (ClientError, BotoCoreError, ResponseParserError, KeyError)
