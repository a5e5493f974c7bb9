"""Results of PutRecords that are decoded by their shape are those that botocore decodes."""

from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lockstep.producing.answers import decode_results, results
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints
from tests.builders import deployed_stack
from tests.byte_answers import TEXTS, answered, spoilt

STACK = deployed_stack(
    state="/state", region="us-east-1", endpoints=Endpoints(*["http://127.0.0.1:1"] * 4)
)
RECORDS: Any = [{"Data": b"{}", "PartitionKey": "k"}]


class Wire:
    """Two clients that get the same answer: with the hook, and without it."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        fast = Clients(STACK).producing
        plain = boto3.client(
            "kinesis",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        self.clients = [answered(one, lambda _: (self.status, self.body)) for one in (fast, plain)]

    def read(self, body: bytes, expected: int, status: int = 200) -> Any:
        """What both make of an answer, which must be the same."""
        self.body, self.status = body, status
        fast, plain = (self._results(client, expected) for client in self.clients)
        assert fast == plain
        return fast

    @staticmethod
    def _results(client: Any, expected: int) -> Any:
        try:
            answer = client.put_records(StreamName="s", Records=RECORDS)
            return results(answer, expected=expected)
        except ClientError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - botocore raises many for foreign types
            return type(error).__name__


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


ENTRIES = st.one_of(
    st.builds(lambda number: {"SequenceNumber": str(number), "ShardId": "s"}, st.integers(0)),
    st.builds(lambda code, why: {"ErrorCode": code, "ErrorMessage": why}, TEXTS, TEXTS),
    st.just({"SequenceNumber": None, "ErrorCode": "InternalFailure", "ErrorMessage": None}),
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    entries = draw(st.lists(ENTRIES, max_size=4))
    options: list[dict[str, Any]] = [{}, {"FailedRecordCount": 0}, {"EncryptionType": "KMS"}]
    more = draw(st.sampled_from(options))
    return msgspec.json.encode({"Records": entries, **more})


@given(body=answers(), expected=st.integers(0, 4))
def test_any_results_are_the_same(wire: Wire, body: bytes, expected: int) -> None:
    wire.read(body, expected)


@given(data=st.data())
def test_a_foreign_value_anywhere_is_read_as_botocore_reads_it(
    wire: Wire, data: st.DataObject
) -> None:
    body = data.draw(answers())
    count = len(msgspec.json.decode(body)["Records"])
    wire.read(spoilt(data.draw, body), count)


def test_an_answer_that_is_cut_off_anywhere_is_no_result(wire: Wire) -> None:
    body = b'{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"s"}]}'
    assert isinstance(wire.read(body, 1), list)
    for at in range(len(body)):
        assert isinstance(wire.read(body[:at], 1), str)


@pytest.mark.parametrize("status", [300, 400, 500])
@pytest.mark.parametrize(
    "body", [b'{"__type": "a#Throttling"}', b'{"Records": [], "__type": "b#Throttling"}']
)
def test_an_error_is_an_error_whatever_it_contains(wire: Wire, status: int, body: bytes) -> None:
    assert "PutRecords" in wire.read(body, 0, status)


def test_the_client_of_a_stack_decodes_the_results(wire: Wire) -> None:
    wire.status, wire.body = 200, b'{"Records":[{"SequenceNumber":"1","ShardId":"s"}]}'
    clients: list[Any] = wire.clients
    fast, plain = (one.put_records(StreamName="s", Records=RECORDS) for one in clients)
    assert "Records" not in fast
    assert "Records" in plain


def test_the_hook_leaves_what_it_does_not_decode() -> None:
    response = {"status_code": 200, "body": b'{"Records": {}}'}
    found: dict[str, Any] = {}
    decode_results(response, found)
    assert (found, response["body"]) == ({}, b'{"Records": {}}')
