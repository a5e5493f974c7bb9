"""Items that are decoded straight from bytes are those that the client decodes."""

from collections.abc import Callable, Sized
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import TableReader
from tests.builders import deployed_stack
from tests.byte_answers import ITEMS, answered, spoilt
from tests.unit.audit.stand import STAMP, a_change, an_item

STACK = deployed_stack(
    state="/state", region="us-east-1", endpoints=Endpoints(*["http://127.0.0.1:1"] * 4)
)
KEY = {"image_id": {"S": "ü"}}
CAPACITY = {"CapacityUnits": 1.5, "TableName": "t"}


class Wire:
    """The client of the table twice: one decodes items straight from bytes, one does not."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        clients = Clients(STACK)
        self.fast = answered(clients.dynamodb, self._answer)
        self.plain = answered(clients.new_dynamodb(), self._answer)

    def scan(self, body: bytes, status: int = 200) -> Any:
        """What both make of this answer to a scan."""
        request = {"TableName": "t"}
        return self._both(body, status, lambda client: client.scan(**request))

    def lookup(self, body: bytes, status: int = 200) -> Any:
        """What both make of this answer to a look-up."""
        request = {"RequestItems": {"t": {"Keys": [KEY]}}}
        return self._both(body, status, lambda client: client.batch_get_item(**request))

    def _both(self, body: bytes, status: int, call: Any) -> Any:
        self.body, self.status = body, status
        fast, plain = (self._seen(call, client) for client in (self.fast, self.plain))
        assert fast == plain
        return fast

    @staticmethod
    def _seen(call: Any, client: Any) -> Any:
        try:
            answer = call(client)
        except Exception as error:  # noqa: BLE001 - botocore raises many for foreign types
            return type(error).__name__
        answer.pop("ResponseMetadata")
        return answer

    def _answer(self, _: str) -> tuple[int, bytes]:
        return self.status, self.body


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


@st.composite
def scans(draw: st.DrawFn) -> bytes:
    page: dict[str, Any] = {"Items": draw(st.lists(ITEMS, max_size=3)), "Count": 3}
    page |= draw(st.sampled_from([{}, {"LastEvaluatedKey": KEY}, {"LastEvaluatedKey": None}]))
    page |= draw(st.sampled_from([{}, {"ConsumedCapacity": CAPACITY}]))
    return msgspec.json.encode(page)


@st.composite
def lookups(draw: st.DrawFn) -> bytes:
    left = {"t": {"Keys": [KEY], "ConsistentRead": True}}
    page: dict[str, Any] = {"Responses": {"t": draw(st.lists(ITEMS, max_size=3))}}
    page |= draw(st.sampled_from([{}, {"UnprocessedKeys": {}}, {"UnprocessedKeys": left}]))
    page |= draw(st.sampled_from([{}, {"ConsumedCapacity": [CAPACITY]}]))
    return msgspec.json.encode(page)


@given(body=scans())
def test_any_items_of_a_scan_are_the_same(wire: Wire, body: bytes) -> None:
    assert "Items" in wire.scan(body)


@given(body=lookups())
def test_any_items_that_were_looked_up_are_the_same(wire: Wire, body: bytes) -> None:
    assert "Responses" in wire.lookup(body)


@given(data=st.data())
def test_a_foreign_value_anywhere_is_read_as_the_client_reads_it(
    wire: Wire, data: st.DataObject
) -> None:
    wire.scan(spoilt(data.draw, data.draw(scans())))
    wire.lookup(spoilt(data.draw, data.draw(lookups())))


ITEM = an_item(a_change(STAMP, "ü")) | {"binary": {"B": "AAE="}}
SCAN = msgspec.json.encode({"Items": [ITEM], "Count": 1, "ScannedCount": 1})
LOOKUP = msgspec.json.encode({"Responses": {"images": [ITEM]}, "UnprocessedKeys": {}})


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (SCAN, lambda reader: list(reader.scan())),
        (LOOKUP, lambda reader: reader.lookup(["ü"])),
    ],
)
def test_an_answer_that_is_cut_off_anywhere_is_no_complete_page(
    wire: Wire, body: bytes, read: Callable[[TableReader], Sized]
) -> None:
    wire.status = 200
    for client in (wire.fast, wire.plain):
        reader = TableReader(client, "images", whole=True)
        wire.body = body
        assert len(read(reader)) == 1
        for at in range(len(body)):
            wire.body = body[:at]
            with pytest.raises(StoreUnreadableError):
                read(reader)


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'{"Items": null}', b'{"items": []}', SCAN + b"}", LOOKUP + b"}", b"[" * 2_000],
)
def test_another_answer_is_read_as_the_client_reads_it(wire: Wire, body: bytes) -> None:
    wire.scan(body)
    wire.lookup(body)


@pytest.mark.parametrize("body", [b'{"__type": "a#InternalFailure"}', SCAN, LOOKUP])
def test_an_error_is_an_error_whatever_it_contains(wire: Wire, body: bytes) -> None:
    assert wire.scan(body, status=400) == wire.lookup(body, status=400) == "ClientError"


def test_the_client_of_a_stack_decodes_items_straight_from_bytes(wire: Wire) -> None:
    wire.status = 200
    parsed: list[bytes] = []

    def look(response_dict: Any, **_: object) -> None:
        parsed.append(response_dict["body"])

    for name, body in (("Scan", SCAN), ("BatchGetItem", LOOKUP)):
        wire.fast.meta.events.register_last(f"before-parse.dynamodb.{name}", look)
        (wire.scan if name == "Scan" else wire.lookup)(body)
    assert parsed == [b'{"Count":1,"ScannedCount":1}', b'{"UnprocessedKeys":{}}']
