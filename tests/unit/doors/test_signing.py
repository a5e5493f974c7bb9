"""The signature of requests to the index: the same headers as those of opensearch-py."""

from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from opensearchpy import Urllib3AWSV4SignerAuth

from doors.signing import IndexSigner, sign_at_once

REQUESTS = [
    ("GET", "https://search.example.com/", None),
    ("GET", "https://search.example.com", b""),
    ("POST", "https://search.example.com:443/images/_bulk", b'{"index":{}}\n{}\n'),
    ("POST", "http://127.0.0.1:9200/images/_bulk?filter_path=errors%2Citems.%2A.status", b"{}\n"),
    ("PUT", "https://search.example.com/images-000001/_doc/a%2Fb%20c%C3%A9?version=7", b"{}"),
    ("GET", "https://search.example.com/images/_search?preference=b&scroll=&a=1", b"x" * 100_000),
]


def headers(signer: object, request: tuple[str, str, bytes | None]) -> dict[str, str]:
    assert callable(signer)
    return {**signer(*request)}


@pytest.mark.parametrize("token", [None, "token"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_the_headers_are_those_of_the_signer_of_opensearch_py(
    request_: tuple[str, str, bytes | None], token: str | None
) -> None:
    credentials = Credentials("access", "secret", token)
    ours = IndexSigner(credentials, "us-east-1", "es")
    theirs = Urllib3AWSV4SignerAuth(credentials, "us-east-1", "es")
    this, that = headers(ours, request_), headers(theirs, request_)
    while this["X-Amz-Date"] != that["X-Amz-Date"]:  # a second began in between
        this, that = headers(ours, request_), headers(theirs, request_)
    assert this == that
    assert ("X-Amz-Security-Token" in this) == (token is not None)


def test_each_request_is_signed_with_the_credentials_of_its_time() -> None:
    credentials = Credentials("access", "secret", "token")
    signer = IndexSigner(credentials, "us-east-1", "es")
    before = signer("GET", "https://search.example.com/", None)
    credentials.access_key, credentials.secret_key, credentials.token = "other", "new", "second"
    now = signer("GET", "https://search.example.com/", None)
    assert "Credential=access/" in before["Authorization"]
    assert "Credential=other/" in now["Authorization"]
    assert now["X-Amz-Security-Token"] == "second"
    theirs = Urllib3AWSV4SignerAuth(credentials, "us-east-1", "es")
    that = theirs("GET", "https://search.example.com/", None)
    while now["X-Amz-Date"] != that["X-Amz-Date"]:  # a second began in between
        now = signer("GET", "https://search.example.com/", None)
        that = theirs("GET", "https://search.example.com/", None)
    assert now == that


def test_regions_and_services_have_keys_of_their_own() -> None:
    credentials = Credentials("access", "secret")
    signatures = {
        IndexSigner(credentials, region, service)("GET", "https://search.example.com/", None)[
            "Authorization"
        ].rpartition("Signature=")[2]
        for region in ("us-east-1", "eu-west-1")
        for service in ("es", "aoss")
    }
    assert len(signatures) == 4


class Answer:
    """The body of an empty answer."""

    @staticmethod
    def stream(**_: object) -> list[bytes]:
        return [b"{}"]


class Table:
    """A client of DynamoDB, with what it signed, and in which way."""

    def __init__(self, token: str | None = None, **config: Any) -> None:
        self.signed: list[dict[str, Any]] = []
        self.ways: list[object] = []
        self.client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            aws_session_token=token,
            config=Config(**config),
        )
        send: Any = self._send
        way: Any = self._way
        self.client.meta.events.register("before-send.dynamodb", send)
        self.client.meta.events.register("before-sign.dynamodb", way)

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.signed.append(dict(request.headers.items()))
        headers: Any = {"content-type": "application/x-amz-json-1.0"}
        raw: Any = Answer()
        return AWSResponse(request.url, 200, headers, raw)

    def _way(self, signature_version: object, **_: object) -> None:
        self.ways.append(signature_version)


@pytest.mark.parametrize("token", [None, "token"])
def test_a_client_of_botocore_signs_as_before(token: str | None) -> None:
    ours, theirs = Table(token), Table(token)
    sign_at_once(ours.client, "BatchExecuteStatement")
    while True:
        for one in (ours, theirs):
            one.client.batch_execute_statement(Statements=[{"Statement": "SELECT"}])
        this, that = ours.signed[-1], theirs.signed[-1]
        if this["X-Amz-Date"] == that["X-Amz-Date"]:  # no second began in between
            break
    assert this["Authorization"] == that["Authorization"]
    assert b"/us-east-1/dynamodb/aws4_request" in this["Authorization"]
    assert {*ours.ways, *theirs.ways} == {"lockstep-v4", "v4"}


def test_other_operations_are_signed_by_botocore_alone() -> None:
    table = Table()
    sign_at_once(table.client, "BatchExecuteStatement")
    table.client.describe_limits()
    assert table.ways == ["v4"]


def test_a_client_that_signs_nothing_stays_so() -> None:
    table = Table(signature_version=UNSIGNED)
    sign_at_once(table.client, "BatchExecuteStatement")
    table.client.batch_execute_statement(Statements=[{"Statement": "SELECT"}])
    assert table.ways == [UNSIGNED]
    assert "Authorization" not in table.signed[0]
