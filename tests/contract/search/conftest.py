"""One index of real images for all tests of the search."""

import uuid
from collections.abc import Iterator
from itertools import batched

import pytest
from opensearchpy import OpenSearch

from functions.write_to_es.index import ensure_index
from tests.contract.search.museum import OURS, Images, changes


@pytest.fixture(scope="session")
def images(opensearch_endpoint: str) -> Iterator[Images]:
    client = OpenSearch([opensearch_endpoint], timeout=30, max_retries=0)
    these = Images(client, f"images-{uuid.uuid4()}")
    ensure_index(client, these.alias)
    for several in batched(changes(), 500):
        these.put(*several)
    these.put(*OURS)
    yield these
    client.indices.delete(index=f"{these.alias}-000001")
