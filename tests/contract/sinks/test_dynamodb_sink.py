"""The table under the contract, on DynamoDB Local; and what only a table can get wrong."""

import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from doors.encoding import encode_once
from functions.write_to_dynamodb.sink import ROUNDS, ImageTable
from functions.write_to_dynamodb.table import ensure_table
from shared.batch import Delivery
from shared.change import Change, Put
from shared.deliver import deliver
from shared.item import KEY, change_in_item
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError
from tests.builders import change, image, image_event, kinesis_records
from tests.contract.sinks.suite import (
    CLOCK,
    DELETED,
    UPDATED,
    UPLOADED,
    KeptInMemory,
    SinkContract,
    Store,
    Stored,
    as_stored,
    biggest_change,
    delivered_with_none_set_aside,
    plenty,
    write,
    write_each,
)
from tests.tombstones import keep_tombstones

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.literals import KeyTypeType, ScalarAttributeTypeType
    from types_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        BatchStatementRequestTypeDef,
    )

type Client = DynamoDBClient
type Item = Mapping[str, AttributeValueTypeDef]


def client_of(endpoint: str) -> Client:
    """As the door makes it: one attempt, no validation, bodies encoded once."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            connect_timeout=1,
            read_timeout=120,
            retries={"total_max_attempts": 1},
            parameter_validation=False,
        ),
    )
    encode_once(client, "BatchExecuteStatement")
    return client


class TableStore:
    """A table of our own, and its items as DynamoDB keeps them."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.sink = ImageTable(client, name, longest_request=31.0)

    def item(self, image_id: str) -> Item | None:
        key: Item = {"image_id": {"S": image_id}}
        return self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def stored(self, image_id: str) -> Stored | None:
        item = self.item(image_id)
        return None if item is None else as_stored(change_in_item(item))

    def put_behind_our_back(self, image_id: str, **attributes: "AttributeValueTypeDef") -> None:
        item: Item = {"image_id": {"S": image_id}, **attributes}
        self.client.put_item(TableName=self.name, Item=item)

    def delete_behind_our_back(self, image_id: str) -> None:
        self.client.delete_item(TableName=self.name, Key={"image_id": {"S": image_id}})


class Requests:
    """What a client sends, seen before it is sent; `then` may act at that moment."""

    def __init__(self, client: Client, then: Callable[[int], None] = lambda _: None) -> None:
        self.operations: list[str] = []
        self.statements: list[list[str]] = []
        self._then = then
        client.meta.events.register("before-parameter-build.dynamodb", self._note)

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self.operations.append(model.name)
        if model.name == "BatchExecuteStatement":
            self.statements.append([one["Statement"] for one in params["Statements"]])
            self._then(len(self.statements))


@pytest.fixture
def table(dynamodb_endpoint: str) -> Iterator[TableStore]:
    client, name = client_of(dynamodb_endpoint), f"images-{uuid.uuid4()}"
    ensure_table(client, name)
    keep_tombstones(client, name)
    # A client for the sink alone, so that hooks see nothing else.
    yield TableStore(client_of(dynamodb_endpoint), name)
    client.delete_table(TableName=name)


class TestImageTable(SinkContract):
    @pytest.fixture
    def store(self, table: TableStore) -> Store:
        return table


class TestRequests:
    def test_new_uploads_cost_one_request_for_25_and_no_read(self, table: TableStore) -> None:
        requests = Requests(table.client)
        assert write(table.sink, *_changes(60, 1, UPLOADED)) == [Applied()] * 60
        assert requests.operations == ["BatchExecuteStatement"] * 3
        assert [len(statements) for statements in requests.statements] == [25, 25, 10]

    @pytest.mark.parametrize("event_type", [UPDATED, DELETED])
    def test_changes_of_known_images_cost_one_request_for_25_and_no_read(
        self, table: TableStore, event_type: str
    ) -> None:
        write(table.sink, *_changes(60, 1, UPLOADED))
        requests = Requests(table.client)
        assert write(table.sink, *_changes(60, 2, event_type)) == [Applied()] * 60
        assert requests.operations == ["BatchExecuteStatement"] * 3
        assert [len(statements) for statements in requests.statements] == [25, 25, 10]

    def test_only_what_did_not_find_what_it_expected_goes_into_a_second_request(
        self, table: TableStore
    ) -> None:
        write(table.sink, *_changes(5, 1, UPLOADED))
        requests = Requests(table.client)
        assert write(table.sink, *_changes(25, 2, UPDATED)) == [Applied()] * 25
        assert write(table.sink, *_changes(25, 2, UPLOADED)) == [Duplicate()] * 25
        assert requests.operations == ["BatchExecuteStatement"] * 4
        assert [len(statements) for statements in requests.statements] == [25, 20, 25, 25]

    def test_no_value_is_ever_part_of_a_statement(self, table: TableStore) -> None:
        requests = Requests(table.client)
        for number, name in enumerate(["plain", "'; DELETE FROM images", '"?"']):
            for version, event_type in enumerate([DELETED, UPLOADED, UPDATED, DELETED], start=1):
                fields = {} if event_type == DELETED else {"image": image(name)}
                write(table.sink, change(f"T{number}", version, event_type, **fields))
        texts = {text for statements in requests.statements for text in statements}
        assert len(texts) == 4  # insert or update, of an image or a tombstone

    def test_a_request_too_large_as_a_whole_is_refused_as_a_whole(self, table: TableStore) -> None:
        too_large = [biggest_change(f"T{number}", "\x01") for number in range(25)]
        too_large = [_grown(one) for one in too_large]
        with pytest.raises(RequestRefusedError, match="413"):
            table.sink.send(too_large)
        assert all(table.item(one.image_id) is None for one in too_large)


