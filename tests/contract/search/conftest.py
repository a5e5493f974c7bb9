"""One index of real images for all tests of the search, and an empty one for a module."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opensearchpy import OpenSearch

from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from tests.contract.search.museum import OURS, Images
from tests.real_images import RealImages


@pytest.fixture(scope="session")
def images(opensearch_endpoint: str, real_images: RealImages) -> Iterator[Images]:
    with _images(opensearch_endpoint) as these:
        real_images.copy_to(these.alias)
        these.put(*OURS)
        yield these


@pytest.fixture(scope="module")
def own_images(opensearch_endpoint: str, index_shards: int) -> Iterator[Images]:
    """An index without images."""
    with _images(opensearch_endpoint) as these:
        ensure_index(these.client, these.alias, IndexSettings(shards=index_shards))
        yield these


@contextmanager
def _images(endpoint: str) -> Iterator[Images]:
    """Images of a new alias; its index is deleted at the end."""
    client = OpenSearch([endpoint], timeout=120, max_retries=0)
    these = Images(client, f"images-{uuid.uuid4()}")
    yield these
    client.indices.delete(index=f"{these.alias}-000001")
