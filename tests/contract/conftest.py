"""One Kinesis endpoint for all contract tests; each test has a stream of its own."""

from collections.abc import Iterator

import pytest

from tests.contract.kinesis.server import running


@pytest.fixture(scope="session")
def kinesis_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("kinesis") / "kinesis.db") as server:
        yield server.url
