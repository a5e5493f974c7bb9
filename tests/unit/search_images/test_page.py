"""The page as text: what leads where, and that nothing of an image is ever markup."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import pytest

from functions.search_images.facets import Facets, FacetValue
from functions.search_images.links import Pairs
from functions.search_images.page.problem import problem_page
from functions.search_images.page.record import record_page
from functions.search_images.page.rendering import PLAIN
from functions.search_images.page.results import highlighted, results_page
from functions.search_images.parameters import MOST_VALUES
from functions.search_images.record import ImageRecord
from functions.search_images.search import Hit, SearchResult
from shared.event import Image

NO_FACETS = Facets([], [], [], [])
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}</title></style>'


class Parsed(HTMLParser):
    """A page's elements with their attributes, and the text of each link."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._href: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "a":
            self._href = dict(attrs)["href"]
            self._begun = len(self.text)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href is not None:
            self.links[" ".join(self.text[self._begun :].split())] = self._href
            self._href = None

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def leads(self, text: str) -> Pairs:
        """Where the link of this text leads."""
        href = self.links[text]
        assert href.startswith("?"), "wherever the page is served"
        return parse_qsl(href[1:], strict_parsing=True)


def hit(image_id: str = "T02680", name: str = "Richmond Hill", **fields: Any) -> Hit:
    usual: dict[str, Any] = {"name_html": name, "highlights": {}, "tags": [], "attributes": {}}
    return Hit(image_id=image_id, version=1, name=name, **usual | fields)


def found(*hits: Hit, **fields: Any) -> SearchResult:
    usual: dict[str, Any] = {"facets": NO_FACETS, "next": None, "did_you_mean": None}
    usual["total"] = len(hits)
    return SearchResult(hits=list(hits), **usual | fields)


def record(**fields: Any) -> ImageRecord:
    image = Image(**{"name": "Richmond Hill"} | fields)
    times = ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00.500Z")
    return ImageRecord("T02680", 7, "image.uploaded", *times, "9f2c", image)


def shown(pairs: Pairs = (), *hits: Hit, **fields: Any) -> Parsed:
    return Parsed(results_page(pairs, found(*hits, **fields)))


