"""Whatever is asked and whatever the stores do, there is an answer, and it says what is wrong."""

import datetime as dt
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools import Logger
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy import exceptions as opensearch

from functions.search_images.api import Api, Stores
from functions.search_images.filters import NOT_DELETED
from functions.search_images.parameters import MOST_REPEATED
from lockstep.local.gateway.event import event
from lockstep.web.server import Request
from shared.item import item_from
from shared.shortened import shortened
from tests.builders import change, image

NOW = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC).timestamp()
NOTHING = {
    "timed_out": False,
    "_shards": {"total": 1},
    "hits": {"total": {"value": 0}, "hits": []},
    "suggest": {"everything": [], "everything.backwards": []},
    "aggregations": {
        name: {"values": {"buckets": [], "sum_other_doc_count": 0}}
        for name in ("tag", "content_type", "uploaded_by", "year")
    },
}


class Index:
    """An index that answers always the same, or fails always the same."""

    def __init__(self, answer: Mapping[str, Any] | Exception) -> None:
        self._answer = answer
        self.asked: list[Any] = []

    def search(self, **asked: Any) -> Mapping[str, Any]:
        self.asked.append(asked)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Table:
    """A table that holds one item, or fails always the same."""

    def __init__(self, item: Mapping[str, Any] | Exception | None = None) -> None:
        self._item = item
        self.asked: list[Any] = []

    def get_item(self, **asked: Any) -> Mapping[str, Any]:
        self.asked.append(asked)
        if isinstance(self._item, Exception):
            raise self._item
        return {} if self._item is None else {"Item": self._item}


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: Any


def ask(
    target: str, *, index: Any = None, table: Any = None, method: str = "GET", log: Any = None
) -> Answer:
    searched: Any = index or Index(NOTHING)
    read: Any = table or Table()
    stores = Stores(searched, "images-live", lambda: read, "images")
    api = Api(lambda: stores, log or Logger(service="test"))
    path, _, query = target.partition("?")
    request = event(Request(method, path, query), "request-1", NOW)
    answer = api.answer(request, types.SimpleNamespace())  # type: ignore[arg-type]  # nothing in it is used
    body = answer["body"]
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    of_json = "json" in headers["content-type"]
    told = (msgspec.json.decode(body) if of_json else body) if body else None
    return Answer(answer["statusCode"], headers, told)


def problem(answer: Answer, status: int) -> Any:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["type"] == "about:blank"
    return answer.body


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("size=0", ["size"]),
        ("size=101", ["size"]),
        ("size=ten", ["size"]),
        ("size=1&size=2", ["size"]),
        ("sort=best", ["sort"]),
        ("min_width=-1&max_height=x", ["min_width", "max_height"]),
        ("taken_from=yesterday&taken_to=1979-13", ["taken_from", "taken_to"]),
        ("colour=red", ["colour"]),
        ("_id=1", ["_id"]),
        ("attr.0=x", ["attr.0"]),
        ("attr.=x", ["attr."]),
        ("&".join(["attr.a=x"] * 9), ["attr.a"]),
        ("&".join(f"attr.a{at}=x" for at in range(17)), ["attr."]),
        ("&".join(["tag=x"] * 17), ["tag"]),
        ("cursor=x", ["cursor"]),
        (f"tag={'x' * 8193}", ["tag"]),
    ],
)
def test_each_mistake_is_named(query: str, wrong: list[str]) -> None:
    found = problem(ask(f"/images?{query}"), 400)
    assert [error["parameter"] for error in found["errors"]] == wrong
    assert all(error["detail"] for error in found["errors"])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/images?sort=oldest", "sort: expected relevance or newest, got oldest"),
        ("/images?size=0", "size: expected a whole number from 1 to 100, got 0"),
        ("/images/suggest?size=a%0Ab", "size: expected a whole number from 1 to 20, got a b"),
        (
            "/images?min_width=12.5",
            "min_width: expected a whole number of pixels, 0 to 2^53 - 1, got 12.5",
        ),
        ("/images?" + "&".join(["tag=x"] * 9), "tag: given 9 times, at most 8 are allowed"),
        ("/facets/tag?size=201", "size: expected a whole number from 1 to 200, got 201"),
        (f"/images?tag={'x' * 1001}", "tag: expected at most 1,000 characters"),
        (
            f"/images?attr.a={'x' * 1001}",
            (
                "attr.a: expected at most 1,000 characters, got "
                f"{shortened('x' * 1001, MOST_REPEATED)}"
            ),
        ),
        ("/images?sort=newest&sort=newest", "sort: given 2 times, allowed once"),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(target: str, said: str) -> None:
    assert problem(ask(target), 400)["detail"] == said


def test_a_form_that_sends_all_it_has_asks_for_what_is_filled_in() -> None:
    index = Index(NOTHING)
    assert ask("/images?q=&tag=&taken_from=&size=&cursor=&attr.a=&sort=", index=index).status == 200
    (asked,) = index.asked
    assert asked["body"]["query"]["bool"] == {
        "must": [{"match_all": {}}],
        "filter": [NOT_DELETED],
    }
    assert asked["body"]["sort"][0] == {"arrived_at": "desc"}


def test_the_index_is_asked_through_the_alias_that_hides_deleted_images_and_in_time() -> None:
    for target in ("/images", "/images?q=a", "/images/suggest?q=a", "/health"):
        index = Index(NOTHING)
        assert ask(target, index=index).status == 200
        assert [one["index"] for one in index.asked] == ["images-live"]
        assert [one["body"]["timeout"] for one in index.asked] == ["2s"]


