"""A replica in memory for each test."""

from collections.abc import Iterator

import pytest

from lockstep.local.tablestore.store import TableFile
from tests.unit.write_to_tablestore.replica import Replica


@pytest.fixture
def file() -> Iterator[TableFile]:
    with TableFile.open(None) as store:
        yield store


@pytest.fixture
def replica(file: TableFile) -> Replica:
    return Replica(file)
