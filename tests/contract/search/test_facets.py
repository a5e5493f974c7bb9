"""Facets: their counts are those of a full listing, and each value is found by a part of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from functions.search_images.facets import FACET_VALUES, FacetValue, FacetValues
from functions.search_images.filters import Filters
from functions.search_images.search import (
    Hit,
    SearchRequest,
    SearchResult,
    facet_values,
    page,
)
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import Images

ALL = SearchRequest(text=None)
ATTRIBUTES = ("artist", "medium")

# The values that an image has in each facet.
VALUES: Mapping[str, Callable[[Hit], Iterable[str]]] = {
    "tag": lambda hit: {*hit.tags},
    "content_type": lambda hit: [str(hit.content_type)] if hit.content_type else [],
    "uploaded_by": lambda hit: [str(hit.uploaded_by)] if hit.uploaded_by else [],
    "attr.artist": lambda hit: _attribute(hit, "artist"),
    "attr.medium": lambda hit: _attribute(hit, "medium"),
    "year": lambda hit: [str(hit.taken_at)[:4]] if hit.taken_at else [],
}


def _attribute(hit: Hit, name: str) -> Sequence[str]:
    return [hit.attributes[name]] if hit.attributes.get(name) else []


def asked(images: Images, request: SearchRequest, **how: Any) -> SearchResult:
    live = live_alias(images.alias)
    return page(images.client, live, request, **{"size": 1, "attributes": ATTRIBUTES, **how})


def listing(images: Images, request: SearchRequest) -> Sequence[Hit]:
    """All images that a search finds."""
    hits: list[Hit] = []
    after = None
    while True:
        found = asked(images, request, size=100, after=after)
        hits += found.hits
        after = found.next
        if after is None:
            assert len(hits) == found.total
            return hits


def recounted(hits: Iterable[Hit], facet: str) -> list[FacetValue]:
    counts = Counter(value for hit in hits for value in VALUES[facet](hit))
    return [
        FacetValue(value, count)
        for value, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]


def answered(found: SearchResult) -> Mapping[str, list[FacetValue]]:
    facets = found.facets
    of_attributes = {f"attr.{name}": values for name, values in facets.attributes.items()}
    return {
        "tag": facets.tags,
        "content_type": facets.content_type,
        "uploaded_by": facets.uploaded_by,
        "year": facets.year,
        **of_attributes,
    }


@pytest.mark.parametrize("text", [None, "richmond", "the river", "richmnd tames"])
@pytest.mark.parametrize(
    ("chosen", "left_out"),
    [
        ({}, ()),
        ({"tags": ("river", "boat")}, ()),
        ({"attributes": (("artist", "Joseph Mallord William Turner"),)}, ("attr.artist",)),
        (
            {
                "attributes": (
                    ("artist", "Joseph Mallord William Turner"),
                    ("artist", "William Daniell"),
                    ("medium", "Graphite on paper"),
                ),
                "tags": ("river",),
            },
            ("attr.artist", "attr.medium"),
        ),
    ],
)
def test_each_count_is_that_of_a_full_listing(
    images: Images, text: str | None, chosen: Mapping[str, Any], left_out: Sequence[str]
) -> None:
    found = asked(images, SearchRequest(text=text, filters=Filters(**chosen)))
    more = []
    for facet, counts in answered(found).items():
        without = dict(chosen)
        if facet in left_out:
            name = facet.removeprefix("attr.")
            without["attributes"] = tuple(one for one in chosen["attributes"] if one[0] != name)
        whole = listing(images, SearchRequest(text=text, filters=Filters(**without)))
        expected = recounted(whole, facet)
        if facet == "year":
            assert counts == sorted(expected, key=lambda one: one.value)
            continue
        assert counts == expected[:FACET_VALUES], facet
        more += [facet] if len(expected) > FACET_VALUES else []
    assert sorted(found.facets.more) == sorted(more)


def test_a_chosen_value_leaves_the_others_of_its_facet_to_choose(images: Images) -> None:
    names = [one.value for one in asked(images, ALL).facets.attributes["artist"]][:2]
    before = {one.value: one.count for one in asked(images, ALL).facets.attributes["artist"]}
    both = Filters(attributes=tuple(("artist", name) for name in names))
    found = asked(images, SearchRequest(text=None, filters=both))
    assert found.total == sum(before[name] for name in names)
    assert {one.value: one.count for one in found.facets.attributes["artist"]} == before


def test_years_are_in_their_order_whatever_period_is_chosen(images: Images) -> None:
    images.put(
        *(
            change(f"dated-{at}", 1, image=image("Datedum", taken_at=f"{year}-06-01T00:00:00Z"))
            for at, year in enumerate(["2019", "1905", "0987", "1905"])
        )
    )
    years = [FacetValue("0987", 1), FacetValue("1905", 2), FacetValue("2019", 1)]
    period = Filters(taken_from="1900-01-01T00:00:00Z", taken_to="1999-12-31T23:59:59Z")
    for filters, total in ((Filters(), 4), (period, 2)):
        found = asked(images, SearchRequest(text="datedum", filters=filters))
        assert (found.facets.year, found.total) == (years, total)


@pytest.fixture(scope="module")
def painted(images: Images) -> Images:
    """Images of painters in several scripts, and of more painters than an answer shows."""
    names = ["Cézanne, Paul", "CEZANNE", "Wałęsówna", "葛飾 北斎", "Гончарова", "a.b|c", "Turner"]
    names += [f"Painter {at:03}" for at in range(250)]
    images.put(
        *(
            change(
                f"painted-{at}",
                1,
                image=image("Pictum", tags=[name, "Turner"], attributes={"painter": name}),
            )
            for at, name in enumerate(names)
        )
    )
    return images


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("cezanne", ["CEZANNE", "Cézanne, Paul"]),
        ("ézanne, p", ["Cézanne, Paul"]),
        ("WALESO", ["Wałęsówna"]),
        ("北斎", ["葛飾 北斎"]),
        ("ГОНЧАР", ["Гончарова"]),
        (".b|", ["a.b|c"]),
        ("painter 04", [f"Painter 04{at}" for at in range(10)]),
        ("turner", ["Turner"]),
        ("nobody", []),
    ],
)
@pytest.mark.parametrize("facet", ["attr.painter", "tag"])
def test_a_value_is_found_by_a_part_of_it(
    painted: Images, facet: str, typed: str, expected: Sequence[str]
) -> None:
    found = values(painted, facet, typed)
    assert ([one.value for one in found.values], found.more) == (expected, False)


@pytest.mark.parametrize("facet", ["attr.painter", "tag"])
def test_more_values_come_on_request_up_to_a_bound(painted: Images, facet: str) -> None:
    asked_for = SearchRequest(text="pictum")
    assert facet in asked(painted, asked_for, attributes=["painter"]).facets.more
    found = values(painted, facet, "", size=200)
    assert (len(found.values), found.more) == (200, True)
    assert values(painted, facet, "painter", size=250).more is False


def test_a_long_text_is_looked_for_as_a_whole(painted: Images) -> None:
    long = "aeiouy" * 40
    several = [f"{long} {end}" for end in ("one", "two")]
    painted.put(
        *(
            change(f"long-{at}", 1, image=image("Pictum", attributes={"painter": value}))
            for at, value in enumerate(several)
        )
    )
    found = values(painted, "attr.painter", several[0].upper())
    assert [one.value for one in found.values] == several[:1]


def values(images: Images, facet: str, containing: str, size: int = 50) -> FacetValues:
    request = SearchRequest(text="pictum")
    live = live_alias(images.alias)
    return facet_values(images.client, live, request, facet, containing=containing, size=size)
