"""Both real sinks, S3Proxy and the Kinesis endpoint; each test has its own stack in them."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from click.testing import CliRunner, Result

from doors.quarantine import BucketQuarantine
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep.cli import main
from lockstep.local.engines.pins import EngineName
from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.failure import BucketDestination, failure_document
from lockstep.local.mapping.invocation import (
    EventSource,
    entry,
    function_arn,
    mapping_uuid,
    stream_arn,
)
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Discard
from lockstep.local.prepare import prepare
from lockstep.stack.clients import Clients
from lockstep.stack.stack import (
    LOCAL_REGION,
    Endpoints,
    IndexFrom,
    PictureStores,
    Stack,
    write_local,
)
from lockstep.stores.contents import Content, ContentReader, index_lookup, table_lookup
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import TrimHorizon
from shared.quarantine import CONSUMERS
from tests.builders import CHANGES_STREAM
from tests.flow.scenario import Consumer, Name, Troubled
from tests.json_answers import check


class Stage:
    """A stack whose consumers run on request, and the `lockstep` command on it."""

    def __init__(
        self,
        endpoints: Endpoints,
        state: Path,
        index_from: IndexFrom = "Kinesis",
        *,
        shards: int = 2,
        table: str | None = None,
        thumbnails: bool = False,
    ) -> None:
        """`table`: an existing one that is prepared; None: one of its own."""
        name = f"redrive-{uuid.uuid4().hex[:12]}"
        self.stack = Stack(
            endpoints,
            stream=name,
            table=table or name,
            index=name,
            bucket=name,
            region=LOCAL_REGION,
            functions={function: function for function in CONSUMERS},
            state=str(state),
            index_from=index_from,
            changes_stream=CHANGES_STREAM,
            table_mapping=_mapping("write_to_dynamodb", name),
            pictures=PictureStores(
                f"{name}-pictures", f"{name}-rows", f"{name}-thumbnails" if thumbnails else ""
            ),
        )
        self.state = state
        write_local(self.stack, state)
        self.clients = Clients(self.stack)
        prepare(self.stack, self.clients, shards=shards, makes_table=table is None)
        self.stream = KinesisStream(self.clients.kinesis, name)
        self.consumers: Mapping[Name, Consumer] = {
            "write_to_dynamodb": self._consumer(
                "write_to_dynamodb",
                ImageTable(self.clients.dynamodb, self.stack.table, longest_request=0.1),
            ),
            "write_to_es": self._consumer(
                "write_to_es", ImageIndex(self.clients.opensearch, name, longest_request=0.1)
            ),
        }
        self.stores = ContentReader(
            table_lookup(self.clients.dynamodb, self.stack.table, lambda: 0.0),
            index_lookup(self.clients.opensearch, name, lambda: 0.0),
        )

    def put_raw(self, data: bytes | dict[str, Any], key: str) -> None:
        """Put a record without the producer's checks."""
        body = data if isinstance(data, bytes) else msgspec.json.encode(data)
        self.clients.kinesis.put_record(StreamName=self.stack.stream, Data=body, PartitionKey=key)

    def drain(self) -> None:
        for consumer in self.consumers.values():
            consumer.drain(now=0.0)

    def lockstep(self, *words: object) -> Result:
        typed = [*map(str, words), "--state", str(self.state)]
        result = CliRunner().invoke(main, typed)
        check(typed, result.stdout)
        return result

    def answer(self, *words: object) -> Any:
        result = self.lockstep(*words, "--json")
        assert result.exit_code == 0, result.output
        return msgspec.json.decode(result.stdout)

    def keys(self, prefix: str) -> list[str]:
        listed = self.clients.s3.list_objects_v2(Bucket=self.stack.bucket, Prefix=prefix)
        return [one["Key"] for one in listed.get("Contents", [])]

    def names(self, image_id: str) -> set[str | None]:
        """The image's name in each store; None if the store does not have it."""
        return {_name(one) for one in self.stores.contents(image_id).values()}

    @staticmethod
    def now_ms() -> int:
        """The time now, as an arrival has it."""
        return round(_now().timestamp() * 1000)

    def body(self, key: str) -> dict[str, Any]:
        """The object with this key."""
        body = self.clients.s3.get_object(Bucket=self.stack.bucket, Key=key)["Body"].read()
        whole: dict[str, Any] = msgspec.json.decode(body)
        return whole

    def write(self, key: str, body: object) -> None:
        """Write an object, as any role may that is allowed to write under the prefix of its key."""
        self.clients.s3.put_object(
            Bucket=self.stack.bucket, Key=key, Body=msgspec.json.encode(body)
        )

    def give_up(self, function: Name) -> dict[str, Any]:
        """Discard all that is on the stream, as an event source mapping does with old records."""
        for listed in self.stream.shards():
            place = msgspec.structs.replace(
                self.consumers[function].place, shard_id=listed.shard_id
            )
            read = self.stream.reader(listed.shard_id, TrimHorizon()).read(10_000)
            entries: tuple[BatchRecord, ...] = tuple(entry(one, place) for one in read.records)
            if not entries:
                continue
            discard = Discard(entries, "RecordAgeExceeded", 1, None, None)
            document = failure_document(discard, place, at=_now(), new_id=_uuid)
            destination = BucketDestination(
                self.clients.s3.put_object,
                self.stack.bucket,
                mapping_uuid=_mapping(function, self.stack.stream),
                new_id=_uuid,
            )
            destination.write(document, _now())
            whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
        return whole

    def _consumer(self, name: Name, sink: ImageTable | ImageIndex) -> Consumer:
        arn = stream_arn(self.stack.stream, LOCAL_REGION)
        return Consumer(
            name=name,
            sink=Troubled(sink),
            quarantine=BucketQuarantine(
                self.clients.s3.put_object, self.stack.bucket, longest_put=0.1
            ),
            stream=self.stream,
            settings=Settings(batch_size=10, bisect=True, reports_item_failures=True),
            place=EventSource(arn, "", LOCAL_REGION, function_arn(name, LOCAL_REGION), "role"),
        )


def _mapping(function: str, stream: str) -> str:
    return mapping_uuid(function, stream_arn(stream, LOCAL_REGION))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _uuid() -> str:
    return str(uuid.uuid4())


def _name(content: Content | None) -> str | None:
    return None if content is None or content.image is None else content.image.name


@pytest.fixture
def endpoints(kinesis_endpoint: str, engine: Callable[[EngineName], str]) -> Endpoints:
    return Endpoints(kinesis_endpoint, engine("dynamodb"), engine("opensearch"), engine("s3"))


@contextmanager
def staged(
    endpoints: Endpoints,
    state: Path,
    index_from: IndexFrom = "Kinesis",
    *,
    table: str | None = None,
    thumbnails: bool = False,
) -> Iterator[Stage]:
    """A stage whose indices are deleted at the end: each costs the engine memory and time."""
    stage = Stage(endpoints, state, index_from, table=table, thumbnails=thumbnails)
    yield stage
    stage.clients.opensearch.indices.delete(index=f"{stage.stack.index}-*")


@pytest.fixture
def stage(endpoints: Endpoints, tmp_path: Path) -> Iterator[Stage]:
    with staged(endpoints, tmp_path) as made:
        yield made


@pytest.fixture(params=get_args(IndexFrom))
def routed(request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path: Path) -> Iterator[Stage]:
    """A stage for each source of the index."""
    with staged(endpoints, tmp_path, request.param) as made:
        yield made
