"""The fake of DynamoDB passes the contract tests of the real table."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast, override

import pytest

from functions.write_to_dynamodb.sink import ImageTable
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.partiql import SyntaxInStatementError, parse
from lockstep.stores.entry import Entry
from lockstep.stores.table import TableReader
from shared.item import change_in_item
from tests.builders import change
from tests.contract.sinks import test_dynamodb_sink
from tests.contract.sinks.suite import DELETED, SinkContract, Store, Stored, as_stored, write

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Listened(DynamoDB):
    """A fake with the event hook that the contract tests use."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self._hooks: list[Callable[..., None]] = []
        register = SimpleNamespace(register=lambda _, hook: self._hooks.append(hook))
        self.meta = SimpleNamespace(events=register)

    @override
    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        for hook in self._hooks:
            hook(request, SimpleNamespace(name="BatchExecuteStatement"))
        return super().batch_execute_statement(**request)


class FakeTableStore:
    def __init__(self) -> None:
        self.name = "images"
        self.client = Listened(self.name)
        client = cast("DynamoDBClient", self.client)
        self.sink = ImageTable(client, self.name, longest_request=1.0)

    def item(self, image_id: str) -> Mapping[str, Any] | None:
        return self.client.items.get(image_id)

    def stored(self, image_id: str) -> Stored | None:
        item = self.item(image_id)
        return None if item is None else as_stored(change_in_item(item))

    def put_behind_our_back(self, image_id: str, **attributes: Any) -> None:
        self.client.items[image_id] = {"image_id": {"S": image_id}, **attributes}

    def delete_behind_our_back(self, image_id: str) -> None:
        del self.client.items[image_id]


@pytest.fixture
def table() -> FakeTableStore:
    return FakeTableStore()


class TestImageTable(SinkContract):
    @pytest.fixture
    @override
    def store(self, table: FakeTableStore) -> Store:
        return table


class TestItemsOfOthers(test_dynamodb_sink.TestItemsOfOthers):
    pass


class TestRequests(test_dynamodb_sink.TestRequests):
    # The fake has no limit on a whole request's bytes: no batch of valid events reaches it.
    test_a_request_too_large_as_a_whole_is_refused_as_a_whole = None  # type: ignore[assignment]  # see above


class TestKeys(test_dynamodb_sink.TestKeys):
    pass


class TestDelivery(test_dynamodb_sink.TestDelivery):
    pass


def test_the_audit_reads_the_fake_as_it_reads_the_table(table: FakeTableStore) -> None:
    one, gone = change("T1", 1), change("T2", 2, DELETED)
    write(table.sink, one, gone)
    entries = TableReader(cast("DynamoDBClient", table.client), table.name)
    expected = {"T1": as_entry(one), "T2": as_entry(gone)}
    assert {entry.image_id: entry for entry in entries.scan()} == expected
    assert entries.lookup(["T1", "T2", "T3"]) == expected


def as_entry(one: Any) -> Entry:
    stored = as_stored(one)
    return Entry(
        image_id=one.image_id,
        version=stored.version,
        deleted=stored.deleted,
        digest=stored.digest,
        expires_at=stored.expires_at,
        checked_version=stored.version,
        arrived_at=one.arrived_at,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT * FROM x",
        'INSERT INTO "t" VALUE {}',
        "INSERT INTO \"t\" VALUE {'a': 1}",
        'UPDATE "t" SET "a"=? WHERE',
        'UPDATE "t" SET "a"=? WHERE "b"=? extra',
        'UPDATE "t" SET "a"=? WHERE ("b"=?',
        'UPDATE "t" SET "a"=? WHERE "b"~?',
    ],
)
def test_invalid_statements_are_refused(text: str) -> None:
    with pytest.raises(SyntaxInStatementError):
        parse(text)
