"""What the table's sink makes of answers that DynamoDB Local never gives."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.stub import Stubber
from urllib3.exceptions import ProtocolError

from functions.write_to_dynamodb.sink import CHANGES_PER_REQUEST, ROUNDS, ImageTable
from shared.outcome import Applied, Conflict, Failed, Refused, Stale
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
    RequestTooLargeError,
    SinkError,
)
from tests.builders import change

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Client = DynamoDBClient

OK: Mapping[str, Any] = {"TableName": "images"}
DUPLICATE_ITEM: Mapping[str, Any] = {"Error": {"Code": "DuplicateItem", "Message": "is there"}}
GONE: Mapping[str, Any] = {"Error": {"Code": "ConditionalCheckFailed", "Message": "condition"}}
HIGHER: Mapping[str, Any] = {
    "Error": GONE["Error"] | {"Item": {"image_id": {"S": "T1"}, "version": {"N": "9"}}}
}

# (code, status) of a whole request's error answer
TRANSIENT = [
    ("ProvisionedThroughputExceededException", 400),
    ("ThrottlingException", 400),
    ("RequestLimitExceeded", 400),
    ("ExpiredTokenException", 400),
    ("ExpiredTokenException", 403),
    ("InternalServerError", 500),
    ("503", 503),
    ("TeapotException", 418),
]
MISCONFIGURED = [
    ("AccessDeniedException", 400),
    ("UnrecognizedClientException", 400),
    ("InvalidSignatureException", 400),
    ("ResourceNotFoundException", 400),
    ("SomethingNew", 401),
    ("403", 403),
]
REFUSED = [("ValidationException", 400), ("413", 413)]


@pytest.fixture
def client() -> Client:
    return boto3.client(
        "dynamodb",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def stub(client: Client) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def table(client: Client) -> ImageTable:
    return ImageTable(client, "images", longest_request=5.0)


def answers(stub: Stubber, *responses: Mapping[str, Any]) -> None:
    stub.add_response("batch_execute_statement", {"Responses": list(responses)})


def error(
    stub: Stubber, code: str, status: int, operation: str = "batch_execute_statement"
) -> None:
    stub.add_client_error(operation, code, "says DynamoDB", http_status_code=status)


def item_error(code: str) -> Mapping[str, Any]:
    return {"Error": {"Code": code, "Message": "says DynamoDB"}}


class Raw:
    """A body that botocore can read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body


def closed_by(error: Exception) -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="http://table", error=error)


@pytest.mark.parametrize(("code", "status"), TRANSIENT)
def test_what_may_pass_fails_the_request_for_now(
    table: ImageTable, stub: Stubber, code: str, status: int
) -> None:
    error(stub, code, status)
    with pytest.raises(RequestFailedError, match=f"table images: .*{code}.*says DynamoDB"):
        table.send([change()])


@pytest.mark.parametrize(("code", "status"), MISCONFIGURED)
def test_what_nobody_but_an_operator_can_mend_is_a_misconfiguration(
    table: ImageTable, stub: Stubber, code: str, status: int
) -> None:
    error(stub, code, status)
    with pytest.raises(MisconfiguredError, match=f"table images: .*{code}.*says DynamoDB"):
        table.send([change()])


@pytest.mark.parametrize(("code", "status"), REFUSED)
def test_a_request_that_is_wrong_in_itself_is_refused(
    table: ImageTable, stub: Stubber, code: str, status: int
) -> None:
    error(stub, code, status)
    with pytest.raises(
        RequestRefusedError, match=f"table images: .*{code}.*says DynamoDB"
    ) as raised:
        table.send([change()])
    assert isinstance(raised.value, RequestTooLargeError) == (status == 413)