class TestWays:
    def test_a_tag_narrows_the_search_and_keeps_the_rest(self) -> None:
        facets = Facets([FacetValue("Dismoor, Jessie & co", 1_234)], [], [], [])
        page = shown([("q", "vort"), ("sort", "newest"), ("cursor", "abc")], hit(), facets=facets)
        assert page.leads("Dismoor, Jessie & co 1,234") == [
            ("q", "vort"),
            ("sort", "newest"),
            ("tag", "Dismoor, Jessie & co"),
        ]

    def test_a_tag_in_use_is_marked_and_leads_back_out(self) -> None:
        facets = Facets([FacetValue("river", 3)], [], [], [])
        page = shown([("q", "thames"), ("tag", "river")], hit(), facets=facets)
        assert page.leads("river 3") == [("q", "thames")]
        assert {"href": "?q=thames", "aria-current": "true"} in page.named("a")

    def test_a_tag_in_use_is_the_one_of_the_facet_however_its_accents_are_encoded(self) -> None:
        facets = Facets([FacetValue("Café", 3)], [], [], [])
        page = shown([("q", "x"), ("tag", "Cafe\u0301")], hit(), facets=facets)
        assert page.leads("Café 3") == [("q", "x")]

    def test_a_year_is_taken_from_its_first_day_to_its_last(self) -> None:
        facets = Facets([], [], [], [FacetValue("1979", 1), FacetValue("1980", 2)])
        one_year = [("taken_from", "1979"), ("taken_to", "1979")]
        assert shown([], hit(), facets=facets).leads("1979 1") == one_year
        page = shown(one_year, hit(), facets=facets)
        assert page.leads("1980 2") == [("taken_from", "1980"), ("taken_to", "1980")]
        assert page.links["1979 1"] == page.links["Remove the filter Year: 1979 ×"] == "?"

    def test_where_a_field_has_all_the_values_it_may_have_they_can_only_be_removed(self) -> None:
        chosen = [("tag", f"t{at}") for at in range(MOST_VALUES)]
        tags = [FacetValue(value, 2) for _, value in chosen] + [FacetValue("another", 1)]
        facets = Facets(tags, [FacetValue("image/png", 1)], [], [FacetValue("1979", 1)])
        one_less = shown(chosen[1:], hit(), facets=facets)
        assert one_less.leads("another 1") == [*chosen[1:], ("tag", "another")]
        page = shown(chosen, hit(), facets=facets)
        assert "another 1" not in page.links
        assert page.leads("t0 2") == chosen[1:]
        assert page.leads("image/png 1") == [*chosen, ("content_type", "image/png")]
        assert "1979 1" in page.links

    def test_each_filter_in_use_can_be_removed_alone(self) -> None:
        pairs = [("q", "x"), ("tag", "a"), ("tag", "b"), ("attr.more_subjects", "c")]
        page = shown(pairs, hit())
        assert page.leads("Remove the filter Tag: a ×") == [pairs[0], pairs[2], pairs[3]]
        assert page.leads("Remove the filter more subjects: c ×") == pairs[:3]

    def test_a_new_search_keeps_the_filters_and_begins_at_the_first_page(self) -> None:
        page = shown([("q", "x"), ("tag", "a"), ("cursor", "c"), ("sort", "newest")], hit())
        fields = {one["name"]: one["value"] for one in page.named("input")}
        assert fields == {"q": "x", "tag": "a", "sort": "newest"}

    def test_better_spelling_replaces_the_words_only(self) -> None:
        page = shown([("q", "richmnd"), ("tag", "a")], hit(), did_you_mean="richmond")
        assert sorted(page.leads("richmond")) == [("q", "richmond"), ("tag", "a")]

    def test_a_value_that_no_address_has_room_for_is_no_choice(self) -> None:
        facets = Facets([FacetValue("t" * 201, 3), FacetValue("river", 1)], [], [], [])
        assert shown([], hit(), facets=facets).leads("river 1") == [("tag", "river")]
        assert "t" * 201 not in shown([], hit(), facets=facets).text

    def test_what_shows_nothing_has_a_label_to_click_on(self) -> None:
        facets = Facets([FacetValue(" ", 2), FacetValue("\u200b", 1)], [], [], [])
        page = shown([], hit("i-1", " "), hit("i-2", "\u0301" * 4), facets=facets)
        assert page.leads("(blank: U+0020) 2") == [("tag", " ")]
        assert page.leads("(blank: U+200B) 1") == [("tag", "\u200b")]
        assert page.leads("(blank: U+0020)") == [("at", "1"), ("image", "i-1")]
        assert page.leads("(blank: U+0301 U+0301 U+0301 …)") == [("at", "2"), ("image", "i-2")]
        chip = shown([("tag", " ")], hit()).links
        assert chip["Remove the filter Tag: (blank: U+0020) ×"] == "?"
        kept = record_page(
            [("image", "i-1")], record(name=" ", tags=["\u3000"], attributes={"a": ""})
        )
        assert '<h1 dir="auto">(blank: U+0020)</h1>' in kept
        assert Parsed(kept).leads("(blank: U+3000)") == [("tag", "\u3000")]
        assert "<dt>a</dt><dd><bdi>(blank)</bdi></dd>" in kept

    def test_a_record_leads_back_to_where_it_was_found(self) -> None:
        place = [("q", "x"), ("cursor", "c")]
        to_record = shown(place, hit("i:1", "Sunrise")).leads("Sunrise")
        assert to_record == [*place, ("image", "i:1")]
        page = Parsed(record_page(to_record, record()))
        assert page.leads("← Back to the results") == place
        alone = Parsed(record_page([("image", "i:1")], record()))
        assert "← Back to the results" not in alone.links

    def test_what_an_image_is_leads_to_others_like_it(self) -> None:
        own = {"artist": "William Daniell", "story": "s" * 201}
        page = Parsed(record_page([], record(tags=("a & b",), attributes=own, uploaded_by="u-1")))
        assert page.leads("a & b") == [("tag", "a & b")]
        assert page.leads("William Daniell") == [("attr.artist", "William Daniell")]
        assert page.leads("u-1") == [("uploaded_by", "u-1")]
        assert "s" * 201 in page.text
        assert "s" * 201 not in page.links, "no other image has that"

    def test_nothing_found_offers_the_search_without_filters(self) -> None:
        page = shown([("q", "zzz"), ("tag", "a"), ("sort", "newest")])
        assert "Nothing found for “zzz”" in page.text
        assert page.leads("without the filters") == [("q", "zzz"), ("sort", "newest")]


