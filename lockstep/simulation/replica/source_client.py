"""A client of DynamoDB that reads the source: by scans, and single items."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.simulation.fakes.boto3_requests import answer_of
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.replica.source import TABLE, key_text
from lockstep.simulation.replica.system import ReplicaSystem

_MOST_UNPROCESSED = 2

type OnRead = Callable[[Sequence[tuple[Item, Item | None]]], None]
"""Told of each item that was read, with its key; None: there is no such item."""


class SourceClient:
    """Reads the source. After each answer, others may work before the reader goes on."""

    def __init__(self, system: ReplicaSystem, on_read: OnRead) -> None:
        """Read the source of this system; `on_read` is told of what was read."""
        self._system = system
        self._on_read = on_read

    def scan(self, **request: Any) -> dict[str, Any]:
        """A page of a segment."""
        answer = self._send("Scan", lambda: self._page(request))
        found = answer.get("Items", ())
        self._on_read([(self._system.source_table.keys_in(one), one) for one in found])
        return answer

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Items by their keys; some may be left for another request."""
        wanted = request["RequestItems"][TABLE]
        answer = self._send("BatchGetItem", lambda: self._items(wanted))
        if "Responses" in answer:
            self._on_read(self._found(wanted["Keys"], answer))
        return answer

    def _send(self, operation: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return answer_of(self._system.connections["table"], "dynamodb", operation, read)

    def _page(self, request: Mapping[str, Any]) -> dict[str, Any]:
        system = self._system
        total, segment = request["TotalSegments"], request["Segment"]
        limit = request.get("Limit", len(system.source.items) + 1)
        start = request.get("ExclusiveStartKey")
        after = "" if start is None else key_text(start)
        keys = [
            key
            for key in sorted(system.source.items)
            if zlib.crc32(key.encode()) % total == segment and key > after
        ]
        found = [system.source.items[key] for key in keys[:limit]]
        answer: dict[str, Any] = {"Items": found, "ConsumedCapacity": {"CapacityUnits": 1.0}}
        if len(keys) >= limit and found:
            answer["LastEvaluatedKey"] = dict(system.source_table.keys_in(found[-1]))
        return answer

    def _items(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        keys, draw = [*wanted["Keys"]], self._system.conditions.draw
        left = []
        if len(keys) > 1 and draw() < self._system.conditions.fault_rate:
            left = [keys.pop() for _ in range(min(_MOST_UNPROCESSED, len(keys) - 1))]
            self._system.conditions.hit("keys left unprocessed")
        found = [self._system.source.items.get(key_text(one)) for one in keys]
        return {
            "Responses": {TABLE: [item for item in found if item is not None]},
            "UnprocessedKeys": {TABLE: {**wanted, "Keys": left}} if left else {},
        }

    def _found(
        self, wanted: Sequence[Item], answer: Mapping[str, Any]
    ) -> list[tuple[Item, Item | None]]:
        """The keys that an answer has read, each with its item."""
        left = answer.get("UnprocessedKeys", {}).get(TABLE, {}).get("Keys", ())
        items = {
            key_text(self._system.source_table.keys_in(one)): one
            for one in answer["Responses"].get(TABLE, ())
        }
        return [(one, items.get(key_text(one))) for one in wanted if one not in left]
