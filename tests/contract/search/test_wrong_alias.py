"""Searches while the alias for reading is wrong: no deleted image is ever shown; on OpenSearch."""

import uuid
from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from functions.search_images.search import SearchRequest, page, search
from functions.search_images.suggest import suggest
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from shared.outcome import Applied
from tests.builders import change, image

IMAGES = 7


@pytest.fixture
def client(opensearch_endpoint: str) -> OpenSearch:
    return OpenSearch([opensearch_endpoint], timeout=120, max_retries=0)


@pytest.fixture
def live(client: OpenSearch) -> Iterator[str]:
    """Seven images and seven tombstones, behind an alias for reading without its filter."""
    alias = f"images-{uuid.uuid4()}"
    index = f"{alias}-000001"
    ensure_index(client, alias)
    client.indices.delete_alias(index=index, name=f"{alias}-live")
    client.indices.put_alias(index=index, name=f"{alias}-live")
    images = [change(f"T{n}", 1, image=image("Sunrise at Sea")) for n in range(IMAGES)]
    removed = [change(f"R{n}", 2, "image.deleted") for n in range(IMAGES)]
    sink = ImageIndex(client, alias, longest_request=0)
    assert set(sink.send([*images, *removed])) == {Applied()}
    client.indices.refresh(index=index)
    yield f"{alias}-live"
    client.indices.delete(index=index)


def test_a_deleted_image_is_neither_shown_nor_counted(client: OpenSearch, live: str) -> None:
    assert client.count(index=live)["count"] == 2 * IMAGES
    for request in (SearchRequest(text=None), SearchRequest(text=None, sort="newest")):
        found = page(client, live, request, size=50)
        assert {hit.image_id for hit in found.hits} == {f"T{n}" for n in range(IMAGES)}
        assert (found.total, found.next) == (IMAGES, None)
    assert search(client, live, "sunrise").total == IMAGES
    assert [one.name for one in suggest(client, live, "sunr").suggestions] == ["Sunrise at Sea"]


def on_all_pages(client: OpenSearch, live: str, request: SearchRequest, size: int) -> list[str]:
    """The images on all pages, sorted."""
    seen: list[str] = []
    after = None
    for _ in range(IMAGES + 1):
        found = page(client, live, request, size=size, after=after)
        seen += [hit.image_id for hit in found.hits]
        after = found.next
        if after is None:
            return sorted(seen)
    raise AssertionError("the pages do not end")


def test_pages_contain_each_image_once(client: OpenSearch, live: str) -> None:
    seen = on_all_pages(client, live, SearchRequest(text=None, sort="newest"), size=2)
    assert seen == [f"T{n}" for n in range(IMAGES)]


@pytest.mark.parametrize(
    "document",
    [
        {"deleted": False, "name": ["two", "names"]},
        {"deleted": False, "name": "x", "attributes": [{"name": "no value"}]},
        {"deleted": False, "version": 3},
        {"deleted": False, "name": "x", "version": 1, "tags": "not a list"},
        {"name": "neither deleted nor not"},
    ],
)
def test_a_document_that_is_no_image_hides_no_other_hit(
    client: OpenSearch, live: str, document: dict[str, object]
) -> None:
    client.index(index=live, id="bad", body=document, params={"refresh": "true"})
    seen = on_all_pages(client, live, SearchRequest(text=None), size=1)
    assert seen == [f"T{n}" for n in range(IMAGES)]