@pytest.mark.parametrize(
    "error",
    [
        opensearch.ConnectionError("N/A", "refused", OSError()),
        opensearch.ConnectionTimeout("TIMEOUT", "slow", OSError()),
        opensearch.TransportError(429, "too many"),
        opensearch.TransportError(503, "down"),
        opensearch.AuthorizationException(403, "forbidden"),
        opensearch.NotFoundError(404, "index_not_found_exception"),
        opensearch.SerializationError("<html>"),
    ],
)
@pytest.mark.parametrize("target", ["/images?q=a", "/images/suggest?q=a", "/health"])
def test_an_index_that_does_not_answer_is_a_503_that_says_when_to_come_back(
    target: str, error: Exception
) -> None:
    answer = ask(target, index=Index(error))
    found = problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    assert str(error) not in str(found)


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (NOTHING | {"timed_out": True}, "the search takes too long: simplify it, or retry later"),
        # OpenSearch ends a slow search before that, so no search is to blame.
        (
            opensearch.ConnectionTimeout("TIMEOUT", "", OSError()),
            "the index does not answer in time: retry later",
        ),
    ],
)
def test_a_search_that_takes_too_long_is_not_an_index_that_does_not_answer(
    late: Any, said: str
) -> None:
    answer = ask("/images?q=a", index=Index(late))
    assert problem(answer, 503)["detail"] == said


@pytest.mark.parametrize(
    "error", [opensearch.RequestError(400, "too_many_clauses"), KeyError("secret"), RuntimeError()]
)
def test_a_mistake_of_ours_is_a_500_that_tells_nothing_and_is_logged(error: Exception) -> None:
    class Log(Logger):
        def error(self, msg: object, *_: Any, **more: Any) -> None:
            logged.append((msg, more["exc_info"]))

    logged: list[tuple[object, Exception]] = []
    found = problem(ask("/images", index=Index(error), log=Log(service="test")), 500)
    assert "secret" not in str(found)
    assert logged == [("internal error", error)]


def test_a_record_is_the_tables_whole_image_and_nothing_else_of_the_item() -> None:
    put = change("T1", 7, image=image("Café", width=5, tags=["a"], attributes={"artist": "X"}))
    table = Table(item_from(put) | {"secret": {"S": "theirs"}})
    answer = ask("/images/T1", table=table)
    assert answer.status == 200
    assert answer.body == {
        "image_id": "T1",
        "version": 7,
        "event_type": "image.uploaded",
        "occurred_at": "2026-11-21T08:00:00.123456Z",
        "arrived_at": "2026-11-21T08:00:00.500Z",
        "digest": item_from(put)["digest"]["S"],
        "image": {"name": "Café", "width": 5, "tags": ["a"], "attributes": {"artist": "X"}},
    }
    assert table.asked == [
        {"TableName": "images", "Key": {"image_id": {"S": "T1"}}, "ConsistentRead": True}
    ]


def test_a_deleted_image_is_as_little_there_as_one_that_never_was() -> None:
    gone = Table(item_from(change("T1", 8, "image.deleted")))
    assert problem(ask("/images/T1", table=gone), 404) == problem(ask("/images/T1"), 404)


@pytest.mark.parametrize("image_id", ["-x", "a b", "a%20b", "%2e%2e", "a" * 257, "é", "%00"])
def test_what_can_be_no_image_id_is_not_looked_up(image_id: str) -> None:
    table = Table(RuntimeError("asked"))
    problem(ask(f"/images/{image_id}", table=table), 404)
    assert table.asked == []


def test_an_image_id_may_be_written_with_escapes() -> None:
    table = Table(item_from(change("a:b")))
    assert ask("/images/a%3Ab", table=table).body["image_id"] == "a:b"


def test_a_table_that_does_not_answer_is_a_503() -> None:
    error = EndpointConnectionError(endpoint_url="http://secret")
    answer = ask("/images/T1", table=Table(error))
    assert "secret" not in str(problem(answer, 503))
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    "item",
    [
        {"image_id": {"S": "T1"}},
        item_from(change("T1")) | {"version": {"N": "1.5"}},
        item_from(change("T1")) | {"image": {"S": "x"}},
        item_from(change("T1")) | {"image": {"M": {}}},
        item_from(change("T1")) | {"digest": {"NULL": True}},
    ],
)
def test_an_item_that_is_not_ours_is_a_500(item: Mapping[str, Any]) -> None:
    problem(ask("/images/T1", table=Table(item)), 500)


@pytest.mark.parametrize("target", ["/x", "//", "/images/", "/images/a/b", "/Images"])
def test_where_nothing_is_that_is_said(target: str) -> None:
    problem(ask(target), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_another_method_is_refused_with_those_that_there_are(method: str) -> None:
    for target in ("/images", "/images/T1", "/images/suggest", "/health", "/openapi.json"):
        answer = ask(target, method=method)
        problem(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"
    problem(ask("/x", method=method), 404)


def test_head_is_get_without_a_body() -> None:
    answer = ask("/images", method="HEAD")
    assert (answer.status, answer.body) == (200, None)
    assert answer.headers == ask("/images").headers
    assert ask("/images?size=0", method="HEAD").status == 400


def test_no_answer_is_kept_or_taken_for_a_page() -> None:
    for target in ("/images", "/images/T1", "/nothing", "/images?size=0"):
        headers = ask(target).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")


@given(st.text())
def test_any_query_string_has_an_answer(query: str) -> None:
    assert ask(f"/images?{query.replace('?', '')}").status in {200, 400}


def test_the_document_in_docs_is_the_codes() -> None:
    kept = Path(__file__).parents[3] / "docs" / "search-api.openapi.json"
    served = ask("/openapi.json").body
    assert msgspec.json.decode(kept.read_bytes()) == served, "run `make generated`"