@pytest.mark.parametrize(
    ("cause", "meaning"),
    [
        (EndpointConnectionError(endpoint_url="http://table"), RequestFailedError),
        (ConnectTimeoutError(endpoint_url="http://table"), RequestFailedError),
        (closed_by(ProtocolError("", OSError())), RequestFailedError),
        (closed_by(ProtocolError("", TimeoutError("timed out"))), RequestTimedOutError),
        (ReadTimeoutError(endpoint_url="http://table"), RequestTimedOutError),
    ],
)
def test_a_lost_connection_and_a_timeout_fail_the_request_for_now(
    table: ImageTable, client: Client, cause: Exception, meaning: type[SinkError]
) -> None:
    def lose(**_: Any) -> None:
        raise cause

    client.meta.events.register("before-send.dynamodb", lose)
    with pytest.raises(RequestFailedError, match="table images") as raised:
        table.send([change()])
    assert type(raised.value) is meaning
    with pytest.raises(RequestFailedError, match="table images"):
        table.check()


@pytest.mark.parametrize(
    "code",
    [
        "RequestLimitExceeded",
        "ProvisionedThroughputExceeded",
        "TransactionConflict",
        "ThrottlingError",
        "InternalServerError",
        "SomethingNew",
    ],
)
def test_a_statement_that_may_work_later_fails_alone(
    table: ImageTable, stub: Stubber, code: str
) -> None:
    answers(stub, OK, item_error(code), OK)
    applied, failed, also = table.send([change("T1"), change("T2"), change("T3")])
    assert (applied, also) == (Applied(), Applied())
    assert isinstance(failed, Failed)
    assert failed.detail == f"table images: {code}: says DynamoDB"


def test_a_statement_that_fails_without_a_reason_may_work_later(
    table: ImageTable, stub: Stubber
) -> None:
    answers(stub, {"Error": {}})
    assert table.send([change()]) == [Failed("table images: None: no message")]


@pytest.mark.parametrize("code", ["ValidationError", "ItemCollectionSizeLimitExceeded"])
def test_a_statement_that_can_never_work_is_refused_alone(
    table: ImageTable, stub: Stubber, code: str
) -> None:
    answers(stub, OK, item_error(code), OK)
    applied, refused, also = table.send([change("T1"), change("T2"), change("T3")])
    assert (applied, also) == (Applied(), Applied())
    assert isinstance(refused, Refused)
    assert refused.detail == f"table images: {code}: says DynamoDB"


def test_what_dynamodb_says_is_repeated_in_short(table: ImageTable, stub: Stubber) -> None:
    error = {"Code": "ValidationError", "Message": "x" * 10_000}
    answers(stub, {"Error": error})
    (refused,) = table.send([change("T1")])
    assert isinstance(refused, Refused)
    assert refused.detail == shortened(f"table images: ValidationError: {'x' * 10_000}")


@pytest.mark.parametrize("code", ["AccessDenied", "ResourceNotFound"])
def test_a_statement_without_right_or_table_is_a_misconfiguration(
    table: ImageTable, stub: Stubber, code: str
) -> None:
    answers(stub, OK, item_error(code))
    with pytest.raises(MisconfiguredError, match=f"table images: {code}: says DynamoDB"):
        table.send([change("T1"), change("T2")])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_answer_with_another_number_of_results_is_no_answer(
    table: ImageTable, stub: Stubber, count: int
) -> None:
    answers(stub, *[OK] * count)
    with pytest.raises(RequestFailedError, match=f"{count} answers to 2 statements"):
        table.send([change("T1"), change("T2")])


def test_an_answer_without_results_is_no_answer(table: ImageTable, stub: Stubber) -> None:
    stub.add_response("batch_execute_statement", {})
    with pytest.raises(RequestFailedError, match="0 answers to 1 statements"):
        table.send([change()])


@pytest.mark.parametrize(("code", "status"), [TRANSIENT[0], REFUSED[0]])
def test_a_later_request_that_fails_leaves_known_outcomes_as_they_are(
    table: ImageTable, stub: Stubber, code: str, status: int
) -> None:
    answers(stub, OK, DUPLICATE_ITEM, HIGHER)
    error(stub, code, status)
    changes = [change("T1"), change("T2"), change("T3", event_type="image.updated")]
    applied, failed, stale = table.send(changes)
    assert (applied, stale) == (Applied(), Stale())
    assert isinstance(failed, Failed)
    assert code in failed.detail


