"""The custom resource: CloudFormation is answered whatever happens."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch

from functions.write_to_es.index_on_deployment import handle
from tests.gate.gate import Gate
from tests.gate.policies import EXAMPLE


class Context(LambdaContext):
    """What the door reads of it. Each look at the time left takes a minute of it."""

    _log_group_name = "/aws/lambda/index-on-deployment"

    def __init__(self, *, minutes: int = 5, then: Callable[[], None] = lambda: None) -> None:
        self._minutes, self._then = minutes, then

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # static there
        self._minutes -= 1
        self._then()
        return self._minutes * 60_000


class CloudFormation:
    """The end of the wire where CloudFormation waits: `url` takes one answer after another."""

    def __init__(self, port: int, handler: Callable[[dict[str, Any], LambdaContext], None]) -> None:
        self.handler = handler
        self.url = f"http://127.0.0.1:{port}/answer?Signature=x%2By"
        self.answers: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []
        self.failures: list[int] = []  # statuses before it takes an answer
        self.sizes: list[int] = []

    def ask(
        self, request_type: str, context: LambdaContext | None = None, **more: Any
    ) -> dict[str, Any]:
        event = {
            "RequestType": request_type,
            "ResponseURL": self.url,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Index",
            "ResourceProperties": {},
        }
        self.handler(event | more, context or Context())
        return self.answers[-1]


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with answering(handle) as waiting:
        yield waiting


@contextmanager
def answering(
    handler: Callable[[dict[str, Any], LambdaContext], None],
) -> Iterator[CloudFormation]:
    """What waits for the answers of this handler."""

    class Door(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            size = int(self.headers["Content-Length"])
            if waiting.failures:
                self.rfile.read(size)
                self.send_response(waiting.failures.pop())
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            waiting.sizes.append(size)
            waiting.answers.append(msgspec.json.decode(self.rfile.read(size)))
            waiting.content_types.append(self.headers["Content-Type"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        waiting = CloudFormation(server.server_port, handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield waiting
        server.shutdown()
        thread.join()


@pytest.fixture
def alias(opensearch_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"images-{uuid.uuid4()}"
    monkeypatch.setenv("OPENSEARCH_ENDPOINT", opensearch_endpoint)
    monkeypatch.setenv("OPENSEARCH_SIGNING", "no")
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


def test_shards_and_replicas_come_from_the_parameters(
    cloudformation: CloudFormation, alias: str, opensearch_endpoint: str
) -> None:
    """CloudFormation sends each number as a text."""
    wanted = {"Shards": "2", "Replicas": "auto", "RefreshInterval": "700ms"}
    answer = cloudformation.ask("Create", ResourceProperties=wanted)
    assert answer["Status"] == "SUCCESS"
    client = OpenSearch([opensearch_endpoint])
    its = client.indices.get_settings(index=alias)[f"{alias}-000001"]["settings"]["index"]
    chosen = ("number_of_shards", "auto_expand_replicas", "refresh_interval")
    assert [its[name] for name in chosen] == ["2", "0-1", "700ms"]
    other = cloudformation.ask("Update", ResourceProperties=wanted | {"Shards": "3"})
    assert other["Status"] == "SUCCESS"
    assert "has 2 shards, and the stack wants 3: run `lockstep rebuild --apply`" in other["Reason"]


@pytest.fixture
def gate(opensearch_endpoint: str, monkeypatch: pytest.MonkeyPatch, alias: str) -> Iterator[Gate]:
    """What stands before the engine, and refuses everything with 403 at first."""
    monkeypatch.setattr("doors.on_deployment.PAUSE_SECONDS", 0)
    assert alias
    gate = Gate(EXAMPLE)
    with gate.before_one("opensearch", opensearch_endpoint) as url:
        monkeypatch.setenv("OPENSEARCH_ENDPOINT", url)
        yield gate


def test_a_permission_that_takes_a_while_is_waited_for(
    cloudformation: CloudFormation, gate: Gate, alias: str
) -> None:
    def let_through() -> None:
        """First the version, then also the index."""
        root = "arn:aws:es:*:*:domain/*/"
        actions, where = ("es:ESHttpGet", root)
        if gate.policies:
            actions, where = ("es:*", f"{root}*")
        gate.policies = [{"Statement": [{"Effect": "Allow", "Action": actions, "Resource": where}]}]

    answer = cloudformation.ask("Create", Context(then=let_through))
    assert (answer["Status"], gate.refused != set()) == ("SUCCESS", True)
    assert answer["Reason"] == f"created index {alias}-000001 behind {alias} and {alias}-live"


def test_a_permission_that_does_not_come_is_told_in_time(
    cloudformation: CloudFormation, gate: Gate
) -> None:
    context = Context()
    answer = cloudformation.ask("Create", context)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("VersionDeniedError: ")
    assert gate.refused
    # One minute is left, which is not enough for another attempt.
    assert context.get_remaining_time_in_millis() == 0


def test_a_new_domain_of_an_existing_stack_is_told_to_be_empty(
    cloudformation: CloudFormation, alias: str
) -> None:
    answer = cloudformation.ask("Update", PhysicalResourceId="Index")
    assert answer["Status"] == "SUCCESS"
    assert answer["Reason"] == (
        f"created index {alias}-000001 behind {alias} and {alias}-live; it is empty, and its "
        "consumer goes on where it was: run `lockstep rebuild --apply`, which fills it from the "
        "table"
    )


@pytest.mark.usefixtures("alias")
def test_an_answer_is_repeated_and_never_larger_than_cloudformation_accepts(
    cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudformation.failures = [500, 503]
    monkeypatch.setenv("INDEX_ALIAS", "\N{PILE OF POO}" * 2000)  # four bytes each, escaped more
    answer = cloudformation.ask("Create")
    assert answer["Status"] == "FAILED"
    assert max(cloudformation.sizes) <= 4096


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
