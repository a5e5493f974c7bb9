"""At its address the page answers whatever is asked and whatever the stores do, for people."""

from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy import exceptions as opensearch

from functions.search_images.filters import NOT_DELETED
from functions.search_images.page.rendering import PLAIN
from shared.item import item_from
from tests.builders import change, image
from tests.unit.search_images.test_api import NOTHING, Answer, Index, Table, ask


def said(answer: Answer, status: int) -> str:
    """The page, with the headers that every page has."""
    assert answer.status == status
    assert (
        PLAIN.headers.items()
        <= {name.title(): value for name, value in answer.headers.items()}.items()
    )
    body: str = answer.body
    assert body.startswith("<!doctype html>")
    return body


def test_what_was_asked_is_searched_for_and_shown() -> None:
    index = Index(NOTHING)
    assert "Nothing found" in said(ask("/?tag=a&tag=b&q=", index=index), 200)
    assert [one["index"] for one in index.asked] == ["images-live"]
    assert index.asked[0]["body"]["query"]["bool"]["filter"] == [
        NOT_DELETED,
        {"term": {"tags.keyword": "a"}},
        {"term": {"tags.keyword": "b"}},
    ]


def test_an_image_is_the_tables_and_the_index_is_not_asked() -> None:
    table = Table(item_from(change("T1", 7, image=image("Café <b>", tags=["a"]))))
    index = Index(NOTHING)
    page = said(ask("/?q=caf&image=T1", table=table, index=index), 200)
    assert '<h1 dir="auto">Café &lt;b&gt;</h1>' in page
    assert index.asked == []


@pytest.mark.parametrize("item", [None, item_from(change("T1", 8, "image.deleted"))])
def test_an_image_that_is_gone_or_never_was_is_a_404(item: Any) -> None:
    assert "This image does not exist" in said(ask("/?image=T1", table=Table(item)), 404)


def test_what_can_be_no_image_id_is_not_looked_up() -> None:
    said(ask("/?image=%3Cscript%3E", table=Table(RuntimeError("asked"))), 404)


@pytest.mark.parametrize(
    ("query", "wrong"), [("size=0", "size: "), ("cursor=x", "cursor: "), ("attr.0=x", "attr.0: ")]
)
def test_a_mistake_is_named(query: str, wrong: str) -> None:
    assert wrong in said(ask(f"/?q=richmond&{query}"), 400)


def test_each_mistake_is_a_line_of_its_own_and_the_next_search_is_without_them() -> None:
    page = said(ask("/?q=richmond&tag=a&sort=oldest&min_width=x"), 400)
    assert "<p>sort: expected relevance or newest, got oldest</p>" in page
    assert "<p>min_width: expected a whole number of pixels, 0 to 2^53 - 1, got x</p>" in page
    assert 'name="tag" value="a"' in page
    assert 'name="sort"' not in page
    assert 'name="min_width"' not in page
    too_many = "&".join(f"attr.a{at}=x" for at in range(9))
    assert 'name="attr.' not in said(ask(f"/?q=richmond&{too_many}"), 400)


@pytest.mark.parametrize("image", ["", "&image=T1"])
def test_what_others_add_to_a_shared_link_is_passed_over_and_not_passed_on(image: str) -> None:
    shared = f"/?fbclid=abc&q=a+%26+b&utm_source=mail{image}"
    index, table = Index(NOTHING), Table(item_from(change("T1")))
    page = said(ask(shared, index=index, table=table), 200)
    assert page == said(ask(f"/?q=a+%26+b{image}", table=table), 200)
    assert "utm_source" not in page
    assert "fbclid" not in said(ask("/?fbclid=abc&size=0"), 400)


def test_a_store_that_does_not_answer_is_a_503_that_says_when_to_come_back() -> None:
    for answer in (
        ask("/?q=a", index=Index(opensearch.ConnectionError("N/A", "secret", OSError()))),
        ask("/?q=a", index=Index(NOTHING | {"timed_out": True})),
    ):
        page = said(answer, 503)
        assert "Try again" in page
        assert "secret" not in page
        assert int(answer.headers["retry-after"]) > 0


def test_a_mistake_of_ours_tells_nothing() -> None:
    assert "secret" not in said(ask("/", index=Index(KeyError("secret"))), 500)


def test_another_method_is_refused_with_those_that_there_are() -> None:
    answer = ask("/", method="POST")
    assert HTTPStatus.METHOD_NOT_ALLOWED.phrase in said(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


def test_head_is_get_without_a_body() -> None:
    answer = ask("/", method="HEAD")
    assert (answer.status, answer.body) == (200, None)
    assert answer.headers == ask("/").headers


@given(st.text())
def test_any_query_string_has_a_page(query: str) -> None:
    answer = ask(f"/?{query.replace('?', '')}")
    said(answer, answer.status)
    assert answer.status in {200, 400, 404}
