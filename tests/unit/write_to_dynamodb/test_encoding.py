"""The body that is encoded once says what botocore's own would say."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from doors.encoding import encode_once
from functions.write_to_dynamodb.sink import ImageTable
from shared.change import Change
from tests.builders import change, image

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

NAME = 'É 🖼 \u2028 " \\ \x7f'
CHANGES = [
    change("T1", 2, image=image(NAME, tags=["a", "b"], width=3, attributes={"a-1": "x"})),
    change("T2", 2**53 - 1, event_type="image.deleted"),
]


class Body(BytesIO):
    """The body of an answer, as urllib3 gives it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Keeps each request, and answers that all was written."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.requests: list[Any] = []
        self.seen: list[Any] = []
        client.meta.events.register("before-send.dynamodb", self._answer)  # type: ignore[arg-type]  # it may answer
        client.meta.events.register("before-parameter-build.dynamodb", self._see)

    def _see(self, params: Mapping[str, Any], **_: object) -> None:
        self.seen.append({**params})

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.requests.append(request)
        count = len(msgspec.json.decode(request.body).get("Statements", ()))
        body = msgspec.json.encode({"Responses": [{} for _ in range(count)]})
        return AWSResponse(request.url, 200, HTTPHeaders(), Body(body))


def client() -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        "us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(parameter_validation=False),
    )


def sent(by: "DynamoDBClient", changes: list[Change]) -> Wire:
    wire = Wire(by)
    ImageTable(by, "images", longest_request=1.0).send(changes)
    return wire


def test_the_body_says_the_same_as_botocores_own() -> None:
    plain, quick = client(), client()
    encode_once(quick, "BatchExecuteStatement")
    theirs, ours = sent(plain, CHANGES), sent(quick, CHANGES)
    assert len(ours.requests) == 1
    (their_request,), (our_request,) = theirs.requests, ours.requests
    assert msgspec.json.decode(our_request.body) == msgspec.json.decode(their_request.body)
    assert len(msgspec.json.decode(our_request.body)["Statements"]) == len(CHANGES)
    assert our_request.body != their_request.body, "botocore escapes what is not ASCII"
    for header in ("X-Amz-Target", "Content-Type"):
        assert our_request.headers[header] == their_request.headers[header]
    assert our_request.headers["Content-Length"] == str(len(our_request.body))


def test_other_handlers_see_the_parameters() -> None:
    quick = client()
    encode_once(quick, "BatchExecuteStatement")
    (seen,) = sent(quick, CHANGES).seen
    assert len(seen["Statements"]) == len(CHANGES)


@pytest.mark.parametrize("operation", ["describe_table", "get_item"])
def test_other_operations_are_left_alone(operation: str) -> None:
    quick = client()
    encode_once(quick, "BatchExecuteStatement")
    wire = Wire(quick)
    key = {"Key": {"image_id": {"S": "T1"}}} if operation == "get_item" else {}
    getattr(quick, operation)(TableName="images", **key)
    (request,) = wire.requests
    assert msgspec.json.decode(request.body) == {"TableName": "images", **key}
