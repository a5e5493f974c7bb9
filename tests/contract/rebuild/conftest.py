"""A place of its own for each test, in the engines that all share."""

from collections.abc import Iterator

import pytest

from tests.contract.rebuild.place import RealPlace


@pytest.fixture
def place(
    dynamodb_endpoint: str, opensearch_endpoint: str, s3_endpoint: str
) -> Iterator[RealPlace]:
    made = RealPlace(dynamodb_endpoint, opensearch_endpoint, s3_endpoint)
    yield made
    made.client.indices.delete(index=f"{made.alias}-0*")
