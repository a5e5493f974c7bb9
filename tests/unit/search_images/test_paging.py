"""Pages and neighbours by number: which links there are, and that none of them ever expires."""

from typing import Any

import pytest
from opensearchpy import exceptions as opensearch

from functions.search_images.page.paging import (
    AROUND,
    LAST_START,
    PAGE_SIZE,
    ResultPlace,
    paging,
    place,
)
from functions.search_images.page.record import record_page
from functions.search_images.page.results import results_page
from functions.search_images.search import DEEPEST, SearchResult
from shared.item import item_from
from tests.builders import change
from tests.unit.search_images.test_api import NOTHING, Answer, Index, Table, ask
from tests.unit.search_images.test_page import Parsed, found, hit, record

QUERY = [("q", "river"), ("tag", "a")]


class Ranked:
    """An index that has images with these ids, in this order."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.asked: list[Any] = []

    def search(self, **asked: Any) -> Any:
        self.asked.append(asked["body"])
        first = asked["body"].get("from", 0)
        ids = self.ids[first : first + asked["body"]["size"]]
        hits = [
            {"_id": one, "_source": {"version": 1, "name": f"Name {one}"}, "sort": [1, one]}
            for one in ids
        ]
        return NOTHING | {"hits": {"total": {"value": len(self.ids)}, "hits": hits}}


def ids(count: int) -> list[str]:
    return [f"i-{at}" for at in range(1, count + 1)]


def shown(start: int, *, hits: int = 24, total: int = 70, more: bool = True) -> SearchResult:
    here = [hit(f"i-{at}") for at in range(start, start + hits)]
    return found(*here, total=total, next="further" if more else None)


def opened(target: str, index: Ranked) -> tuple[Answer, Parsed]:
    wanted = target.partition("image=")[2].partition("&")[0]
    table = Table(item_from(change(wanted, 1))) if wanted else None
    answer = ask(target, index=index, table=table)
    return answer, Parsed(answer.body)


def labels(page: Parsed) -> set[str | None]:
    return {one.get("aria-label") for one in page.named("a")}


def test_a_page_says_which_results_it_has_and_links_to_both_pages_around_it() -> None:
    page = Parsed(results_page([*QUERY, ("start", "25")], shown(25), 25))
    assert "25 to 48 of 70" in page.text
    assert page.leads("Previous") == QUERY
    assert page.leads("Next") == [*QUERY, ("start", "49")]
    assert "25 to 48 of 70 found: \u2068river\u2069 · Find images" in page.text


def test_the_first_page_has_no_previous_and_the_last_no_next() -> None:
    first = Parsed(results_page(QUERY, shown(1)))
    assert "Previous" not in first.links
    assert first.leads("Next") == [*QUERY, ("start", "25")]
    last = Parsed(results_page(QUERY, shown(49, hits=22, more=False), 49))
    assert "49 to 70 of 70" in last.text
    assert "Next" not in last.links


def test_results_that_fit_on_one_page_have_no_pages() -> None:
    page = Parsed(results_page(QUERY, shown(1, hits=3, total=3, more=False)))
    assert "1 to 3" not in page.text
    assert {"Previous", "Next"}.isdisjoint(page.links)


def test_one_result_on_a_page_is_no_range() -> None:
    page = Parsed(results_page(QUERY, shown(49, hits=1, total=49, more=False), 49))
    assert "49 of 49" in page.text
    assert "49 to 49" not in page.text


def test_a_page_that_long_records_cut_short_leaves_no_result_out() -> None:
    page = Parsed(results_page(QUERY, shown(1, hits=5)))
    assert "1 to 5 of 70" in page.text
    assert page.leads("Next") == [*QUERY, ("start", "6")]


def test_a_page_on_which_nothing_can_be_shown_is_no_dead_end() -> None:
    assert paging(QUERY, shown(25, hits=0), 25, 24).next == "?q=river&tag=a&start=49"


def test_what_no_number_reaches_is_reached_by_a_cursor() -> None:
    page = Parsed(results_page(QUERY, shown(LAST_START, total=69_202), LAST_START))
    assert page.leads("Next") == [*QUERY, ("cursor", "further")]
    beyond = Parsed(results_page([*QUERY, ("cursor", "c")], shown(1, total=69_202)))
    assert beyond.leads("Next") == [*QUERY, ("cursor", "further")]
    assert beyond.leads("First page") == QUERY
    assert " of 69,202" not in beyond.text
    assert beyond.leads("Richmond Hill") == [*QUERY, ("cursor", "c"), ("image", "i-24")]


def test_the_deepest_page_stays_within_what_the_index_allows() -> None:
    index = Ranked()
    assert ask(f"/?start={LAST_START}&size=100", index=index).status == 200
    assert index.asked[0]["from"] + index.asked[0]["size"] <= DEEPEST
    assert ask(f"/?start={LAST_START + 1}", index=index).status == 400
    index = Ranked()
    table = Table(item_from(change("i-1", 1)))
    assert ask(f"/?image=i-1&at={LAST_START}", index=index, table=table).status == 200
    assert index.asked[0]["from"] + index.asked[0]["size"] <= DEEPEST


@pytest.mark.parametrize("start", ["0", "-1", "x", "1.5", "9901"])
def test_a_wrong_number_is_told_and_the_next_search_is_without_it(start: str) -> None:
    answer = ask(f"/?q=river&start={start}")
    assert answer.status == 400
    assert f"start: expected a whole number from 1 to 9,900, got {start}" in answer.body
    assert 'name="start"' not in answer.body


def test_the_page_has_24_results_and_the_api_20() -> None:
    for target, size in (("/", PAGE_SIZE), ("/?size=4", 4), ("/images", 20)):
        index = Ranked(*ids(70))
        ask(target, index=index)
        assert index.asked[0]["size"] == size + 1


def test_a_shared_link_to_a_page_that_is_gone_shows_the_last_page() -> None:
    answer, page = opened("/?start=49", Ranked(*ids(30)))
    assert answer.status == 200
    assert "25 to 30 of 30" in page.text
    assert page.leads("Previous") == []
    answer, page = opened("/?start=49", Ranked())
    assert answer.status == 200
    assert "Nothing found" in page.text


def test_each_page_of_a_search_leads_to_every_result_once() -> None:
    index, target, seen = Ranked(*ids(61)), "?q=river", []
    while target:
        _, page = opened(f"/{target}", index)
        seen += [one["id"] for one in page.named("li") if one.get("class") == "card"]
        target = page.links.get("Next") or ""
    assert seen == [f"image-{one}" for one in index.ids]


def test_a_record_leads_to_its_neighbours_and_back_to_its_own_page() -> None:
    _, results = opened("/?q=river&start=25", Ranked(*ids(70)))
    target = results.links["Name i-48"]
    assert results.leads("Name i-48") == [
        *[("q", "river"), ("start", "25")],
        *[("at", "48"), ("image", "i-48")],
    ]
    _, page = opened(f"/{target}", Ranked(*ids(70)))
    assert "48 of 70" in page.text
    assert page.leads("‹ Previous") == [
        *[("q", "river")],
        *[("image", "i-47"), ("at", "47")],
    ]
    assert page.links["← Back to the results"] == "?q=river&start=25#image-i-48"
    _, after = opened(f"/{page.links['Next ›']}", Ranked(*ids(70)))
    assert "49 of 70" in after.text
    assert after.links["← Back to the results"] == "?q=river&start=49#image-i-49"


def test_the_first_and_the_last_result_have_one_neighbour() -> None:
    _, first = opened("/?image=i-1&at=1", Ranked(*ids(3)))
    assert "Next: Name i-2" in labels(first)
    assert not [text for text in first.links if "Previous" in text]
    _, last = opened("/?image=i-3&at=3", Ranked(*ids(3)))
    assert "Previous: Name i-2" in labels(last)
    assert not [text for text in last.links if "Next" in text]


@pytest.mark.parametrize("moved", [-AROUND, -1, 1, AROUND])
def test_a_result_that_moved_since_the_link_was_made_keeps_its_neighbours(moved: int) -> None:
    _, page = opened(f"/?q=river&image=i-40&at={40 + moved}", Ranked(*ids(70)))
    assert "40 of 70" in page.text
    assert {"Previous: Name i-39", "Next: Name i-41"} <= labels(page)


def test_an_image_that_the_search_no_longer_finds_there_is_shown_without_neighbours() -> None:
    for at in (40 + AROUND + 2, 9_900):
        answer, page = opened(f"/?q=river&image=i-40&at={at}", Ranked(*ids(70)))
        assert answer.status == 200
        assert not [text for text in page.links if "Previous" in text or "Next" in text]
        assert page.links["← Back to the results"] == "?q=river"


def test_a_record_is_shown_while_the_index_does_not_answer() -> None:
    table = Table(item_from(change("i-1", 1)))
    for fault in (opensearch.ConnectionError("N/A", "x", OSError()), NOTHING | {"timed_out": True}):
        answer = ask("/?image=i-1&at=3", index=Index(fault), table=table)
        assert answer.status == 200
        assert "<article" in answer.body


def test_a_record_with_a_wrong_search_is_shown_without_neighbours() -> None:
    table = Table(item_from(change("i-1", 1)))
    answer = ask("/?image=i-1&at=3&size=0", table=table)
    assert answer.status == 200
    assert 'rel="next"' not in answer.body


def test_a_name_that_shows_nothing_has_a_label_as_a_neighbour() -> None:
    around = found(hit("i-1", " "), hit("i-2"))
    its = place([("image", "i-2"), ("at", "2")], "i-2", around, 1, 24)
    assert isinstance(its, ResultPlace)
    page = Parsed(record_page([], record(), its))
    assert page.leads("‹ Previous") == [("image", "i-1"), ("at", "1")]
    assert "Previous: (blank: U+0020)" in labels(page)
