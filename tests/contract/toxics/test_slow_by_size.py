"""Stores behind a line on which large requests run into their timeout: each invocation gets on."""

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import boto3
import msgspec
import pytest
from botocore.config import Config
from opensearchpy import OpenSearch
from urllib3 import Timeout

from doors.clock import SYSTEM_CLOCK
from doors.encoding import encode_once
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from lockstep.local.engines.pins import EngineName
from lockstep.producing.producer import Producer
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.deliver import deliver
from shared.event import encode
from shared.outcome import Applied, Duplicate, Failed
from shared.sink import Sink, write_all
from tests.builders import change, decoded, image, image_event, kinesis_record
from tests.contract.kinesis.server import client_of
from tests.contract.toxics.puts import arrivals, new_stream
from tests.toxics import Bandwidth, Proxy, before

# All events together take two and a half times as long on the line as one request may.
COUNT, LINE, CONNECT_SECONDS, READ_SECONDS = 21, Bandwidth(1_000_000), 1.0, 1.0
REQUEST_SECONDS = CONNECT_SECONDS + READ_SECONDS
# A busy engine may take much longer for one event than the line.
INVOCATION_SECONDS, MOST_INVOCATIONS = 60.0, 20
# 240 KB each, most of it white space: long on the line, but an engine indexes it in no time.
IMAGE = image("Large", attributes={f"a{number}": "x".ljust(8_000) for number in range(30)})
EVENTS = [decoded(image_event(f"large-{number}", image=IMAGE)) for number in range(COUNT)]
RECORDS = [
    kinesis_record(encode(event), position=at, partition_key=event.image_id)
    for at, event in enumerate(EVENTS, start=1)
]


class Slowed(NamedTuple):
    """A store, its sink through a slow line, and a reader past it."""

    proxy: Proxy
    sink: Sink
    lookup: Callable[[Sequence[str]], Mapping[str, Entry]]
    request: bytes

    @property
    def requests(self) -> int:
        """The number of requests that came through."""
        return self.proxy.carried("up").count(self.request)


class Box:
    """No record belongs there."""

    longest_put = 0.0

    def put(self, record: object) -> None:
        raise AssertionError(record)


def aws_client(service: Literal["dynamodb", "kinesis"], url: str, seconds: float) -> Any:
    """A client whose requests take at most so many seconds."""
    client: Any = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=seconds - CONNECT_SECONDS,
            retries={"total_max_attempts": 1},
            parameter_validation=service != "dynamodb",
        ),
    )
    if service == "dynamodb":
        encode_once(client, "BatchExecuteStatement")
    return client


@pytest.fixture
def index(engine: Callable[[EngineName], str]) -> Iterator[Slowed]:
    endpoint, alias = engine("opensearch"), f"images-{uuid.uuid4()}"
    direct = OpenSearch([endpoint], timeout=60, max_retries=0)
    ensure_index(direct, alias)
    with before(endpoint) as proxy:
        timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        client = OpenSearch([proxy.url], timeout=timeout, max_retries=0, retry_on_status=())
        proxy.give("up", LINE)
        sink = ImageIndex(client, alias, longest_request=REQUEST_SECONDS)
        request = f"POST /{alias}/_bulk".encode()
        yield Slowed(proxy, sink, IndexReader(direct, alias).lookup, request)
        client.close()
    direct.indices.delete(index=f"{alias}-0*")
    direct.close()


@pytest.fixture
def table(engine: Callable[[EngineName], str]) -> Iterator[Slowed]:
    endpoint, name = engine("dynamodb"), f"images-{uuid.uuid4()}"

    direct = aws_client("dynamodb", endpoint, 60)
    ensure_table(direct, name)
    with before(endpoint) as proxy:
        proxy.give("up", LINE)
        sink = ImageTable(
            aws_client("dynamodb", proxy.url, REQUEST_SECONDS),
            name,
            longest_request=REQUEST_SECONDS,
            patient=lambda seconds: aws_client("dynamodb", proxy.url, seconds),
        )
        request = b"X-Amz-Target: DynamoDB_20120810.BatchExecuteStatement"
        yield Slowed(proxy, sink, TableReader(direct, name).lookup, request)
    direct.delete_table(TableName=name)


def delivered(slowed: Slowed) -> int:
    """Deliver the events as Lambda does, until all are settled; return how many invocations."""
    left = RECORDS
    for invocation in range(1, MOST_INVOCATIONS + 1):
        end = time.monotonic() + INVOCATION_SECONDS
        checkpoint = deliver(
            left,
            to=slowed.sink,
            quarantine=Box(),
            function="write_to_es",
            clock=SYSTEM_CLOCK,
            remaining=lambda end=end: end - time.monotonic(),  # type: ignore[misc]
        ).checkpoint
        assert time.monotonic() < end
        if checkpoint is None:
            return invocation
        numbers = [one["kinesis"]["sequenceNumber"] for one in left]
        left = left[numbers.index(checkpoint) :]
    raise AssertionError(left)


def check(slowed: Slowed, invocations: int) -> None:
    """Everything is stored, in requests of at most a third."""
    stored = slowed.lookup([event.image_id for event in EVENTS])
    assert {image_id: entry.version for image_id, entry in stored.items()} == {
        event.image_id: event.version for event in EVENTS
    }
    # One timed out, and what the line carries in time is at most 8 of 21 events.
    assert 4 <= slowed.requests < invocations * 2 * COUNT


def test_the_index_takes_all_large_events_in_smaller_requests(index: Slowed) -> None:
    check(index, delivered(index))


def test_the_table_takes_all_large_events_in_smaller_requests(table: Slowed) -> None:
    check(table, delivered(table))


def test_a_producer_puts_all_large_events_in_smaller_requests(kinesis_endpoint: str) -> None:
    with client_of(kinesis_endpoint) as direct, before(kinesis_endpoint) as proxy:
        stream = new_stream(direct)
        hasty = aws_client("kinesis", proxy.url, REQUEST_SECONDS)
        proxy.give("up", LINE)
        report = Producer(hasty, stream).put(EVENTS)
        requests = proxy.carried("up").count(b"X-Amz-Target: Kinesis_20131202.PutRecords")
        hasty.close()
        assert (report.put, requests > COUNT // 8) == (COUNT, True)
        assert arrivals(direct, stream).keys() == {event.image_id for event in EVENTS}


def test_a_program_without_a_deadline_writes_all_large_events(index: Slowed) -> None:
    changes = [
        change(event.image_id, event.version, image=msgspec.to_builtins(event.image))
        for event in EVENTS
    ]
    rounds = 0
    while changes and rounds < MOST_INVOCATIONS:
        rounds += 1
        outcomes = write_all(changes, index.sink)
        assert all(isinstance(one, Applied | Duplicate | Failed) for one in outcomes)
        failed = [isinstance(one, Failed) for one in outcomes]  # its look timed out: once more
        changes = [*itertools.compress(changes, failed)]
    check(index, rounds)