class TestWords:
    @pytest.mark.parametrize(
        ("total", "pairs", "said"),
        [
            (1, [("q", "x")], "1 image for “x”"),
            (69_202, [], "69,202 images"),
        ],
    )
    def test_how_many_were_found_is_said(self, total: int, pairs: Pairs, said: str) -> None:
        page = shown(pairs, hit(), total=total)
        assert said in page.text
        assert {"role": "status"} in page.named("div")

    def test_where_words_were_found_stands_under_the_name(self) -> None:
        highlights = {"tags": ["River <em>Thames</em>", "<em>a</em>"], "attributes.place": ["&lt;"]}
        html = results_page([], found(hit(highlights=highlights)))
        tags = "<bdi>River <mark>Thames</mark></bdi> · <bdi><mark>a</mark></bdi>"
        assert f"<dt>Tags</dt><dd>{tags}</dd>" in html
        assert "<dt>place</dt><dd><bdi>&lt;</bdi></dd>" in html

    def test_what_else_there_is_fills_up_and_repeats_nothing(self) -> None:
        own = {"artist": "Daniell", "date": "1979", "medium": "Oil"}
        one = hit(highlights={"attributes.artist": ["<em>Daniell</em>"]}, attributes=own)
        html = results_page([], found(one)).partition('<ol class="results"')[2]
        assert re.findall("<dt>(.*?)</dt>", html) == ["artist", "date"]

    def test_a_long_text_is_begun_among_others_and_whole_in_the_record(self) -> None:
        story = "s" * 32_000
        assert f"{'s' * 300}…" in shown([], hit(description=story)).text
        assert story not in shown([], hit(description=story)).text
        assert story in Parsed(record_page([], record(description=story))).text

    @pytest.mark.parametrize(
        ("taken_at", "foot"),
        [
            ("1979-05-31T12:00:00Z", "T02680 · 1979"),
            ("1979-12-31T23:30:00-05:00", "T02680 · 1980"),
            ("1980-01-01T00:30:00+01:00", "T02680 · 1979"),
            ("0850-01-02T00:00:00Z", "T02680 · 0850"),
            ("0001-01-01T00:00:00+18:00", "T02680 · 0000"),
            ("9999-12-31T23:59:59-12:00", "T02680 · 10000"),
            ("no time", "T02680"),
        ],
    )
    def test_the_year_under_an_image_is_the_one_that_the_filter_has_it_in(
        self, taken_at: str, foot: str
    ) -> None:
        html = results_page([], found(hit(taken_at=taken_at)))
        assert f'<p class="foot">{foot}</p>' in html

    def test_sizes_are_told_in_steps_of_a_thousand(self) -> None:
        for count, said in ((0, "0 bytes"), (999, "999 bytes"), (348_112, "348.1 kB")):
            assert said in Parsed(record_page([], record(size_bytes=count))).text

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (HTTPStatus.BAD_REQUEST, "size: at most 100"),
            (HTTPStatus.NOT_FOUND, "This image does not exist"),
            (HTTPStatus.SERVICE_UNAVAILABLE, "Try again"),
            (HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed"),
        ],
    )
    def test_a_problem_is_told_with_what_to_do(self, status: HTTPStatus, said: str) -> None:
        page = Parsed(problem_page([("q", "x")], status, "size: at most 100"))
        assert said in page.text
        assert [one["value"] for one in page.named("input")] == ["x"], "ready to try again"