class TestItemsOfOthers:
    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED, DELETED])
    def test_an_item_without_version_is_taken_over(
        self, table: TableStore, event_type: str
    ) -> None:
        table.put_behind_our_back(
            "T1",
            foreign={"S": "stays"},
            image={"S": "no image of ours"},
            digest={"N": "1"},
            expires_at={"N": "1"},
        )
        one = change("T1", 1, event_type)
        assert write(table.sink, one) == [Applied()]
        assert table.stored("T1") == as_stored(one)
        item = table.item("T1")
        assert item is not None
        assert item["foreign"] == {"S": "stays"}

    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED, DELETED])
    @pytest.mark.parametrize(
        "version", [{"S": "7"}, {"NULL": True}, {"M": {}}, {"NS": ["7"]}, {"B": b"7"}]
    )
    def test_a_version_that_is_no_number_refuses_its_own_image_only(
        self, table: TableStore, event_type: str, version: "AttributeValueTypeDef"
    ) -> None:
        table.put_behind_our_back("odd", version=version)
        odd, neighbour = change("odd", 8, event_type), change("T1", 1)
        refused, applied = write(table.sink, odd, neighbour)
        assert isinstance(refused, Refused)
        assert "version" in refused.detail
        assert applied == Applied()
        assert table.item("odd") == {"image_id": {"S": "odd"}, "version": version}

    @pytest.mark.parametrize(
        ("version", "word"), [("7.5", Stale), ("7", Conflict), ("1E+37", Stale), ("-1", Applied)]
    )
    def test_a_number_that_is_no_version_of_ours_still_compares_as_a_number(
        self, table: TableStore, version: str, word: type[Outcome]
    ) -> None:
        table.put_behind_our_back("T1", version={"N": version})
        assert [type(one) for one in write(table.sink, change("T1", 7))] == [word]

    def test_the_same_version_without_a_digest_is_a_conflict(self, table: TableStore) -> None:
        table.put_behind_our_back("T1", version={"N": "7"})
        (conflict,) = write(table.sink, change("T1", 7))
        assert isinstance(conflict, Conflict)
        assert "without digest" in conflict.detail

    def test_an_item_with_no_room_left_refuses_its_own_image_only(self, table: TableStore) -> None:
        table.put_behind_our_back("full", foreign={"S": "x" * 380_000})
        full = change("full", 1, image=image("x", description="y" * 32_000))
        refused, applied = write(table.sink, full, change("T1", 1))
        assert isinstance(refused, Refused)
        assert "size" in refused.detail
        assert applied == Applied()

    def test_an_item_purged_between_two_rounds_is_written_anew(self, table: TableStore) -> None:
        write_each(table.sink, change("T1", 1), change("T1", 2, DELETED))

        def purge(request: int) -> None:
            if request == 2:
                table.delete_behind_our_back("T1")

        requests = Requests(table.client, purge)
        back, new = change("T1", 3), change("T2", 1)
        assert write(table.sink, back, new) == [Applied(), Applied()]
        assert [len(statements) for statements in requests.statements] == [2, 1, 1]
        assert table.stored("T1") == as_stored(back)

    def test_an_item_that_comes_and_goes_is_left_for_later(self, table: TableStore) -> None:
        def appear_and_disappear(request: int) -> None:
            if request % 2:
                table.put_behind_our_back("T1", version={"N": "1"})
            else:
                table.delete_behind_our_back("T1")

        requests = Requests(table.client, appear_and_disappear)
        failed, applied = write(table.sink, change("T1", 2), change("T2", 2))
        assert isinstance(failed, Failed)
        assert applied == Applied()
        assert len(requests.statements) == ROUNDS