@pytest.mark.parametrize(("code", "status"), REFUSED)
def test_a_later_request_that_is_refused_is_split_when_nothing_else_is_known(
    table: ImageTable, stub: Stubber, code: str, status: int
) -> None:
    answers(stub, DUPLICATE_ITEM, DUPLICATE_ITEM)
    error(stub, code, status)
    with pytest.raises(RequestRefusedError):
        table.send([change("T1"), change("T2")])


def test_an_item_that_comes_and_goes_is_given_up_after_bounded_rounds(
    table: ImageTable, stub: Stubber
) -> None:
    for answer in [DUPLICATE_ITEM, GONE, DUPLICATE_ITEM, GONE][:ROUNDS]:
        answers(stub, answer)
    assert table.send([change()]) == [Failed("the item appears and disappears in the table")]


def test_a_guard_that_defends_a_lower_version_is_never_believed(
    table: ImageTable, stub: Stubber
) -> None:
    for _ in range(ROUNDS):
        answers(stub, HIGHER)
    (failed,) = table.send([change("T1", 10, "image.updated")])
    assert isinstance(failed, Failed)


@pytest.mark.parametrize(
    ("version", "shown"), [({}, "None"), ({"version": {"S": "9"}}, "{'S': '9'}")]
)
def test_an_item_without_a_number_for_a_version_is_left_to_people(
    table: ImageTable, stub: Stubber, version: Mapping[str, Any], shown: str
) -> None:
    defended = {"Error": GONE["Error"] | {"Item": {"image_id": {"S": "T1"}, **version}}}
    answers(stub, defended)
    (refused,) = table.send([change("T1", 5, "image.updated")])
    assert refused == Refused(
        f"the item in the table has a version that is not a number, {shown}: correct or delete "
        "that item"
    )


def test_an_image_without_digest_is_other_content(table: ImageTable, stub: Stubber) -> None:
    item = {"image_id": {"S": "T1"}, "version": {"N": "5"}}
    answers(stub, {"Error": GONE["Error"] | {"Item": item}})
    (conflict,) = table.send([change("T1", 5, "image.deleted")])
    assert conflict == Conflict(
        "version 5 is taken: stored is an image without digest, this is a tombstone"
    )


def test_requests_are_half_as_large_after_a_timeout_and_grow_with_each_answer(
    table: ImageTable, client: Client
) -> None:
    late: list[Exception] = [ReadTimeoutError(endpoint_url="http://table")]

    def lose(**_: Any) -> Any:
        if late:
            raise late.pop()
        return AWSResponse("http://table", 200, HTTPHeaders(), Raw(b'{"Responses": [{}]}'))

    client.meta.events.register("before-send.dynamodb", lose)
    changes = [change(f"T{number}") for number in range(60)]
    assert [*map(len, table.requests(changes))] == [25, 25, 10]
    with pytest.raises(RequestTimedOutError):
        table.send(changes[:CHANGES_PER_REQUEST])
    assert [*map(len, table.requests(changes))] == [12, 12, 12, 12, 12]
    assert table.send(changes[:1]) == [Applied()]
    assert [*map(len, table.requests(changes))] == [13, 13, 13, 13, 8]
    for _ in range(20):
        table.send(changes[:1])
    assert [*map(len, table.requests(changes))] == [25, 25, 10]


def test_a_timeout_of_one_change_says_nothing_of_the_size(
    table: ImageTable, client: Client
) -> None:
    def lose(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="http://table")

    client.meta.events.register("before-send.dynamodb", lose)
    with pytest.raises(RequestTimedOutError):
        table.send([change()])
    assert [*map(len, table.requests([change("T1"), change("T2")]))] == [2]


