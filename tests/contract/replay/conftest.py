"""A stack of its own for each test, in the engines that all share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.local.engines.pins import EngineName
from lockstep.stack.stack import Endpoints
from tests.contract.redrive.conftest import Stage


@pytest.fixture
def stage(kinesis_endpoint: str, engine: Callable[[EngineName], str], tmp_path: Path) -> Stage:
    endpoints = Endpoints(kinesis_endpoint, engine("dynamodb"), engine("opensearch"), engine("s3"))
    return Stage(endpoints, tmp_path)