class TestKeys:
    """Of requests as they are: no image has such an id."""

    EMPTY = (
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
        "contain an empty string value. Key: image_id"
    )
    LONG = (
        "Hash primary key values must be under 2048 bytes, and range primary key values must be "
        "under 1024 bytes"
    )
    NO_KEYS = pytest.mark.parametrize(
        ("key", "message"),
        [("", EMPTY), ("k" * 2049, LONG), ("é" * 1025, LONG)],
        ids=["empty", "long", "long in bytes"],
    )
    INSERT = "INSERT INTO \"{}\" VALUE {{'image_id': ?, 'version': ?}}"
    UPDATE = 'UPDATE "{}" SET "version"=? WHERE "image_id"=?'
    DELETE = 'DELETE FROM "{}" WHERE "image_id"=? AND "version"=?'

    @NO_KEYS
    @pytest.mark.parametrize("text", [INSERT, UPDATE, DELETE], ids=["insert", "update", "delete"])
    def test_a_key_that_no_item_can_have_refuses_its_own_statement_only(
        self, table: TableStore, text: str, key: str, message: str
    ) -> None:
        answer = table.client.batch_execute_statement(
            Statements=[self._said(table, text, key), self._said(table, self.INSERT, "T1")]
        )
        refused, done = answer["Responses"]
        assert refused["Error"] == {"Code": "ValidationError", "Message": message}
        assert "Error" not in done
        assert table.item("T1") == {"image_id": {"S": "T1"}, "version": {"N": "1"}}

    @NO_KEYS
    def test_nor_is_anything_read_by_it(self, table: TableStore, key: str, message: str) -> None:
        with pytest.raises(ClientError) as refused:
            table.client.batch_get_item(
                RequestItems={table.name: {"Keys": [{KEY: {"S": "T1"}}, {KEY: {"S": key}}]}}
            )
        assert refused.value.response["Error"] == {
            "Code": "ValidationException",
            "Message": message,
        }

    @pytest.mark.parametrize("key", ["k" * 2048, "é" * 1024])
    def test_a_key_may_have_2048_bytes(self, table: TableStore, key: str) -> None:
        answer = table.client.batch_execute_statement(
            Statements=[self._said(table, self.INSERT, key)]
        )
        assert ["Error" in one for one in answer["Responses"]] == [False]
        assert table.item(key) is not None

    def _said(self, table: TableStore, text: str, key: str) -> "BatchStatementRequestTypeDef":
        parameters: list[AttributeValueTypeDef] = [{"S": key}, {"N": "1"}]
        if text == self.UPDATE:
            parameters.reverse()
        return {"Statement": text.format(table.name), "Parameters": parameters}


def _table_with_an_index(
    client: Client, name: str, attribute: str, kind: "ScalarAttributeTypeType"
) -> None:
    client.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": KEY, "AttributeType": "S"},
            {"AttributeName": attribute, "AttributeType": kind},
        ],
        KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "of-somebody-else",
                "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def _deliver_two(client: Client, table: str) -> Delivery:
    return delivered_with_none_set_aside(
        ImageTable(client, table, longest_request=31.0),
        "write_to_dynamodb",
        image_event("T1", 1, UPDATED),
        image_event("T2", 1, UPDATED),
    )