def test_a_change_with_more_time_has_it_for_its_rounds(client: Client, stub: Stubber) -> None:
    seconds: list[float] = []

    def patient(given: float) -> Client:
        seconds.append(given)
        return client

    answers(stub, {})
    table = ImageTable(client, "images", longest_request=5.0, patient=patient)
    assert table.send([change()], within=39.0) == [Applied()]
    assert seconds == [13.0]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"arrived_at": {"N": "1795248000500"}},
        {"arrived_at": {"S": "1795248000500"}, "occurred_at": {"S": "2026-11-21T08:00:00Z"}},
        {"arrived_at": {"N": "1.5"}, "occurred_at": {"S": "2026-11-21T08:00:00Z"}},
        {"arrived_at": {"N": "1795248000500"}, "occurred_at": {"S": "yesterday"}},
        {"arrived_at": {"N": "1795248000500"}, "occurred_at": {"M": {}}},
    ],
)
def test_what_a_malformed_item_holds_is_unknown(
    table: ImageTable, stub: Stubber, said: Mapping[str, Any]
) -> None:
    item = HIGHER["Error"]["Item"] | said
    answers(stub, {"Error": GONE["Error"] | {"Item": item}})
    assert table.send([change("T1", 5, "image.updated")]) == [Stale()]


def test_an_item_whose_version_is_no_integer_is_stale(table: ImageTable, stub: Stubber) -> None:
    item = {"image_id": {"S": "T1"}, "version": {"N": "5.5"}, "arrived_at": {"N": "1"}}
    answers(
        stub,
        {"Error": GONE["Error"] | {"Item": item | {"occurred_at": {"S": "2026-11-21T08:00:00Z"}}}},
    )
    assert table.send([change("T1", 5, "image.updated")]) == [Stale()]


def test_every_request_of_a_send_is_counted_in_its_longest_time(table: ImageTable) -> None:
    assert table.longest_send == ROUNDS * 5.0


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        *[(*answer, RequestFailedError) for answer in TRANSIENT],
        *[(*answer, MisconfiguredError) for answer in MISCONFIGURED],
        ("ValidationException", 400, MisconfiguredError),
    ],
)
def test_a_key_schema_that_cannot_be_read_is_no_schema_of_ours(
    table: ImageTable, stub: Stubber, code: str, status: int, meaning: type[Exception]
) -> None:
    error(stub, code, status, "describe_table")
    with pytest.raises(meaning, match="table images"):
        table.check()


def test_a_check_that_is_answered_with_nothing_has_failed(table: ImageTable, stub: Stubber) -> None:
    stub.add_response("describe_table", {})
    with pytest.raises(RequestFailedError, match="table images: an empty answer"):
        table.check()


def test_a_check_names_the_key_that_is_not_ours(table: ImageTable, stub: Stubber) -> None:
    names = {"image_id": "HASH", "version": "RANGE"}
    schema = {
        "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in names],
        "KeySchema": [{"AttributeName": one, "KeyType": kind} for one, kind in names.items()],
    }
    stub.add_response("describe_table", {"Table": schema})
    with pytest.raises(MisconfiguredError) as raised:
        table.check()
    assert str(raised.value) == (
        "table images: the key is image_id S HASH, version S RANGE, expected image_id S HASH"
    )


@pytest.mark.parametrize(
    ("attribute", "kind", "told"),
    [
        ("version", "N", None),
        ("owner", "N", None),
        (
            "version",
            "S",
            (
                "table images: an index expects version of type S, but every item has type N: "
                "delete that index"
            ),
        ),
    ],
)
def test_a_check_names_an_index_that_takes_no_item_of_ours(
    table: ImageTable, stub: Stubber, attribute: str, kind: str, told: str | None
) -> None:
    types = {"image_id": "S", attribute: kind}
    schema = {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": one} for name, one in types.items()
        ],
        "KeySchema": [{"AttributeName": "image_id", "KeyType": "HASH"}],
    }
    stub.add_response("describe_table", {"Table": schema})
    if told is None:
        table.check()
        return
    with pytest.raises(MisconfiguredError) as raised:
        table.check()
    assert str(raised.value) == told
