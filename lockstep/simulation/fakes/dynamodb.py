"""A fake of boto3's DynamoDB client, with one table."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from zlib import crc32

import msgspec

from lockstep.simulation.fakes.boto3_requests import answer_of
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
    PartFailure,
)
from lockstep.simulation.fakes.partiql import (
    Delete,
    Insert,
    Item,
    SyntaxInStatementError,
    Update,
    parse,
)

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
MAX_STATEMENTS = 25
MAX_ITEM_BYTES = 400 * 1024
MAX_KEY_BYTES = 2048
PAGE = 1_000
# A hash of its own: nobody else cuts images in the same way.
_SEGMENT_SEED = 17

# Errors that one statement of a batch can get while the others succeed (docs/internals/facts.md).
PASSING_CODES = (
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "InternalServerError",
    "TransactionConflict",
)

# A key that a read leaves for another request.
UNPROCESSED = ("UnprocessedKeys",)

KEY = "image_id"
# Searched in the JSON text, which is faster; within a text, quotes are escaped.
_EMPTY_TEXT, _EMPTY_NAME = b'"":', re.compile(rb'[{,]"":')
_DUPLICATES = "Provided list of item keys contains duplicates"


class Written(msgspec.Struct, frozen=True):
    """One write that took effect. Without a `version`, it deleted the item.

    `entry` is the whole item, or the whole document with its `_version`. `shards`: of a document,
    the history of the index's shards.
    """

    image_id: str
    version: int | None
    deleted: bool
    entry: Any = None
    shards: str = ""


class Observer(Protocol):
    """Observes the changes of the items, as the streams of a table do."""

    def observe(
        self, image_id: str, old: Item | None, new: Item | None, *, by_time_to_live: bool
    ) -> None:
        """A write took effect; `old` and `new` are the item before and after it."""
        ...


class DynamoDB:
    """A client and its table.

    `items` are the stored items. `journal` has every write that took effect, in order, but
    those by hand: `by_hand` has their keys. The table rejects an item if `refuses` says so, and the
    whole request if `condemns` says so for an item. `observer` observes all changes, also those by
    hand.
    """

    def __init__(
        self,
        table: str,
        *,
        connection: Connection = PERFECT,
        refuses: Callable[[Item], bool] = lambda _: False,
        condemns: Callable[[Item], bool] = lambda _: False,
    ) -> None:
        self.items: dict[str, Item] = {}
        self.journal: list[Written] = []
        self.by_hand: list[str] = []
        self.missing = False
        self.observer: Observer | None = None
        self._table = table
        self._connection = connection
        self._refuses = refuses
        self._condemns = condemns

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        """Run PartiQL statements. Each one succeeds or fails separately."""
        statements: Sequence[Mapping[str, Any]] = request["Statements"]
        failures = self._connection.part_failures(len(statements), PASSING_CODES)
        return self._send(
            "BatchExecuteStatement", lambda: {"Responses": self._batch(statements, failures)}
        )

    def describe_table(self, **request: Any) -> dict[str, Any]:
        """The key schema."""

        def described() -> dict[str, Any]:
            self._check_table(request["TableName"])
            return {
                "Table": {
                    "ItemCount": len(self.items),
                    "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
                }
            }

        return self._send("DescribeTable", described)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """Items by key. Some keys may be left for another request."""
        ((table, wanted),) = request["RequestItems"].items()
        left = self._connection.part_failures(len(wanted["Keys"]), UNPROCESSED)

        def found() -> dict[str, Any]:
            self._check_table(table)
            ids = [key[KEY]["S"] for key in wanted["Keys"]]
            for refusal in filter(None, map(_refusal_of_key, ids)):
                raise _invalid(refusal)
            if len(set(ids)) < len(ids):
                raise _invalid(_DUPLICATES)
            there = [
                _projected(self.items[one], wanted)
                for at, one in enumerate(ids)
                if one in self.items and at not in left
            ]
            again = [wanted["Keys"][at] for at in sorted(left)]
            unprocessed = {table: wanted | {"Keys": again}} if again else {}
            return {"Responses": {table: there}, "UnprocessedKeys": unprocessed}

        return self._send("BatchGetItem", found)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """Write an item without a condition, as somebody by hand."""

        def put() -> dict[str, Any]:
            self._check_table(request["TableName"])
            item = request["Item"]
            self.items[item[KEY]["S"]] = item
            return {}

        return self._send("PutItem", put)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """Delete an item without a condition, as somebody by hand."""

        def deleted() -> dict[str, Any]:
            self._check_table(request["TableName"])
            self.items.pop(request["Key"][KEY]["S"], None)
            return {}

        return self._send("DeleteItem", deleted)

    def scan(self, **request: Any) -> dict[str, Any]:
        """A page of all items, after the key of the page before."""

        def found() -> dict[str, Any]:
            self._check_table(request["TableName"])
            keys = sorted(key for key in self.items if _in_segment(key, request))
            after = request.get("ExclusiveStartKey")
            start = 0 if after is None else bisect_right(keys, after[KEY]["S"])
            page = keys[start : start + request.get("Limit", PAGE)]
            answer: dict[str, Any] = {
                "Items": [_projected(self.items[key], request) for key in page]
            }
            if start + len(page) < len(keys):
                answer["LastEvaluatedKey"] = {KEY: {"S": page[-1]}}
            return answer

        return self._send("Scan", found)

    def scanned(self, keys: Sequence[str], request: Mapping[str, Any]) -> dict[str, Any]:
        """A page of a scan: the items that still exist under these keys."""

        def found() -> dict[str, Any]:
            self._check_table(request["TableName"])
            items = (self.items[key] for key in keys if key in self.items)
            return {"Items": [_projected(item, request) for item in items]}

        return self._send("Scan", found)

    def get_paginator(self, operation: str) -> "_ScanPages":
        """The paginator of a scan."""
        if operation != "scan":
            raise NotImplementedError(operation)
        return _ScanPages(self)

    def purge(self, key: str, now: float) -> bool:
        """Delete the item if it is expired; return whether it was deleted.

        DynamoDB does this itself within days, without a condition.
        """
        expires_at = self.items.get(key, {}).get("expires_at")
        expired = expires_at is not None and int(expires_at["N"]) < now
        if expired:
            self._tell(key, self.items.pop(key), None, by_time_to_live=True)
        return expired

    def put_by_hand(self, key: str, item: Item) -> None:
        """Write an item, as another program does."""
        self.by_hand.append(key)
        old = self.items.get(key)
        self.items[key] = item
        self._tell(key, old, item)

    def remove_by_hand(self, key: str) -> bool:
        """Delete an item, as another program does; return whether there was one."""
        self.by_hand.append(key)
        old = self.items.pop(key, None)
        if old is not None:
            self._tell(key, old, None)
        return old is not None

    def _tell(
        self, key: str, old: Item | None, new: Item | None, *, by_time_to_live: bool = False
    ) -> None:
        # A write that changes nothing is no change.
        if self.observer is not None and old != new:
            self.observer.observe(key, old, new, by_time_to_live=by_time_to_live)

    def _send(self, operation: str, apply: Any) -> dict[str, Any]:
        return answer_of(self._connection, "dynamodb", operation, apply)

    def _check_table(self, table: str) -> None:
        if self.missing or table != self._table:
            raise AnswerError(400, "ResourceNotFoundException")

    def _batch(
        self, statements: Sequence[Mapping[str, Any]], failures: Mapping[int, PartFailure]
    ) -> list[dict[str, Any]]:
        if not 1 <= len(statements) <= MAX_STATEMENTS:
            raise _invalid(f"{len(statements)} statements")
        parsed = [_parsed(one) for one in statements]
        for statement, _, values in parsed:
            names = () if isinstance(statement, Delete) else _named(statement)
            if self._condemns(dict(zip(names, values, strict=False))):
                raise _invalid("One or more parameter values were invalid")
        keys = [key for _, key, _ in parsed]
        if len(set(keys)) != len(keys):
            raise _invalid(_DUPLICATES)
        answers = []
        for at, (statement, key, values) in enumerate(parsed):
            fault = failures.get(at)
            if fault is None:
                wants = statements[at].get("ReturnValuesOnConditionCheckFailure")
                wants_item = wants == "ALL_OLD"
                answers.append(self._execute(statement, key, values, wants_item=wants_item))
            else:
                if fault.applied:
                    self._execute(statement, key, values, wants_item=False)
                answers.append(_failed(fault.code))
        return answers

    def _execute(
        self,
        statement: Insert | Update | Delete,
        key: str,
        values: Sequence[Any],
        *,
        wants_item: bool,
    ) -> dict[str, Any]:
        if self.missing or statement.table != self._table:
            return _failed("ResourceNotFound")
        if refusal := _refusal_of_key(key):
            return _failed("ValidationError", refusal)
        there = self.items.get(key)
        if isinstance(statement, Insert):
            if there is not None:
                return _failed("DuplicateItem")
            return self._keep(key, dict(zip(statement.names, values, strict=True)))
        sets = len(statement.sets) if isinstance(statement, Update) else 0
        if there is None or not statement.condition(there, values):
            answer = _failed("ConditionalCheckFailed")
            if wants_item and there is not None:
                answer["Error"]["Item"] = there
            return answer
        if isinstance(statement, Delete):
            self._tell(key, self.items.pop(key), None)
            self.journal.append(Written(key, None, deleted=True))
            return {"TableName": self._table}
        changed = {name: value for name, value in there.items() if name not in statement.removes}
        changed.update(zip(statement.sets, values[:sets], strict=True))
        return self._keep(key, changed)

    def _keep(self, key: str, item: Item) -> dict[str, Any]:
        # The JSON text is longer than the item, and its length is known quickly.
        if len(msgspec.json.encode(item)) > MAX_ITEM_BYTES and item_bytes(item) > MAX_ITEM_BYTES:
            return _failed("ValidationError", "Item size has exceeded the maximum allowed size")
        if self._refuses(item):
            return _failed("ValidationError", "One or more parameter values were invalid")
        old = self.items.get(key)
        self.items[key] = item
        self._tell(key, old, item)
        deleted = item.get("deleted") == {"BOOL": True}
        self.journal.append(Written(key, int(item["version"]["N"]), deleted, item))
        return {"TableName": self._table}


class _ScanPages:
    """The paginator of a scan."""

    def __init__(self, client: DynamoDB) -> None:
        self._client = client

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """All items, a page at a time."""
        keys = [key for key in self._client.items if _in_segment(key, request)]
        for at in range(0, max(1, len(keys)), PAGE):
            yield self._client.scanned(keys[at : at + PAGE], request)


def _in_segment(key: str, request: Mapping[str, Any]) -> bool:
    """Whether a scan reads this key: all, or those whose hash is in the segment."""
    if "Segment" not in request:
        return True
    segment, segments = int(request["Segment"]), int(request["TotalSegments"])
    return crc32(key.encode(), _SEGMENT_SEED) % segments == segment


def _parsed(one: Mapping[str, Any]) -> tuple[Insert | Update | Delete, str, Sequence[Any]]:
    """The statement, its key and its parameters."""
    values = one["Parameters"]
    try:
        statement = parse(one["Statement"])
    except SyntaxInStatementError as error:
        raise _invalid(str(error)) from error
    if len(values) != statement.parameters:
        raise _invalid(f"{len(values)} parameters for {statement.parameters}")
    encoded = msgspec.json.encode(values)
    if _EMPTY_TEXT in encoded and _EMPTY_NAME.search(encoded):
        raise _invalid("Empty attribute name")
    if isinstance(statement, Insert):
        at = statement.names.index(KEY) if KEY in statement.names else None
    else:
        at = statement.keys.get(KEY)
    if at is None or "S" not in values[at]:
        raise _invalid("Where clause does not contain the key")
    return statement, values[at]["S"], values


def _named(statement: Insert | Update) -> tuple[str, ...]:
    return statement.names if isinstance(statement, Insert) else statement.sets


def _refusal_of_key(key: str) -> str:
    """DynamoDB's message for an invalid key; empty for a valid one."""
    if not key:
        return (
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an empty string value. Key: {KEY}"
        )
    if len(key.encode()) > MAX_KEY_BYTES:
        return (
            f"Hash primary key values must be under {MAX_KEY_BYTES} bytes, and range primary key "
            "values must be under 1024 bytes"
        )
    return ""


def _invalid(message: str) -> AnswerError:
    return AnswerError(400, f"ValidationException: {message}")


def _failed(code: str, message: str = "simulated error") -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def _projected(item: Item, request: Mapping[str, Any]) -> Item:
    if "ProjectionExpression" not in request:
        return item
    names: Iterable[str] = request["ExpressionAttributeNames"].values()
    return {name: item[name] for name in names if name in item}


def item_bytes(item: Item) -> int:
    """The size of names and values in bytes, approximately."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return len(inner) if inner.isascii() else len(inner.encode())
        case "M":
            return item_bytes(inner)
        case "L":
            return sum(map(_value_size, inner))
        case _:
            return len(str(inner))
