"""Every link and every form of the page sends exactly what it stands for."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.facets import Facets, FacetValue
from functions.search_images.links import LONGEST_CHOICE, LONGEST_QUERY, YEAR, Pairs, pairs_in
from functions.search_images.page.record import record_page
from functions.search_images.page.results import results_page
from functions.search_images.parameters import MOST_VALUES, images_request
from functions.search_images.record import ImageRecord
from functions.search_images.search import Hit, SearchResult
from shared.event import Image

VALUES = st.text(min_size=1, max_size=8) | st.sampled_from(
    [" ", "\r", "a\nb", "a\r\nb", "\0", "+", "a&b=c", "%", "\u200b", "é" * 40, "😀" * 20]
)
YEARS = st.integers(0, 10_000).map(lambda year: f"{year:04}")
PAIRS = st.lists(
    st.tuples(st.sampled_from(["tag", "uploaded_by", "content_type"]), VALUES)
    | st.tuples(st.sampled_from(["attr.artist", "attr.a-b"]), VALUES)
    | st.tuples(st.just("q"), st.text(min_size=1).filter(str.strip)),
    max_size=6,
    unique_by=lambda pair: pair[0],
)


class Read(HTMLParser):
    """The links of a page, and the fields of its form, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self._form: dict[str, str] = {}
        self.hidden: list[tuple[str, str]] = []
        # https://html.spec.whatwg.org/multipage/parsing.html: line ends are normalized, and U+0000
        # in an attribute becomes U+FFFD.
        self.feed(re.sub("\r\n?", "\n", page).replace("\0", "\ufffd"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "a" and has["href"].startswith("?"):
            self.hrefs.append(has["href"])
        if tag == "form":
            self._form = has
        of_search = self._form.get("role") == "search"
        if tag == "input" and has.get("type") == "hidden" and of_search:
            self.hidden.append((has["name"], has["value"]))

    def sent(self) -> str:
        """What the form sends: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
        replaces each line break by CR and LF.
        """
        return urlencode([(name, re.sub("\r\n?|\n", "\r\n", value)) for name, value in self.hidden])


def page(pairs: Pairs, **facets: list[FacetValue]) -> Read:
    names = ("tags", "content_type", "uploaded_by", "year")
    hit = Hit(
        image_id="i-1", version=1, name="n", name_html="n", highlights={}, tags=[], attributes={}
    )
    counts = [facets.get(name, []) for name in names]
    found = SearchResult(9, [hit], Facets(counts[0], counts[1], counts[2], counts[3]), "c", None)
    return Read(results_page(pairs, found))


@given(PAIRS, st.lists(VALUES, unique=True, max_size=4), st.lists(YEARS, unique=True, max_size=2))
def test_each_facet_link_is_a_search_for_its_value(
    pairs: Pairs, values: list[str], years: list[str]
) -> None:
    facet = [FacetValue(value, 1) for value in values]
    of_years = [FacetValue(year, 1) for year in years]
    hrefs = page(pairs, tags=facet, uploaded_by=facet, content_type=facet, year=of_years).hrefs
    reached = []
    for href in hrefs:
        assert len(href) <= LONGEST_QUERY + 300  # with the cursor or the image ID
        sent = pairs_in(href[1:])
        if dict(sent).keys().isdisjoint({"image", "cursor", "start"}):
            images_request(href[1:])  # the API refuses none of them
        reached.append(sorted(sent))
    here = [pair for pair in pairs if pair[0] != "cursor"]
    for name in ("tag", "uploaded_by", "content_type"):
        for value in values:
            if (name, value) not in here and len(value) <= LONGEST_CHOICE:
                assert sorted([*here, (name, value)]) in reached
    periods = [
        (dict(sent)["taken_from"], dict(sent)["taken_to"])
        for sent in reached
        if {"taken_from", "taken_to"} <= dict(sent).keys()
    ]
    for year in years:
        within = [one for one in periods if int(one[0]) <= int(year) <= int(one[1])]
        assert len(within) == 1
        assert sorted([*here, *zip(YEAR, within[0], strict=True)]) in reached


@given(PAIRS)
def test_a_new_search_keeps_each_filter_exactly(pairs: Pairs) -> None:
    kept = [pair for pair in pairs if pair[0] != "q"]
    assert list(pairs_in(page(pairs).sent())) == kept


@given(VALUES)
def test_a_record_links_to_images_with_the_same_value(value: str) -> None:
    fields: Mapping[str, Any] = {"tags": (value,), "uploaded_by": value, "content_type": value}
    image = Image(name="n", attributes={"artist": value}, **fields)
    record = ImageRecord("i-1", 1, "image.updated", "now", "now", "digest", image)
    reached = [pairs_in(href[1:]) for href in Read(record_page([], record)).hrefs]
    for name in ("tag", "uploaded_by", "content_type", "attr.artist"):
        assert [(name, value)] in reached


def test_a_search_that_fills_the_address_gets_no_further_filter() -> None:
    pairs = [("tag", "墨" * 200 + str(at)) for at in range(3)]
    values = [FacetValue("墨" * 200, 1), FacetValue("a", 1)]
    reached = [pairs_in(href[1:]) for href in page(pairs, tags=values).hrefs]
    assert [*pairs, ("tag", "a")] in reached
    assert [*pairs, ("tag", "墨" * 200)] not in reached
    assert len(pairs) < MOST_VALUES