class TestSafety:
    def test_whatever_stands_in_an_image_is_text(self) -> None:
        hostile = hit(
            "T1",
            HOSTILE,
            name_html=HOSTILE,
            highlights={"description": [HOSTILE], f"attributes.{HOSTILE}": [HOSTILE]},
            attributes={HOSTILE: HOSTILE},
            taken_at=HOSTILE,
            url="https://x/" + HOSTILE,
        )
        counts, one = [FacetValue(HOSTILE, 1)], [FacetValue("x", 1)]
        pairs = [(name, HOSTILE) for name in ("q", "tag", "cursor", HOSTILE)]
        years = [FacetValue("1979", 1)]
        facets = Facets(counts, counts, counts, years, {"artist": counts}, ["tag"])
        harmless = shown(
            [(name, "x") for name in ("q", "tag", "cursor", "attr.y")],
            hit(
                "T1",
                highlights={"description": ["x"], "attributes.x": ["x"]},
                attributes={"x": "x"},
                url="https://x/",
            ),
            next="x",
            did_you_mean="x",
            facets=Facets(one, one, one, years, {"artist": one}, ["tag"]),
        )
        page = shown(pairs, hostile, next=HOSTILE, did_you_mean=HOSTILE, facets=facets)
        assert _shape(page) == _shape(harmless)
        assert "49</title>" not in page.text, "no template either"

    def test_whatever_stands_in_a_record_is_text(self) -> None:
        def whole(text: str) -> Parsed:
            fields = ("name", "description", "url", "content_type", "checksum", "uploaded_by")
            every = dict.fromkeys(fields, text) | {"tags": (text,), "attributes": {"own": text}}
            return Parsed(record_page([("q", text)], record(**every)))

        assert _shape(whole(HOSTILE)) == _shape(whole("x"))

    def test_whatever_stands_in_a_problem_is_text(self) -> None:
        def told(text: str) -> Parsed:
            return Parsed(problem_page([("q", text)], HTTPStatus.BAD_REQUEST, text))

        assert _shape(told(HOSTILE)) == _shape(told("x"))

    @pytest.mark.parametrize(
        ("safe", "shown_as"),
        [
            ("The <em>Thames</em> &amp; all", "The <mark>Thames</mark> &amp; all"),
            ("&lt;em&gt;x&lt;/em&gt;", "&lt;em&gt;x&lt;/em&gt;"),
            (
                "<b>x</b><em onclick=x>y</em>",
                "&lt;b&gt;x&lt;/b&gt;&lt;em onclick=x&gt;y&lt;/em&gt;",
            ),
            ("<em><img></em>", "<mark>&lt;img&gt;</mark>"),
            ("&amp;lt;", "&amp;lt;"),
        ],
    )
    def test_of_a_highlight_only_the_mark_is_markup(self, safe: str, shown_as: str) -> None:
        assert str(highlighted(safe)) == shown_as

    def test_the_policy_allows_the_files_own_style_and_script_and_no_more(self) -> None:
        html = results_page([], found(hit()))
        for tag in ("style", "script"):
            (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in PLAIN.headers["Content-Security-Policy"]
        assert "unsafe" not in PLAIN.headers["Content-Security-Policy"]
        assert "*" not in PLAIN.headers["Content-Security-Policy"]
        for closed in ("default-src", "base-uri", "frame-ancestors", "trusted-types"):
            assert f"{closed} 'none'" in PLAIN.headers["Content-Security-Policy"]
        assert "form-action 'self'" in PLAIN.headers["Content-Security-Policy"]

    def test_nothing_is_kept_guessed_or_told_to_others(self) -> None:
        assert PLAIN.headers["Content-Type"] == "text/html; charset=utf-8"
        assert PLAIN.headers["Cache-Control"] == "no-store"
        assert PLAIN.headers["X-Content-Type-Options"] == "nosniff"
        assert PLAIN.headers["Referrer-Policy"] == "no-referrer"

    def test_the_page_asks_nobody_else_for_anything(self) -> None:
        page = shown([], hit())
        assert [one.get("src") for one in page.named("script")] == [None]
        (icon,) = page.named("link")
        assert str(icon["href"]).startswith("data:")


def _shape(page: Parsed) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in page.elements]
