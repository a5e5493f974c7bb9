"""Downloads on the real index: what pages find, each image once, in answers that fit."""

import csv
import io
import json
import types
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools import Logger

from functions.search_images.api import Api, Stores
from functions.search_images.export import AT_ONCE
from functions.write_to_es.aliases import live_alias
from lockstep.local.gateway.event import event
from lockstep.web.server import Request
from tests.builders import change, image
from tests.contract.search.museum import Images

LAMBDA_BYTES = 6 * 1024 * 1024


class Answer(msgspec.Struct):
    """An answer of the API, and how many bytes it has between Lambda and API Gateway."""

    status: int
    headers: dict[str, str]
    body: str
    size: int

    @property
    def ids(self) -> list[str]:
        return [json.loads(line)["image_id"] for line in self.body.splitlines()]


def _no_table() -> Any:
    pytest.fail("a download reads no table")


class Caller:
    """Asks the API as API Gateway does."""

    def __init__(self, images: Images) -> None:
        stores = Stores(images.client, live_alias(images.alias), _no_table, "none")
        self._api = Api(lambda: stores, Logger(service="test"))

    def ask(self, target: str) -> Answer:
        path, _, query = target.partition("?")
        asked = event(Request("GET", path, query), "request-1", 0.0)
        context: Any = types.SimpleNamespace()
        answer = self._api.answer(asked, context)
        return Answer(
            answer["statusCode"], answer["headers"], answer["body"], len(json.dumps(answer))
        )

    def parts(self, target: str) -> Iterator[Answer]:
        """The answer, and those that `Link` names."""
        while target:
            answer = self.ask(target)
            assert answer.status == 200, answer.body
            yield answer
            link = answer.headers.get("Link", "")
            target = f"/{link[1 : link.index('>')]}" if link else ""

    def paged(self, query: str) -> list[str]:
        """The ids that the pages of the search have."""
        ids, cursor = [], ""
        while True:
            page = json.loads(self.ask(f"/images?{query}&size=100{cursor}").body)
            ids += [hit["image_id"] for hit in page["hits"]]
            if page["next"] is None:
                return ids
            cursor = f"&cursor={page['next']}"


@pytest.fixture(scope="module")
def caller(images: Images) -> Caller:
    return Caller(images)


@pytest.mark.parametrize(
    "query",
    [
        "q=richmnd+tames",
        "q=richmond+thames",
        "q=castle&tag=river",
        "q=artist:turner+-castle",
        "q=%22river+thames%22",
        "tag=River+Thames&tag=castle",
        "attr.artist=Turner%2C+Joseph+Mallord+William",
        "q=quagga",
        "q=xyzzyqwv",
        "q=%E2%80%8B",
        "",
    ],
)
def test_a_download_has_exactly_the_images_of_all_pages_in_order_of_their_ids(
    caller: Caller, query: str
) -> None:
    (answer, *more) = caller.parts(f"/images.ndjson?{query}")
    ids = [*answer.ids, *(image_id for one in more for image_id in one.ids)]
    assert ids == sorted(caller.paged(query))


def test_parts_follow_one_another_whatever_is_written_meanwhile(own_images: Images) -> None:
    caller, count = Caller(own_images), AT_ONCE + 7
    these = [change(f"i-{n:04d}", 1, image=image(f"Harbour {n}")) for n in range(count)]
    own_images.put(*these)
    seen: list[str] = []
    version = 1
    for part in caller.parts("/images.ndjson?q=harbour&size=50"):
        seen += part.ids
        version += 1
        # Every image changes: by relevance and by arrival, all of them would have other places.
        own_images.put(
            *(
                change(one.image_id, version, image=image(f"Harbour {'at sea ' * version}{n}"))
                for n, one in enumerate(these)
            )
        )
    assert seen == [one.image_id for one in these]


def test_a_part_says_so_in_its_name_and_the_last_one_has_no_link(caller: Caller) -> None:
    whole = caller.ask("/images.csv?q=richmond")
    first, *_, last = caller.parts("/images.csv?q=richmond&size=2")
    assert whole.headers["Content-Disposition"] == 'attachment; filename="images.csv"'
    assert "Link" not in whole.headers
    for part in (first, last):
        assert part.headers["Content-Disposition"] == 'attachment; filename="images-part.csv"'
    assert "Link" not in last.headers


def test_all_parts_of_a_table_have_the_same_columns(caller: Caller) -> None:
    headers = {part.body.partition("\r\n")[0] for part in caller.parts("/images.csv?q=sea&size=9")}
    (header,) = headers
    assert "attributes.artist" in header
    assert header.endswith(",other_attributes")


def test_a_table_and_its_lines_say_the_same(caller: Caller) -> None:
    table = caller.ask("/images.csv?q=richmond")
    lines = caller.ask("/images.ndjson?q=richmond")
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    rows = list(csv.DictReader(io.StringIO(table.body.removeprefix("\ufeff"), newline="")))
    for row, line in zip(rows, map(json.loads, lines.body.splitlines()), strict=True):
        assert row["image_id"] == line["image_id"]
        assert int(row["version"]) == line["version"]
        assert row["attributes.artist"] == line["attributes"]["artist"]
        assert row["tags"] == "; ".join(line["tags"])


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_answer_fits_into_the_response_of_a_function_whatever_images_contain(
    own_images: Images, form: str
) -> None:
    caller = Caller(own_images)
    worst = "\u0001\u07ff" * 10_000  # six bytes each, where JSON is escaped to ASCII
    these = [
        change(f"{form}-{n:02d}", 1, image=image(f"Glacier {form} {n}", description=worst))
        for n in range(40)
    ]
    own_images.put(*these)
    parts = list(caller.parts(f"/images.{form}?q=glacier+{form}"))
    assert len(parts) > 1
    assert max(part.size for part in parts) < LAMBDA_BYTES
    whole = "".join(part.body for part in parts)
    for one in these:
        assert whole.count(one.image_id) == 1


def test_a_deleted_image_and_what_no_consumer_wrote_are_not_in_a_download(
    own_images: Images,
) -> None:
    caller = Caller(own_images)
    own_images.put(
        change("dune-1", 1, image=image("Dune")), change("dune-2", 1, image=image("Dune"))
    )
    own_images.put(change("dune-1", 2, "image.deleted"))
    wrong: list[dict[str, Any]] = [
        {"image_id": "dune-3"},
        {"version": 1},
        {"version": 1, "image_id": "dune-1"},
    ]
    for number, fields in enumerate(wrong, start=3):
        own_images.client.index(
            index=own_images.alias,
            id=f"dune-{number}",
            body={"deleted": False, "name": "Dune", **fields},
            params={"refresh": "true"},
        )
    assert caller.ask("/images.ndjson?q=dune").ids == ["dune-2"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sort=newest", "a download is in order of the image ids: remove it"),
        ("size=1001", "expected a whole number from 1 to 1,000"),
        ("cursor=abc", "not a cursor"),
        ("colour=red", "unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_said(caller: Caller, query: str, says: str) -> None:
    answer = caller.ask(f"/images.csv?{query}")
    assert answer.status == 400
    assert says in json.loads(answer.body)["detail"]


def test_a_cursor_of_a_page_is_none_of_a_download(caller: Caller) -> None:
    page = json.loads(caller.ask("/images?q=richmond&size=1").body)
    assert caller.ask(f"/images.csv?q=richmond&cursor={page['next']}").status == 400
