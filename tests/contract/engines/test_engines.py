"""The real engines: they start from the cache, do what the sinks rely on, and forget nothing."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
import urllib3
from botocore.config import Config
from opensearchpy import OpenSearch
from rich.console import Console

from lockstep.local.engines.download import progress_on
from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import Child, Service, start, stop, wait_until_ready
from lockstep.local.services import servers
from lockstep.pictures.bucket.transfer import PART_BYTES
from lockstep.stack.clients import LOCAL_CREDENTIALS, Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from lockstep.web.addresses import HOST
from tools.engines import READY_SECONDS, cache, engine_service

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

COUNT = 50
# Together they are larger than the memory of S3.
MANY_PARTS = 40


@contextmanager
def killed_and_started_again(service: Service) -> Iterator[None]:
    """Inside: the service runs. After: it was killed and runs again, until the test ends."""
    child = start(service)
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
        yield
    finally:
        child.kill()


@contextmanager
def running(service: Service) -> Iterator[None]:
    child = start(service)
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
        yield
    finally:
        stop([child])


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


# A space and an accent: a home folder may have both.
@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "état de choses"


def service_of(name: EngineName, state: Path) -> Service:
    return engine_service(name, state, in_memory=False)


def dynamodb_client(port: int | None) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        endpoint_url=f"http://{HOST}:{port}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # the local engine takes any
    )


def s3_client(port: int | None) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        region_name="us-east-1",
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
        config=Config(s3={"addressing_style": "path"}),
    )


def test_opensearch_keeps_what_it_acknowledged_through_a_kill(
    state: Path, closing: ExitStack
) -> None:
    service = service_of("opensearch", state)
    client = OpenSearch(f"http://{HOST}:{service.port}")
    closing.callback(client.close)
    with killed_and_started_again(service):
        client.indices.create(index="things", body={"settings": {"number_of_replicas": 0}})
        for number in range(COUNT):
            client.index(index="things", body={"n": number}, id=str(number))
    with running(service):
        client.indices.refresh(index="things")
        assert client.count(index="things")["count"] == COUNT
        # What the mapping of the index is made of: accents, stems and prefixes.
        analysis = {
            "tokenizer": "standard",
            "filter": [
                "lowercase",
                "asciifolding",
                {"type": "stemmer", "language": "english"},
                {"type": "edge_ngram", "min_gram": 3, "max_gram": 3},
            ],
            "text": "Châteaux",
        }
        tokens = client.indices.analyze(body=analysis)["tokens"]
        assert [token["token"] for token in tokens] == ["cha"]


def test_dynamodb_keeps_what_it_acknowledged_through_a_kill(
    state: Path, closing: ExitStack
) -> None:
    service = service_of("dynamodb", state)
    client = dynamodb_client(service.port)
    closing.callback(client.close)
    with killed_and_started_again(service):
        client.create_table(
            TableName="things",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for number in range(COUNT):
            client.put_item(TableName="things", Item={"id": {"S": str(number)}})
    with running(service):
        assert client.scan(TableName="things", Select="COUNT")["Count"] == COUNT


def test_s3_keeps_what_it_acknowledged_through_a_kill(state: Path, closing: ExitStack) -> None:
    service = service_of("s3", state)
    client = s3_client(service.port)
    closing.callback(client.close)
    with killed_and_started_again(service):
        client.create_bucket(Bucket="things")
        for number in range(COUNT):
            client.put_object(Bucket="things", Key=f"quarantine/é/{number}", Body=b"payload")
    with running(service):
        listed = client.list_objects_v2(Bucket="things", Prefix="quarantine/")
        assert listed["KeyCount"] == COUNT
        answer = client.get_object(Bucket="things", Key="quarantine/é/7")
        assert answer["Body"].read() == b"payload"
        with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
            client.put_object(Bucket="things", Key="quarantine/é/7", Body=b"other", IfNoneMatch="*")


def test_s3_answers_requests_that_are_signed_with_its_keys_only(
    engine: Callable[[EngineName], str], closing: ExitStack
) -> None:
    address = engine("s3")
    client = s3_client(urlsplit(address).port)
    closing.callback(client.close)
    client.create_bucket(Bucket="signed")
    client.put_object(Bucket="signed", Key="a", Body=b"payload")
    link = client.generate_presigned_url("get_object", {"Bucket": "signed", "Key": "a"})
    unsigned = f"{address}/signed/a"
    assert [urllib3.request("GET", one).status for one in (link, unsigned)] == [200, 403]
    assert urllib3.request("PUT", unsigned, body=b"other").status == 403
    assert urllib3.request("GET", address).status == 403
    assert client.get_object(Bucket="signed", Key="a")["Body"].read() == b"payload"


def test_many_large_parts_at_a_time_need_no_memory_of_s3(state: Path, closing: ExitStack) -> None:
    service = service_of("s3", state)
    endpoints = Endpoints("", "", "", f"http://{HOST}:{service.port}")
    clients = Clients(Stack(endpoints, "s", "t", "i", "b", LOCAL_REGION, {}, str(state)))
    closing.callback(clients.s3.close)
    part = bytes(PART_BYTES)

    def send(number: int) -> None:
        name = f"{number}.jpg"
        clients.s3.put_object(Bucket="things", Key=name, Body=part, ChecksumAlgorithm="SHA256")

    with running(service), ThreadPoolExecutor(MANY_PARTS) as pool:
        clients.s3.create_bucket(Bucket="things")
        list(pool.map(send, range(MANY_PARTS)))
        listed = clients.s3.list_objects_v2(Bucket="things")["Contents"]
    assert [one["Size"] for one in listed] == [PART_BYTES] * MANY_PARTS


def listened_on(child: Child) -> set[str]:
    connections = psutil.Process(child.process.pid).net_connections("inet")
    # Java speaks IPv4 through sockets of IPv6, where the machine has them.
    return {
        "all" if ip_address(address).is_unspecified else address.removeprefix("::ffff:")
        for address in (each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN)
    }


@pytest.mark.xfail(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_servers_listen_on_the_one_address_that_they_are_given(
    state: Path, closing: ExitStack
) -> None:
    state.mkdir()
    host = "127.0.0.2"
    engines = servers(cache(), progress_on(Console(stderr=True)), host)
    children = []
    for service in engines(state):
        children.append(start(service))
        closing.callback(children[-1].kill)
    wait_until_ready(children, seconds=READY_SECONDS)
    assert {child.service.name: listened_on(child) for child in children} == {
        # Its transport stays on loopback.
        "opensearch": {host, HOST},
        "dynamodb": {host},
        "s3": {host},
        "kinesis": {host},
    }
