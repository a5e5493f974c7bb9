"""The endpoint on a file of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.limits import PerShard, Unlimited
from lockstep.local.kinesis.store import Store
from tests.unit.kinesis.client import Clock, Kinesis


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kinesis.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as opened:
        yield opened


@pytest.fixture
def kinesis(store: Store) -> Kinesis:
    clock = Clock()
    return Kinesis(Endpoint(store, clock, Unlimited(), "us-east-1", "000000000000"), clock)


@pytest.fixture
def limited(store: Store) -> Kinesis:
    clock = Clock()
    return Kinesis(Endpoint(store, clock, PerShard(), "us-east-1", "000000000000"), clock)
