"""A broken deployment stops the stream: nothing acknowledged, nothing quarantined, the cause told.

The functions run in processes of their own, behind their doors, as in Lambda.
"""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from lockstep.local.mapping.invocation import Function
from lockstep.local.mapping.pool import WorkerProcess, lambda_environment
from lockstep.local.mapping.response import Errored, InvocationResult, Returned
from lockstep.local.ports import free_ports
from lockstep.quarantine import keys
from lockstep.stack.stack import LOCAL_REGION
from lockstep.web.addresses import HOST
from tests.builders import image_event, kinesis_records, sequence_number
from tests.flow.conftest import World
from tests.flow.scenario import Name

ROOT = Path(__file__).parents[2]
BATCH = kinesis_records(image_event("a"), image_event("b"))


class Doors:
    """Both functions in this world, each with an environment that a test may spoil."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder

    def invoke(self, name: Name, **spoiled: str) -> InvocationResult:
        """Run the function once on the batch."""
        stack = self._world.stack
        environment = {
            "TABLE_NAME": stack.table,
            "OPENSEARCH_ENDPOINT": stack.endpoints.opensearch,
            "OPENSEARCH_SIGNING": "no",
            "INDEX_ALIAS": stack.index,
            "QUARANTINE_BUCKET": stack.bucket,
            "POWERTOOLS_SERVICE_NAME": name,
            "POWERTOOLS_METRICS_NAMESPACE": "Lockstep",
            "AWS_ENDPOINT_URL_DYNAMODB": str(stack.endpoints.dynamodb),
            "AWS_ENDPOINT_URL_S3": str(stack.endpoints.s3),
        }
        function = Function(
            name=name,
            deployed_name=name,
            handler=f"functions.{name}.handler.handle",
            role_arn="arn:aws:iam::000000000000:role/lockstep",
            timeout=60,
            memory=512,
            environment=environment | spoiled,
        )
        seen = lambda_environment(function, region=LOCAL_REGION, root=ROOT, endpoints={})
        worker = WorkerProcess(function, LOCAL_REGION, seen, root=ROOT, log=self.log)
        try:
            return worker.invoke(msgspec.json.encode({"Records": BATCH}), "request")
        finally:
            worker.kill()

    @property
    def log(self) -> Path:
        return self._folder / "function.log"


@pytest.fixture
def doors(world: World, tmp_path: Path) -> Doors:
    return Doors(world, tmp_path)


@pytest.fixture
def refusing() -> Iterator[Callable[[int, str], str]]:
    """The address of a service that refuses every request with this status and body."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def serve(status: int, body: str) -> str:
        class Refusal(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer((HOST, 0), Refusal)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://{HOST}:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def assert_stopped(doors: Doors, world: World, answer: InvocationResult, *causes: str) -> None:
    assert isinstance(answer, Errored), answer
    assert answer.error_type in ("AccessDeniedError", "MisconfiguredError")
    assert_told(doors, world, *causes)


def assert_told(doors: Doors, world: World, *causes: str) -> None:
    assert list(keys(world.clients.s3, world.stack.bucket)) == []
    log = doors.log.read_text()
    for cause in causes:
        assert cause in log


def test_a_missing_table_stops_the_stream(doors: Doors, world: World) -> None:
    answer = doors.invoke("write_to_dynamodb", TABLE_NAME="nowhere")
    assert_stopped(doors, world, answer, "nowhere", "ResourceNotFound")


def test_a_missing_alias_stops_the_stream(doors: Doors, world: World) -> None:
    answer = doors.invoke("write_to_es", INDEX_ALIAS="nowhere")
    assert_stopped(doors, world, answer, "nowhere", "index_not_found")


def test_a_mapping_that_is_not_ours_stops_the_stream(doors: Doors, world: World) -> None:
    alias = f"{world.stack.index}-foreign"
    world.clients.opensearch.indices.create(
        index=f"{alias}-1",
        body={
            "mappings": {"dynamic": "strict", "properties": {"image_id": {"type": "keyword"}}},
            "aliases": {alias: {"is_write_index": True}},
        },
    )
    answer = doors.invoke("write_to_es", INDEX_ALIAS=alias)
    assert_stopped(doors, world, answer, alias, "mapping")


def test_a_403_of_the_index_stops_the_stream(
    doors: Doors, world: World, refusing: Callable[[int, str], str]
) -> None:
    body = '{"Message": "User: lockstep is not authorized to perform: es:ESHttpPost"}'
    answer = doors.invoke("write_to_es", OPENSEARCH_ENDPOINT=refusing(403, body))
    assert_stopped(doors, world, answer, world.stack.index, "403")


def test_a_denied_access_to_the_table_stops_the_stream(
    doors: Doors, world: World, refusing: Callable[[int, str], str]
) -> None:
    body = (
        '{"__type": "com.amazon.coral.service#AccessDeniedException", '
        '"Message": "not authorized to perform: dynamodb:PartiQLInsert"}'
    )
    spoiled = {"AWS_ENDPOINT_URL_DYNAMODB": refusing(400, body)}
    answer = doors.invoke("write_to_dynamodb", **spoiled)
    assert_stopped(doors, world, answer, "AccessDeniedException", "dynamodb:PartiQLInsert")


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("write_to_dynamodb", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("write_to_es", "OPENSEARCH_ENDPOINT"),
    ],
)
def test_a_store_that_is_down_leaves_everything_on_the_stream(
    doors: Doors, world: World, name: Name, variable: str
) -> None:
    down = f"http://{HOST}:{free_ports(['down'], {})['down']}"
    answer = doors.invoke(name, **{variable: down})
    assert isinstance(answer, Returned)
    response = msgspec.json.decode(answer.payload)
    assert response == {"batchItemFailures": [{"itemIdentifier": sequence_number(1)}]}
    assert_told(doors, world, down.removeprefix("http://").split(":")[1])


def test_a_healthy_deployment_settles_the_same_batch(doors: Doors) -> None:
    for name in ("write_to_dynamodb", "write_to_es"):
        answer = doors.invoke(name)
        assert isinstance(answer, Returned)
        assert msgspec.json.decode(answer.payload) == {"batchItemFailures": []}
    log = doors.log.read_text()
    assert '"Applied"' in log
    assert '"Lag"' in log
