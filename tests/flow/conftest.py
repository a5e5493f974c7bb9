"""Both consumers on real engines, each test with a stream, a table, an index and a bucket."""

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping

import pytest

from doors.quarantine import BucketQuarantine
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep.audit.audit import Audit, audit
from lockstep.local.mapping.invocation import EventSource, function_arn, stream_arn
from lockstep.local.mapping.settings import Settings
from lockstep.local.ports import free_ports
from lockstep.local.prepare import prepare
from lockstep.local.processes import start, stop, wait_until_ready
from lockstep.local.services import python_service
from lockstep.quarantine import images
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from lockstep.stores.index import IndexReader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.table import TableReader
from lockstep.stream.kinesis import KinesisStream
from lockstep.web.addresses import HOST
from tests.builders import clock
from tests.flow.scenario import Consumer, Happening, Name, Troubled, run
from tests.flow.shell import Shell


@pytest.fixture(scope="session")
def kinesis_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("kinesis")
    port = free_ports(["kinesis"], {})["kinesis"]
    module = ["lockstep.local.kinesis", "--database", str(state / "kinesis.db")]
    child = start(python_service("kinesis", state, [*module, "--port", str(port)], port=port))
    try:
        wait_until_ready([child], seconds=30)
        yield f"http://{HOST}:{port}"
    finally:
        stop([child])


class World:
    """One stack of its own in the engines that all tests share, without processes around it."""

    def __init__(self, endpoints: Endpoints) -> None:
        name = f"flow-{uuid.uuid4().hex[:12]}"
        self.stack = Stack(
            endpoints=endpoints,
            stream=name,
            table=name,
            index=name,
            bucket=name,
            region=LOCAL_REGION,
            functions={},
            state="none",
        )
        self.clients = Clients(self.stack)
        prepare(self.stack, self.clients, shards=2)
        table = ImageTable(self.clients.dynamodb, name, longest_request=0.1)
        index = ImageIndex(self.clients.opensearch, name, longest_request=0.1)
        self.consumers: Mapping[Name, Consumer] = {
            "write_to_dynamodb": self._consumer("write_to_dynamodb", Troubled(table)),
            "write_to_es": self._consumer("write_to_es", Troubled(index)),
        }

    def run(self, *scenario: Happening) -> None:
        run(
            scenario,
            self.consumers,
            self.clients.kinesis,
            self.stack.stream,
            started=dt.datetime.now(dt.UTC),
        )

    def audit(self) -> Audit:
        now = dt.datetime.now(dt.UTC).timestamp()
        return audit(
            self.table,
            self.index,
            quarantined_images=self._set_aside,
            clock=clock(now=lambda: now),
        )

    @property
    def table(self) -> TableReader:
        return TableReader(self.clients.dynamodb, self.stack.table)

    @property
    def index(self) -> IndexReader:
        return IndexReader(self.clients.opensearch, self.stack.index)

    def _set_aside(self) -> Iterator[tuple[str, str]]:
        objects = BucketObjects(self.clients.s3, self.stack.bucket)
        return images(objects, self.stack.table_mapping)

    def _consumer(self, name: Name, sink: Troubled) -> Consumer:
        arn = stream_arn(self.stack.stream, LOCAL_REGION)
        return Consumer(
            name=name,
            sink=sink,
            quarantine=BucketQuarantine(
                self.clients.s3.put_object, self.stack.bucket, longest_put=0.1
            ),
            stream=KinesisStream(self.clients.kinesis, self.stack.stream),
            settings=Settings(batch_size=10, bisect=True, reports_item_failures=True),
            place=EventSource(arn, "", LOCAL_REGION, function_arn(name, LOCAL_REGION), "role"),
        )


@pytest.fixture
def world(
    kinesis_endpoint: str, dynamodb_endpoint: str, opensearch_endpoint: str, s3_endpoint: str
) -> Iterator[World]:
    made = World(Endpoints(kinesis_endpoint, dynamodb_endpoint, opensearch_endpoint, s3_endpoint))
    yield made
    made.clients.opensearch.indices.delete(index=f"{made.stack.index}-*")


def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The command on a stack that runs meanwhile."""
    made = Shell(tmp_path_factory.mktemp("stack") / "state")
    made.up()
    yield made
    made.run("down")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The command on one running stack. Tests that need it empty are the first of their group."""
    yield from running(tmp_path_factory)
