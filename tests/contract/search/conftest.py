"""One index of real images for all tests of the search, and an empty one for a module."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched

import pytest
from opensearchpy import OpenSearch

from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from tests.contract.search.museum import OURS, Images, changes


@pytest.fixture(scope="session")
def images(opensearch_endpoint: str, index_shards: int) -> Iterator[Images]:
    with _empty_index(opensearch_endpoint, index_shards) as these:
        for several in batched(changes(), 500):
            these.put(*several)
        these.put(*OURS)
        yield these


@pytest.fixture(scope="session")
def index_shards(pytestconfig: pytest.Config) -> int:
    shards: int = pytestconfig.getoption("--index-shards")
    return shards


@pytest.fixture(scope="module")
def own_images(opensearch_endpoint: str, index_shards: int) -> Iterator[Images]:
    """An index without images."""
    with _empty_index(opensearch_endpoint, index_shards) as these:
        yield these


@contextmanager
def _empty_index(endpoint: str, shards: int) -> Iterator[Images]:
    client = OpenSearch([endpoint], timeout=120, max_retries=0)
    these = Images(client, f"images-{uuid.uuid4()}")
    ensure_index(client, these.alias, IndexSettings(shards=shards))
    yield these
    client.indices.delete(index=f"{these.alias}-000001")