class TestDeployment:
    def test_a_missing_table_is_a_misconfiguration(self, dynamodb_endpoint: str) -> None:
        sink = ImageTable(client_of(dynamodb_endpoint), "nowhere", longest_request=31.0)
        with pytest.raises(MisconfiguredError, match="table nowhere: ResourceNotFound"):
            write(sink, change())
        with pytest.raises(MisconfiguredError, match=r"table nowhere: .*ResourceNotFound"):
            sink.check()

    def test_a_name_no_table_can_have_is_a_misconfiguration(self, dynamodb_endpoint: str) -> None:
        sink = ImageTable(client_of(dynamodb_endpoint), "no table", longest_request=31.0)
        with pytest.raises(MisconfiguredError, match="table no table"):
            sink.check()

    @pytest.mark.parametrize(
        ("key", "found"),
        [
            ([("id", "S", "HASH")], "id S HASH"),
            ([("image_id", "N", "HASH")], "image_id N HASH"),
            (
                [("image_id", "S", "HASH"), ("version", "N", "RANGE")],
                "image_id S HASH, version N RANGE",
            ),
        ],
    )
    def test_a_key_that_is_not_ours_stops_the_stream(
        self,
        dynamodb_endpoint: str,
        key: "Sequence[tuple[str, ScalarAttributeTypeType, KeyTypeType]]",
        found: str,
    ) -> None:
        client, name = client_of(dynamodb_endpoint), f"other-{uuid.uuid4()}"
        client.create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": one, "AttributeType": kind} for one, kind, _ in key
            ],
            KeySchema=[{"AttributeName": one, "KeyType": role} for one, _, role in key],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(MisconfiguredError, match=f"{found}, expected image_id S HASH"):
            _deliver_two(client, name)
        client.delete_table(TableName=name)

    @pytest.mark.parametrize(
        ("attribute", "kind", "ours"),
        [("version", "S", "N"), ("deleted", "S", "BOOL"), ("occurred_at", "N", "S")],
    )
    def test_an_index_that_takes_none_of_our_items_stops_the_stream(
        self,
        dynamodb_endpoint: str,
        attribute: str,
        kind: "ScalarAttributeTypeType",
        ours: str,
    ) -> None:
        client, name = client_of(dynamodb_endpoint), f"indexed-{uuid.uuid4()}"
        _table_with_an_index(client, name, attribute, kind)
        told = f"expects {attribute} of type {kind}, but every item has type {ours}"
        with pytest.raises(MisconfiguredError, match=told):
            _deliver_two(client, name)
        client.delete_table(TableName=name)

    @pytest.mark.parametrize(("attribute", "kind"), [("version", "N"), ("owner", "N")])
    def test_an_index_of_somebody_else_that_takes_our_items_is_allowed(
        self, dynamodb_endpoint: str, attribute: str, kind: "ScalarAttributeTypeType"
    ) -> None:
        client, name = client_of(dynamodb_endpoint), f"indexed-{uuid.uuid4()}"
        _table_with_an_index(client, name, attribute, kind)
        ImageTable(client, name, longest_request=31.0).check()
        assert _deliver_two(client, name).checkpoint is None
        client.delete_table(TableName=name)

    def test_a_table_that_does_not_answer_is_tried_again_later(self) -> None:
        with socket.socket() as bound_but_deaf:
            bound_but_deaf.bind(("127.0.0.1", 0))
            port = bound_but_deaf.getsockname()[1]
            sink = ImageTable(client_of(f"http://127.0.0.1:{port}"), "images", longest_request=31.0)
            with pytest.raises(RequestFailedError, match="table images"):
                write(sink, change())
            with pytest.raises(RequestFailedError, match="table images"):
                sink.check()

    def test_the_table_is_made_once_and_purges_tombstones(self, dynamodb_endpoint: str) -> None:
        client, name = client_of(dynamodb_endpoint), f"images-{uuid.uuid4()}"
        ensure_table(client, name)
        ensure_table(client, name)
        made = client.describe_table(TableName=name)["Table"]
        assert made["KeySchema"] == [{"AttributeName": "image_id", "KeyType": "HASH"}]
        assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        purge = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert purge == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
        client.delete_table(TableName=name)


class PoisonedOnTheWay:
    """The table, reached by a change that it refuses together with the whole request.

    No event that our validator accepts makes DynamoDB do that, so it is made here.
    """

    def __init__(self, sink: ImageTable, image_id: str) -> None:
        self._sink = sink
        self._image_id = image_id
        self.longest_send = sink.longest_send
        self.requests, self.check = sink.requests, sink.check

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        return self._sink.send([self._poisoned(one) for one in changes], within)

    def _poisoned(self, one: Change) -> Change:
        if not isinstance(one, Put) or one.image_id != self._image_id:
            return one
        empty_name = msgspec.structs.replace(one.image, attributes={"": "x"})
        return msgspec.structs.replace(one, image=empty_name)


class TestDelivery:
    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED])
    def test_a_change_that_condemns_its_request_goes_to_quarantine_alone(
        self, table: TableStore, event_type: str
    ) -> None:
        events = [image_event(f"T{number}", 1, event_type) for number in range(30)]
        quarantine = KeptInMemory()
        delivery = deliver(
            kinesis_records(*events),
            to=PoisonedOnTheWay(table.sink, "T17"),
            quarantine=quarantine,
            function="write_to_dynamodb",
            clock=CLOCK,
            remaining=plenty,
        )
        assert delivery.response() == {"batchItemFailures": []}
        assert delivery.counts == {"Applied": 29, "Quarantined": 1}
        (bad,) = quarantine.records
        assert (bad.image_id, bad.reason) == ("T17", "refused_by_store")
        assert "Empty attribute name" in bad.detail
        stored = [table.stored(event["image_id"]) is not None for event in events]
        assert stored == [event["image_id"] != "T17" for event in events]


def _changes(count: int, version: int, event_type: str) -> list[Change]:
    return [change(f"T{number}", version, event_type) for number in range(count)]


def _grown(one: Change) -> Change:
    """More than any record can carry, so that 25 of them are more than DynamoDB takes."""
    assert isinstance(one, Put)
    grown = msgspec.structs.replace(one.image, description="\x01" * 100_000)
    return msgspec.structs.replace(one, image=grown)
