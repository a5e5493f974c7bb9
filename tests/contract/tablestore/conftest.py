"""A source on DynamoDB Local and its replica on this machine, for each test."""

from collections.abc import Iterator

import pytest

from lockstep.local.tablestore.store import TableFile
from tests.contract.tablestore.source import BY_BOTH, Source
from tests.unit.write_to_tablestore.replica import Replica


@pytest.fixture
def source(dynamodb_endpoint: str) -> Iterator[Source]:
    made = Source(dynamodb_endpoint)
    yield made
    made.client.delete_table(TableName=made.name)


@pytest.fixture
def replica() -> Iterator[Replica]:
    with TableFile.open(None) as store:
        yield Replica(store, key=(("part", "INTEGER"), ("sort", "BINARY")), conversion=BY_BOTH)
