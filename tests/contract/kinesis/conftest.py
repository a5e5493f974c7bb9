"""A client of the Kinesis endpoint, and a stream for each test."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.contract.kinesis.server import client_of

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_numbers = count()


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
