"""Whatever is typed, from one seed: an answer in time, of nothing that a reader may not see."""

import time
import types
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from functions.search_images.api import Api, Stores
from functions.search_images.fields import BY_NAME
from functions.search_images.search import Hit
from functions.search_images.suggest import Suggestion
from functions.write_to_es.aliases import live_alias
from lockstep.local.gateway.event import event
from lockstep.web.server import Request
from tests.builders import change, image
from tests.contract.search.museum import Images

# Every way to name what was deleted, and what no reader may ask for.
GONE = [f"gone-{number}" for number in range(20)]
WORDS = st.sampled_from(
    [
        *GONE,
        *("goneword", "true", "false", "turner", "richmond", "Zürich", "東京", "हिन्दी", "e\u0301"),
        *(
            "a",
            "the",
            "1856",
            "T02680",
            "image.deleted",
            "x" * 300,
            "1.2.3",
            "🎨",
            "\x00",
            "\ud800",
        ),
        *("deleted", "_id", "_source", "digest", "expires_at", "everything", "_all", "*"),
        *("AND", "OR", "NOT", "TO", "[* TO *]", "/.*/", "tur?er", "*urner", "turner~9", "^9", "\\"),
        '{"match_all":{}}',
    ]
)
# Words of no language: as dear as any can be, since the dictionary has to look far for them.
LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=20, max_size=255)
FIELDS = st.sampled_from([*BY_NAME, "artist", "deleted", "_id", "event_type", "nothing", "a" * 64])
ITEMS = st.one_of(
    WORDS,
    WORDS.map(lambda word: f"-{word}"),
    WORDS.map(lambda word: f"{word}*"),
    st.lists(WORDS, max_size=6).map(lambda words: f'"{" ".join(words)}"'),
    st.tuples(FIELDS, WORDS).map(":".join),
    st.tuples(FIELDS, WORDS).map(lambda both: f'-{both[0]}:"{both[1]}"'),
    st.tuples(FIELDS, WORDS).map(lambda both: f"{both[0]}:{both[1]}*"),
    st.text(max_size=20),
)
TEXTS = st.one_of(
    st.lists(ITEMS, max_size=2).map(" ".join),
    st.lists(ITEMS, max_size=40).map(" ".join),
    st.lists(LETTERS, min_size=20, max_size=40).map(" ".join),
    st.tuples(FIELDS, st.lists(LETTERS, min_size=20, max_size=40)).map(
        lambda both: " ".join(f"{both[0]}:{word}" for word in both[1])
    ),
    st.text(max_size=500),
)
NONE: st.SearchStrategy[dict[str, str]] = st.just({})
FILTERS = NONE | st.fixed_dictionaries(
    {},
    optional={
        "tag": WORDS,
        "uploaded_by": WORDS,
        "attr.artist": WORDS,
        "min_width": st.integers(0, 2**53 - 1).map(str),
        "taken_from": st.sampled_from(["1979", "0001", "9999-12", "2026-01-01T00:00:00+14:00"]),
        "sort": st.sampled_from(["relevance", "newest"]),
        "size": st.integers(1, 100).map(str),
    },
)
SEEN = {"image_id", *Hit.__struct_fields__}


@pytest.fixture(scope="module")
def api(images: Images) -> Api:
    for version, event_type in ((1, "image.uploaded"), (2, "image.deleted")):
        more = {"image": image("goneword", tags=["goneword"])} if version == 1 else {}
        images.put(*(change(one, version, event_type, **more) for one in GONE))
    table: Any = None
    stores = Stores(images.client, live_alias(images.alias), lambda: table, "none")
    return Api(lambda: stores, Logger(service="test"))


def asked(api: Api, path: str, **parameters: str) -> tuple[int, Any]:
    query = urlencode(parameters, errors="replace")
    request = event(Request("GET", path, query), "request-1", 0.0)
    answer = api.answer(request, types.SimpleNamespace())  # type: ignore[arg-type]  # nothing in it is used
    return answer["statusCode"], msgspec.json.decode(answer["body"])


def _ids(found: Sequence[Any]) -> set[str]:
    return {one["image_id"] for one in found}


def test_whatever_is_typed_there_is_an_answer_of_what_a_reader_may_see(
    api: Api, pytestconfig: pytest.Config
) -> None:
    slowest, found = 0.0, 0

    @seed(20261121)
    @settings(
        max_examples=pytestconfig.getoption("--queries"),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(text=TEXTS, filters=FILTERS)
    def answers(text: str, filters: dict[str, str]) -> None:
        nonlocal slowest, found
        began = time.monotonic()
        # A 503 would say that it took too long, or that the index could not bear it.
        status, body = asked(api, "/images", **(filters | {"q": text}))
        slowest = max(slowest, time.monotonic() - began)
        assert status == 200, (status, body)
        found += bool(body["hits"])
        assert all(hit.keys() <= SEEN for hit in body["hits"])
        assert _ids(body["hits"]).isdisjoint(GONE)
        assert "goneword" not in [count["value"] for count in body["facets"]["tags"]]
        assert body["did_you_mean"] is None or body["total"] > 0
        status, body = asked(api, "/images/suggest", q=text[-200:])
        assert status == 200, (status, body)
        assert all(one.keys() == set(Suggestion.__struct_fields__) for one in body["suggestions"])
        assert _ids(body["suggestions"]).isdisjoint(GONE)

    answers()
    assert found > 0
    print(f"the slowest answer took {slowest:.3f} s; {found} found something")  # noqa: T201
