"""The filters beside the results: values, the open facet, and the years with their period."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.facets import Facets, FacetValue, FacetValues
from functions.search_images.links import Pairs
from functions.search_images.page.filters import MOST_BARS, OpenFacet, YearBar, open_facet, panel
from functions.search_images.search import SearchResult


def found(
    years: Sequence[tuple[int, int]] = (), artists: Sequence[str] = (), more: Sequence[str] = ()
) -> SearchResult:
    of_years = [FacetValue(f"{year:04}", count) for year, count in years]
    of_artists = [FacetValue(name, 1) for name in artists]
    facets = Facets([], [], [], of_years, {"artist": of_artists}, list(more))
    return SearchResult(1, [], facets, None, None)


def bars(years: Sequence[tuple[int, int]], pairs: Pairs = ()) -> Sequence[YearBar]:
    shown = panel(pairs, found(years), 0).years
    assert shown is not None
    return shown.bars


def test_few_years_have_a_bar_each_in_their_order_also_without_images() -> None:
    shown = bars([(1979, 2), (1982, 4)])
    assert [(one.text, one.count, one.width) for one in shown] == [
        ("1979", 2, 50),
        ("1980", 0, 0),
        ("1981", 0, 0),
        ("1982", 4, 100),
    ]
    assert [one.href is None for one in shown] == [False, True, True, False]


def test_many_years_have_a_bar_for_some_of_them() -> None:
    shown = bars([(1905, 1), (1911, 2), (2019, 1000)])
    assert [one.text for one in shown][:2] == ["1900–1909", "1910–1919"]
    assert (shown[-1].text, shown[-1].width, shown[0].width) == ("2010–2019", 100, 2)
    assert leads(shown[1]) == [("taken_from", "1910"), ("taken_to", "1919")]


def test_the_chosen_period_is_marked_and_its_link_removes_it() -> None:
    chosen = [("q", "x"), ("taken_from", "1910"), ("taken_to", "1919")]
    shown = bars([(1905, 1), (1911, 2), (2019, 3)], chosen)
    (current,) = [one for one in shown if one.current]
    assert (current.text, leads(current)) == ("1910–1919", [("q", "x")])
    assert leads(shown[0]) == [("q", "x"), ("taken_from", "1900"), ("taken_to", "1909")]


@given(
    st.dictionaries(st.integers(0, 10_000), st.integers(1, 10**6), min_size=1, max_size=40).map(
        lambda years: sorted(years.items())
    )
)
def test_the_bars_are_few_and_together_have_all_images(years: list[tuple[int, int]]) -> None:
    shown = bars(years)
    assert len(shown) <= MOST_BARS
    assert sum(one.count for one in shown) == sum(count for _, count in years)
    assert all(2 <= one.width <= 100 for one in shown if one.count)


def leads(bar: YearBar) -> Pairs:
    assert bar.href is not None
    return parse_qsl(bar.href[1:])


def test_a_facet_with_more_values_can_be_opened() -> None:
    (facet,) = panel([("q", "x")], found(artists=["A"], more=["attr.artist"]), 0).facets
    assert facet.more == "?q=x&facet=attr.artist#facet-attr.artist"
    (facet,) = panel([("q", "x")], found(artists=["A"]), 0).facets
    assert facet.more is None


def test_an_open_facet_shows_its_values_and_finds_others() -> None:
    opened = OpenFacet("attr.artist", "turn")
    values = FacetValues([FacetValue("Turner", 2)], more=True)
    pairs = [("q", "x"), ("attr.artist", "Turner")]
    (facet,) = panel(pairs, found(artists=["A"]), 1, opened, values).facets
    assert [(one.text, one.current) for one in facet.links] == [("Turner", True)]
    assert (facet.containing, facet.cut) == ("turn", True)
    assert [*facet.fields] == [*pairs, ("facet", "attr.artist")]
    assert facet.fewer == "?q=x&attr.artist=Turner#facet-attr.artist"


def test_an_open_facet_stays_if_no_value_contains_the_text() -> None:
    values = FacetValues([], more=False)
    (facet,) = panel([], found(artists=["A"]), 0, OpenFacet("attr.artist", "x"), values).facets
    assert (facet.links, facet.label) == ([], "artist")


@pytest.mark.parametrize(
    ("pairs", "opened"),
    [
        ([("facet", "tag")], OpenFacet("tag", "")),
        ([("facet", "attr.a"), ("find", " b ")], OpenFacet("attr.a", "b")),
        ([("facet", "nothing"), ("find", "b")], None),
        ([("find", "b")], None),
    ],
)
def test_a_link_opens_one_facet(pairs: Pairs, opened: OpenFacet | None) -> None:
    assert open_facet(pairs) == opened
