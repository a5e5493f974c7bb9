"""One server for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.contract.clients.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()
