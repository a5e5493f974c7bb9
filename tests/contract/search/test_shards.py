"""An index with five shards answers as one with a single shard: hits, order, counts, spelling."""

import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import batched, islice
from typing import Any

import pytest
from opensearchpy import OpenSearch

from functions.search_images.facets import FACET_VALUES, FacetValue
from functions.search_images.search import (
    SearchRequest,
    SearchResult,
    page,
)
from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from shared.change import Put
from tests.builders import change, image
from tests.contract.search.museum import OURS, Images
from tests.real_images import real_changes

IMAGES = 1_000
SHARDS = 5


@pytest.fixture(scope="module")
def several(opensearch_endpoint: str) -> Iterator[Images]:
    yield from _indexed(opensearch_endpoint, SHARDS)


@pytest.fixture(scope="module")
def single(opensearch_endpoint: str) -> Iterator[Images]:
    yield from _indexed(opensearch_endpoint, 1)


def _indexed(endpoint: str, shards: int) -> Iterator[Images]:
    these = Images(OpenSearch([endpoint], timeout=30, max_retries=0), f"images-{uuid.uuid4()}")
    ensure_index(these.client, these.alias, IndexSettings(shards=shards))
    for some in batched(islice(real_changes(), IMAGES), 500):
        these.put(*some)
    these.put(*OURS)
    yield these
    these.client.indices.delete(index=f"{these.alias}-000001")


def _queries() -> Sequence[str]:
    """Words of the images, two words, and words with one letter left out."""
    chosen = random.Random(5)
    names = [one.image.name for one in islice(real_changes(), IMAGES) if isinstance(one, Put)]
    words = sorted({word for name in names for word in name.split() if word.isalpha()})
    frequent = [word for word, _ in Counter(" ".join(names).split()).most_common(20)]
    long = [word for word in words if len(word) > 5]
    return [
        *frequent,
        *chosen.sample(words, 60),
        *(" ".join(chosen.sample(words, 2)) for _ in range(20)),
        *(word[:2] + word[3:] for word in chosen.sample(long, 40)),
        *(f"{word[:4]}*" for word in chosen.sample(long, 10)),
    ]


def _asked(images: Images, text: str, **how: Any) -> SearchResult:
    request = SearchRequest(text=text)
    return page(images.client, live_alias(images.alias), request, **{"size": 20, **how})


def test_several_shards_find_and_rank_as_a_single_one(several: Images, single: Images) -> None:
    differ = {
        text: (found, expected)
        for text in _queries()
        if (found := _shown(_asked(several, text))) != (expected := _shown(_asked(single, text)))
    }
    assert differ == {}


def _shown(found: SearchResult) -> Any:
    ids = [hit.image_id for hit in found.hits]
    return ids, found.total, found.facets, found.did_you_mean


def test_several_shards_suggest_as_a_single_one(several: Images, single: Images) -> None:
    def suggested(images: Images, typed: str) -> Sequence[str]:
        found = suggest(images.client, live_alias(images.alias), typed)
        return [one.name for one in found.suggestions]

    typed = [query[:length] for query in _queries() for length in (3, 6)]
    differ = [text for text in typed if suggested(several, text) != suggested(single, text)]
    assert differ == []


@pytest.mark.parametrize("sort", ["relevance", "newest"])
def test_pages_of_several_shards_are_the_whole_in_pieces(several: Images, sort: Any) -> None:
    request = SearchRequest(text="the", sort=sort)
    live = live_alias(several.alias)
    whole = page(several.client, live, request, size=100)
    shown: list[str] = []
    after = None
    for _ in range(6):
        one = page(several.client, live, request, size=16, after=after)
        shown += [hit.image_id for hit in one.hits]
        after = one.next
    assert shown == [hit.image_id for hit in whole.hits][: 6 * 16]


def test_a_facet_counts_what_its_filter_finds_if_all_values_are_rare(several: Images) -> None:
    """In each shard, hundreds of uploaders have one image; ten have two images in all."""
    pairs = [f"pair-{at}" for at in range(FACET_VALUES)]
    uploaders = [*pairs, *pairs, *(f"one-{at:03}" for at in range(900))]
    several.put(
        *(
            change(f"rare-{at}", 1, image=image("Rarissima", uploaded_by=who))
            for at, who in enumerate(uploaders)
        )
    )
    facet = _asked(several, "rarissima", size=1).facets.uploaded_by
    assert facet == [FacetValue(one, 2) for one in sorted(pairs)]
