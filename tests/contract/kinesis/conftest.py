"""One server for all contract tests; each test has a stream of its own."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.contract.kinesis.server import client_of, running

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_numbers = count()


@pytest.fixture(scope="session")
def kinesis_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("kinesis") / "kinesis.db") as server:
        yield server.url


@pytest.fixture(scope="session")
def client(kinesis_endpoint: str) -> Iterator["KinesisClient"]:
    with client_of(kinesis_endpoint) as made:
        yield made


@pytest.fixture
def stream(client: "KinesisClient") -> Callable[[int], str]:
    """Makes a stream with so many shards, and says its name."""

    def make(shards: int) -> str:
        name = f"stream-{next(_numbers):04}"
        client.create_stream(StreamName=name, ShardCount=shards)
        client.get_waiter("stream_exists").wait(StreamName=name)
        return name

    return make
