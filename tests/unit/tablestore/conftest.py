"""An endpoint in memory for each test."""

from collections.abc import Iterator

import pytest

from lockstep.local.tablestore.store import TableFile
from tests.unit.tablestore.client import TableStore


@pytest.fixture
def tablestore() -> Iterator[TableStore]:
    with TableFile.open(None) as store:
        yield TableStore(store)
