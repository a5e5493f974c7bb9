"""Any table, read in segments: each page consistently, and resumable after each page."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import UNREADABLE

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class SegmentPage(msgspec.Struct, frozen=True):
    """Some items, in DynamoDB's typed form, with binaries as bytes.

    `position` is where reading the segment continues; None: this is its last page. `units` is the
    read capacity that the page has used.
    """

    items: Sequence[Mapping[str, Any]]
    position: str | None
    units: float


class TableSegments:
    """A parallel scan: each segment has other items, and all segments have all items.

    The items of a segment depend on its number and on the number of segments only. Several threads
    may read at the same time.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        segments: int,
        page_size: int | None = None,
        only: Sequence[str] = (),
    ) -> None:
        """Prepare to read.

        Args:
            client: the client of DynamoDB.
            table: the table's name.
            segments: the number of segments.
            page_size: at most so many items in a page; None: as many as DynamoDB returns, 1 MB.
            only: read only these attributes of each item; none: the whole items.
        """
        self._client = client
        self._segments = segments
        self._table = table
        self._how: dict[str, Any] = {"Limit": page_size} if page_size else {}
        if only:
            # Names may be reserved words of DynamoDB.
            names = {f"#{at}": name for at, name in enumerate(only)}
            self._how |= {
                "ProjectionExpression": ", ".join(names),
                "ExpressionAttributeNames": names,
            }

    def page(self, segment: int, position: str | None) -> SegmentPage:
        """The page of this segment at this position; None: its first page.

        Raises:
            StoreUnreadableError: the table cannot be read.
        """
        start: dict[str, Any] = {}
        if position is not None:
            start["ExclusiveStartKey"] = _key_at(position)
        try:
            answer = self._client.scan(
                TableName=self._table,
                TotalSegments=self._segments,
                Segment=segment,
                ConsistentRead=True,
                ReturnConsumedCapacity="TOTAL",
                **self._how,
                **start,
            )
            end = answer.get("LastEvaluatedKey")
            return SegmentPage(
                answer["Items"],
                msgspec.json.encode(end).decode() if end else None,
                answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0),
            )
        except UNREADABLE as error:
            raise StoreUnreadableError(f"table {self._table}: {error!r}") from error


def _key_at(position: str) -> Mapping[str, Any]:
    key = msgspec.json.decode(position, type=dict[str, dict[str, str]])
    return {
        name: {
            kind: base64.b64decode(text) if kind == "B" else text for kind, text in value.items()
        }
        for name, value in key.items()
    }
