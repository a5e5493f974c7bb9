"""Whatever a facet, a suggestion or a cursor hands out is taken back: on the real engine."""

import datetime as dt
import types
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from opensearchpy import OpenSearch

from functions.search_images.api import Api, Stores
from functions.search_images.facets import FACET_VALUES, LONGEST_FACET_BYTES
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from lockstep.local.gateway.event import event
from lockstep.web.server import Request
from shared.event import MAX_VALUE_BYTES, Image
from tests.builders import change
from tests.contract.search.museum import Images
from tests.images import images

# "Total combined size of request line and header values: 10240 bytes", for the HTTP APIs of API
# Gateway (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html). This
# leaves over 6 KB for the other parameters and the headers.
LONGEST_QUERY = 4_000

STRANGE = st.sampled_from(
    [
        *(
            "",
            " ",
            "\u3000",
            "\u200b",
            "\u0301",
            "\x00",
            "\n",
            "a\rb",
            "\ufeff",
            "\u202eabc",
            "+",
            "%",
        ),
        *("a+b", "a&b=c", "a%20b", "\u00a0x", " x", "x ", "x" * 200, "é" * 200, "😀" * 300),
        *("e\u0301", "é", "e", "E\u0301", "É", "ﬁ", "Straße", "경복궁", "\u1100\u1161", "가"),
        *("x" * MAX_VALUE_BYTES, "墨" * (MAX_VALUE_BYTES // 3), "\ufdd0a\ufdd1"),
        *('"', '"a', "-a", "tag:a", "a*", "null", "NaN", "*", "\\", "[", "{"),
    ]
)
TEXTS = STRANGE | st.text(max_size=20)
WORDS = ["Heron", "dawn", "-x", '"a', 'b"', '"c d"', "tag:y", "y:z", "z*", "\n", "x" * 3000]
NAMES = (TEXTS | st.lists(st.sampled_from(WORDS)).map(" ".join)).filter(
    lambda name: 0 < len(name.encode()) <= MAX_VALUE_BYTES
)
# The most characters of a filter.
LONGEST_VALUE = 1_000
MOST_EXAMPLES = 300


class Fresh:
    """An index with a few images, behind the API."""

    def __init__(self, client: OpenSearch) -> None:
        self.images = Images(client, f"images-{uuid.uuid4()}")
        ensure_index(client, self.images.alias)
        table: Any = None
        stores = Stores(client, live_alias(self.images.alias), lambda: table, "none")
        self._api = Api(lambda: stores, Logger(service="test"))
        self._put: list[str] = []
        self._version = 0

    def fill(self, several: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
        """Replace all images by these."""
        self._version += 1
        self.images.put(
            *(
                change(one, self._version, "image.deleted")
                for one in self._put
                if one not in several
            ),
            *(
                change(one, self._version, image=msgspec.convert(fields, Image))
                for one, fields in several.items()
            ),
        )
        self._put = [*several]
        return self._put

    def get(self, path: str, *parameters: tuple[str, str]) -> Any:
        query = urlencode(parameters)
        request = event(Request("GET", path, query), "request-1", 0.0)
        answer = self._api.answer(request, types.SimpleNamespace())  # type: ignore[arg-type]  # nothing in it is used
        assert answer["statusCode"] == 200, (query, answer["body"])
        return msgspec.json.decode(answer["body"])

    def all_ids(self, *parameters: tuple[str, str]) -> list[str]:
        """The hits of all pages, one hit on a page."""
        found: list[str] = []
        cursor: list[tuple[str, str]] = []
        while True:
            answer = self.get("/images", *parameters, ("size", "1"), *cursor)
            found += [hit["image_id"] for hit in answer["hits"]]
            if answer["next"] is None:
                return found
            assert len(answer["next"]) <= 500
            cursor = [("cursor", answer["next"])]


@pytest.fixture(scope="module")
def fresh(images: Images) -> Iterator[Fresh]:
    made = Fresh(images.client)
    yield made
    images.client.indices.delete(index=f"{made.images.alias}-000001")


def _year(taken_at: str) -> str:
    """The year in UTC, which Python itself may not have."""
    time = dt.datetime.fromisoformat(taken_at)
    try:
        return f"{time.astimezone(dt.UTC).year:04}"
    except OverflowError:
        return "10000" if time.year == dt.MAXYEAR else "0000"


@pytest.mark.parametrize(
    ("taken_at", "year"),
    [
        ("9999-12-31T23:59:59-12:00", "10000"),
        ("9999-12-31T23:59:59.999999-18:00", "10000"),
        ("9999-12-31T23:59:59Z", "9999"),
        ("0001-01-01T00:00:00+14:00", "0000"),
        ("0001-01-01T00:00:00+18:00", "0000"),
        ("0001-01-01T00:00:00Z", "0001"),
    ],
)
def test_a_year_at_the_end_of_time_is_a_year_that_a_search_takes(
    fresh: Fresh, taken_at: str, year: str
) -> None:
    first, other = {"name": "a", "taken_at": taken_at}, "0001-06-01T00:00:00Z"
    fresh.fill({"a": first, "b": {"name": "b"}, "c": {"name": "c", "taken_at": other}})
    years = {one["value"]: one["count"] for one in fresh.get("/images")["facets"]["year"]}
    assert years == Counter([year, "0001"])
    both = ["a", "c"] if year == "0001" else ["a"]
    assert fresh.all_ids(("taken_from", year), ("taken_to", year)) == both
    assert fresh.all_ids(("taken_from", taken_at), ("taken_to", taken_at)) == ["a"]


def test_a_blank_tag_is_a_tag_and_an_empty_one_is_none(fresh: Fresh) -> None:
    fresh.fill({"a": {"name": "a", "tags": ["", " "]}, "b": {"name": "b", "tags": [""]}})
    assert fresh.get("/images")["facets"]["tags"] == [{"value": " ", "count": 1}]
    assert fresh.all_ids(("tag", " ")) == ["a"]


@pytest.mark.parametrize(
    ("name", "name_html"),
    [
        ("dawn\0Heron\0dusk\0heron", "dawn\0<em>Heron</em>\0dusk\0<em>heron</em>"),
        ("Heron\u2029", "<em>Heron</em>\u2029"),
    ],
)
def test_a_name_that_the_engine_splits_is_shown_whole(
    fresh: Fresh, name: str, name_html: str
) -> None:
    fresh.fill({"a": {"name": name}})
    (hit,) = fresh.get("/images", ("q", "heron"))["hits"]
    (suggestion,) = fresh.get("/images/suggest", ("q", "heron"))["suggestions"]
    assert hit["name_html"] == suggestion["name_html"] == name_html


def test_long_values_do_not_hide_the_others(fresh: Fresh) -> None:
    long = [f"{at}{'x' * LONGEST_FACET_BYTES}" for at in range(FACET_VALUES)]
    fresh.fill({"a": {"name": "a", "tags": [*long, "last"]}, "b": {"name": "b", "tags": long}})
    assert fresh.get("/images")["facets"]["tags"] == [{"value": "last", "count": 1}]


class Handed:
    """Checks that everything is taken back, and counts it."""

    def __init__(self, fresh: Fresh) -> None:
        self._fresh = fresh
        self.facets = self.suggestions = self.pages = 0

    def facet(self, name: str, *parameters: str) -> None:
        facet = self._fresh.get("/images")["facets"][name]
        assert len({one["value"] for one in facet}) == len(facet)
        for one in facet:
            self.facets += 1
            given_back = [(parameter, one["value"]) for parameter in parameters]
            assert len(urlencode(given_back)) <= LONGEST_QUERY
            answer = self._fresh.get("/images", *given_back)
            assert answer["total"] == one["count"], (name, one)
            assert one in answer["facets"][name]

    def years(self, several: Sequence[Mapping[str, Any]]) -> None:
        years = Counter(_year(one["taken_at"]) for one in several if "taken_at" in one)
        facet = self._fresh.get("/images")["facets"]["year"]
        assert {one["value"]: one["count"] for one in facet} == years

    def hits(self) -> None:
        for hit in self._fresh.get("/images")["hits"]:
            values = [(f"attr.{name}", value) for name, value in hit["attributes"].items()]
            values += [("tag", value) for value in hit["tags"]]
            values += [(name, hit.get(name, "")) for name in ("uploaded_by", "content_type")]
            for name, value in values:
                if 0 < len(value) <= LONGEST_VALUE:
                    assert hit["image_id"] in self._fresh.all_ids((name, value))
            if taken_at := hit.get("taken_at"):
                found = self._fresh.all_ids(("taken_from", taken_at), ("taken_to", taken_at))
                assert hit["image_id"] in found

    def cursors(self, ids: Sequence[str]) -> None:
        for sort in ("newest", "relevance"):
            assert sorted(self._fresh.all_ids(("sort", sort))) == sorted(ids)
            self.pages += len(ids)

    def suggested(self, name: str) -> None:
        for typed in {name[:100], *(word[:10] for word in name.split()[:2])}:
            for one in self._fresh.get("/images/suggest", ("q", typed))["suggestions"]:
                self.suggestions += 1
                assert len(urlencode({"q": one["text"]})) <= LONGEST_QUERY
                assert one["text"] == " ".join(one["text"].split()), "a search box changes it"
                assert one["image_id"] in self._fresh.all_ids(("q", one["text"])), one


def test_whatever_is_handed_out_is_taken_back(fresh: Fresh, pytestconfig: pytest.Config) -> None:
    handed = Handed(fresh)

    @seed(20261129)
    @settings(
        max_examples=min(MOST_EXAMPLES, pytestconfig.getoption("--queries") // 5),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        several=st.lists(images(TEXTS), min_size=1, max_size=4),
        names=st.lists(NAMES, min_size=4, max_size=4),
        end=st.sampled_from(["-id", "x" * 255, ".a" * 127]),
    )
    def holds(several: list[dict[str, Any]], names: list[str], end: str) -> None:
        several = [one | {"name": name} for one, name in zip(several, names, strict=False)]
        ids = fresh.fill({f"{at}{end}": one for at, one in enumerate(several)})
        handed.facet("tags", "tag")
        handed.facet("content_type", "content_type")
        handed.facet("uploaded_by", "uploaded_by")
        handed.facet("year", "taken_from", "taken_to")
        handed.years(several)
        handed.hits()
        handed.cursors(ids)
        for one in several:
            handed.suggested(one["name"])

    holds()
    assert min(handed.facets, handed.suggestions, handed.pages) >= 20, vars(handed)
