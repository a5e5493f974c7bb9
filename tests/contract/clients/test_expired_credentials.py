"""What boto3 and opensearch-py make of expired credentials: the fakes say just the same."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import opensearchpy
import pytest
from botocore.exceptions import ClientError

from doors.quarantine import BucketQuarantine
from lockstep.producing.producer import Producer, StreamRefusedError
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import image_index, image_table
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import Kinesis
from lockstep.simulation.fakes.network import PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Tally
from lockstep.simulation.faulty_network import Conditions, FaultyConnection, StoreName
from lockstep.simulation.plan import seeded_random
from shared.quarantine import QuarantineError, quarantined
from shared.sink import MisconfiguredError, RequestFailedError
from tests.builders import change, decoded, image_event, record
from tests.contract.clients.server import Server, aws, opensearch

EXPIRED = "The security token included in the request is expired"


class Expired:
    """A line on which the credentials are no longer good, as the simulation has it."""

    def __init__(self, store: StoreName) -> None:
        conditions = Conditions(VirtualTime(), Tally(), seeded_random(0))
        self._connection = FaultyConnection(store, conditions)
        self._connection.expire(60.0)

    def send[T](self, apply: Callable[[], T]) -> T:
        return self._connection.send(apply)

    def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
        return {}


def refused(server: Server, status: str, kind: str, body: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    # The server hangs up: a client that is not told may ask again on that connection.
    server.says = f"{head}Connection: close\r\n\r\n{body}".encode()


def said(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        call()
    answer = raised.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_the_tables_are_tried_again(server: Server) -> None:
    body = f'{{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"{EXPIRED}"}}'
    refused(server, "400 Bad Request", "application/x-amz-json-1.0", body)
    clients = [aws("dynamodb", server), DynamoDB("lockstep-images", connection=Expired("table"))]
    real, fake = (said(partial(one.describe_table, TableName="t")) for one in clients)
    assert real == fake
    for client in clients:
        with pytest.raises(RequestFailedError):
            image_table(cast("Any", client)).send([change()])


def test_the_indexs_stop_the_stream(server: Server) -> None:
    refused(server, "403 Forbidden", "application/json", f'{{"message":"{EXPIRED}"}}')
    clients = [opensearch(server), OpenSearch("images", connection=Expired("index"))]
    raised = []
    for client in clients:
        with pytest.raises(opensearchpy.TransportError) as error:
            cast("Any", client).bulk(body=b'{"delete":{"_id":"T0"}}\n', index="images")
        raised.append((type(error.value), error.value.args))
        with pytest.raises(MisconfiguredError):
            image_index(cast("Any", client)).send([change()])
    real, fake = raised
    assert real == fake


def test_the_quarantines_hold_the_record_back(server: Server) -> None:
    body = (
        "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    )
    refused(server, "400 Bad Request", "application/xml", body)
    clients = [aws("s3", server), S3("b", connection=Expired("quarantine"))]
    request: Any = {"Bucket": "b", "Key": "k", "Body": b"x"}
    real, fake = (said(partial(one.put_object, **request)) for one in clients)
    assert real == fake
    entry = quarantined(
        record(), function="f", change=None, reason="schema", detail="d", at="2026-11-21"
    )
    for client in clients:
        with pytest.raises(QuarantineError, match="ExpiredToken"):
            BucketQuarantine(client.put_object, "b", longest_put=1.0).put(entry)


def test_the_streams_stop_the_producer_who_keeps_what_is_not_put(server: Server) -> None:
    body = f'{{"__type":"ExpiredTokenException","message":"{EXPIRED}"}}'
    refused(server, "400 Bad Request", "application/x-amz-json-1.1", body)
    clients = [aws("kinesis", server), Kinesis("s", connection=Expired("stream"))]
    request: Any = {"StreamName": "s", "Records": [{"PartitionKey": "T0", "Data": b"x"}]}
    real, fake = (said(partial(one.put_records, **request)) for one in clients)
    assert real == fake
    event = decoded(image_event())
    for client in clients:
        with pytest.raises(StreamRefusedError, match="ExpiredTokenException") as stopped:
            Producer(client, "s").put([event])
        assert stopped.value.not_put == (event,)
