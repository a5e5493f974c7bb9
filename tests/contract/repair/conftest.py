"""A stack of its own for each test, in the engines that all share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.local.engines.pins import EngineName
from lockstep.stack.stack import Endpoints
from tests.contract.redrive.conftest import Stage, staged


@pytest.fixture
def stage(
    kinesis_endpoint: str, engine: Callable[[EngineName], str], tmp_path: Path
) -> Iterator[Stage]:
    endpoints = Endpoints(kinesis_endpoint, engine("dynamodb"), engine("opensearch"), engine("s3"))
    with staged(endpoints, tmp_path) as made:
        # Else every document deleted by hand would cost the test a minute.
        made.clients.opensearch.indices.put_settings(
            index=made.stack.index, body={"index": {"gc_deletes": "1s"}}
        )
        yield made
