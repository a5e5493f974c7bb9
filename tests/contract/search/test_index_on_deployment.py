"""The custom resource: CloudFormation is answered whatever happens."""

import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch

from functions.write_to_es.index_on_deployment import handle


class Context(LambdaContext):
    """What the door reads of it."""

    _log_group_name = "/aws/lambda/index-on-deployment"


class CloudFormation:
    """The end of the wire where CloudFormation waits: `url` takes one answer after another."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/answer?Signature=x%2By"
        self.answers: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []

    def ask(self, request_type: str, **more: Any) -> dict[str, Any]:
        event = {
            "RequestType": request_type,
            "ResponseURL": self.url,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Index",
            "ResourceProperties": {},
        }
        handle(event | more, Context())
        return self.answers[-1]


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    class Door(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            size = int(self.headers["Content-Length"])
            waiting.answers.append(msgspec.json.decode(self.rfile.read(size)))
            waiting.content_types.append(self.headers["Content-Type"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        waiting = CloudFormation(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield waiting
        server.shutdown()
        thread.join()


@pytest.fixture
def alias(opensearch_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"images-{uuid.uuid4()}"
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", opensearch_endpoint)
    monkeypatch.setenv("INDEX_ALIAS", name)
    yield name
    OpenSearch([opensearch_endpoint]).indices.delete(index=f"{name}*")


def test_a_deployment_makes_the_index_and_the_next_one_leaves_it(
    cloudformation: CloudFormation, alias: str
) -> None:
    answer = cloudformation.ask("Create")
    assert answer == {
        "Status": "SUCCESS",
        "Reason": f"created index {alias}-000001 behind {alias} and {alias}-live",
        "PhysicalResourceId": "Index",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Index",
    }
    again = cloudformation.ask("Update", PhysicalResourceId=answer["PhysicalResourceId"])
    assert again["Status"] == "SUCCESS"
    assert again["Reason"] == f"index {alias}-000001 is up to date"
    assert again["PhysicalResourceId"] == answer["PhysicalResourceId"]
    assert cloudformation.content_types == ["", ""]


def test_deleting_the_stack_leaves_the_data(
    cloudformation: CloudFormation, alias: str, opensearch_endpoint: str
) -> None:
    cloudformation.ask("Create")
    answer = cloudformation.ask("Delete", PhysicalResourceId="Index")
    assert answer["Status"] == "SUCCESS"
    assert OpenSearch([opensearch_endpoint]).indices.exists(index=alias)


def test_what_stands_in_the_way_is_told(
    cloudformation: CloudFormation, alias: str, opensearch_endpoint: str
) -> None:
    OpenSearch([opensearch_endpoint]).indices.create(index=alias)
    answer = cloudformation.ask("Create")
    assert answer["Status"] == "FAILED"
    assert f"{alias} is an index, not an alias" in answer["Reason"]
    assert "/aws/lambda/index-on-deployment" in answer["Reason"]


def test_a_forgotten_environment_is_told(
    cloudformation: CloudFormation, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alias
    monkeypatch.delenv("INDEX_ALIAS")
    answer = cloudformation.ask("Create")
    assert answer["Status"] == "FAILED"
    assert "INDEX_ALIAS" in answer["Reason"]
