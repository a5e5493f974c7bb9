"""Single items of any table, looked up consistently."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import UNREADABLE
from shared.pace import Pace
from shared.sink import RequestRefusedError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class TableItems:
    """A table, of which single items are looked up."""

    def __init__(self, client: "DynamoDBClient", table: str, pace: Pace | None = None) -> None:
        """Prepare to read; `pace` limits the read units."""
        self._client = client
        self._table = table
        self._pace = pace

    def lookup(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The current items with these keys, at most `LOOKUP`; absent items are left out.

        Raises:
            RequestRefusedError: one of the keys is no key of the table, or is there twice.
            StoreUnreadableError: the table cannot be read.
        """
        wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}} if keys else {}
        try:
            while wanted:
                answer = self._client.batch_get_item(
                    RequestItems=wanted, ReturnConsumedCapacity="TOTAL"
                )
                yield from answer["Responses"].get(self._table, [])
                if self._pace is not None:
                    self._pace.spend(
                        sum(one["CapacityUnits"] for one in answer.get("ConsumedCapacity", []))
                    )
                wanted = answer["UnprocessedKeys"]
        except UNREADABLE as error:
            text = f"table {self._table}: {error!r}"
            if _is_refused(error):
                raise RequestRefusedError(text) from error
            raise StoreUnreadableError(text) from error


def _is_refused(error: Exception) -> bool:
    return (
        isinstance(error, ClientError) and error.response["Error"]["Code"] == "ValidationException"
    )
