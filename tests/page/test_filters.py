"""The filters beside the results, and the help for the search box, in a real Chromium."""

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.builders import change, image
from tests.page.browser import MISSING, Visit, Visiting, chromium, texts
from tests.page.museum import Museum

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

HEADING = "main h1"
PHONE, TABLET, LAPTOP, SCREEN = (390, 844), (768, 1024), (1280, 900), (1920, 1080)
ARTIST = "Artist"
YEARS = ["1905", "1911", "1911", "1979", "2019"]


@pytest.fixture(scope="module", autouse=True)
def dated(museum: Museum) -> Iterator[None]:
    """Some images that were taken in known years."""
    ids = [f"dated-{at}" for at in range(len(YEARS))]
    museum.put(
        *(
            change(one, 1, image=image("Datedum on the shore", taken_at=f"{year}-06-01T00:00:00Z"))
            for one, year in zip(ids, YEARS, strict=True)
        )
    )
    yield
    museum.put(*(change(one, 2, "image.deleted") for one in ids))


def filters(page: Page, label: str) -> dict[str, str]:
    """The values of a facet with their counts."""
    facet = page.get_by_role("navigation", name="Filters").get_by_role("region", name=label)
    return {
        one.locator(".what").inner_text(): one.locator(".count").inner_text()
        for one in facet.get_by_role("listitem").all()
    }


class TestFacets:
    @pytest.mark.parametrize("script", ["runs", "is off"])
    def test_a_second_artist_is_chosen_beside_the_first(
        self, visiting: Visiting, script: Literal["runs", "is off"]
    ) -> None:
        page = visiting(script=script).open("/?q=castle")
        first, second = list(filters(page, ARTIST).items())[:2]
        before = filters(page, ARTIST)
        for name, _ in (first, second):
            page.get_by_role("region", name=ARTIST).get_by_role("link", name=name).first.click()
        expect(page.locator(HEADING)).to_contain_text(f"{int(first[1]) + int(second[1])} images")
        assert filters(page, ARTIST) == before
        chosen = page.get_by_role("region", name=ARTIST).locator("[aria-current]")
        assert texts(page, ".chips li") != []
        expect(chosen).to_have_count(2)

    @pytest.mark.parametrize("script", ["runs", "is off"])
    def test_more_artists_are_shown_and_one_is_found_by_a_part_of_the_name(
        self, visiting: Visiting, script: Literal["runs", "is off"]
    ) -> None:
        page = visiting(script=script).open("/")
        assert len(filters(page, ARTIST)) == 10
        page.get_by_role("link", name="Show more of Artist").click()
        box = page.get_by_role("searchbox", name="Find in Artist")
        expect(box).to_be_in_viewport()
        found = page.get_by_role("region", name=ARTIST).get_by_role("listitem")
        expect(found).to_have_count(200)
        box.fill("GAUDIER")
        page.keyboard.press("Enter")
        expect(found).to_have_count(1)
        (name,) = filters(page, ARTIST)
        assert name == "Henri Gaudier-Brzeska"
        page.get_by_role("link", name=name).first.click()
        expect(page.locator(".chips")).to_contain_text(f"artist: {name}")
        expect(box).to_have_count(0)

    def test_a_part_that_no_value_has_is_said(self, visit: Visit) -> None:
        page = visit.open("/?facet=attr.artist&find=xyzzy#facet-attr.artist")
        expect(page.get_by_text("No value contains “xyzzy”.")).to_be_visible()

    def test_a_filter_that_leaves_nothing_can_be_changed_for_another(self, visit: Visit) -> None:
        page = visit.open("/?q=datedum&attr.artist=nobody")
        expect(page.locator(HEADING)).to_contain_text("Nothing found")
        page = visit.open("/?q=castle&attr.artist=nobody")
        name = next(iter(filters(page, ARTIST)))
        page.get_by_role("region", name=ARTIST).get_by_role("link", name=name).first.click()
        expect(page.locator(HEADING)).to_contain_text("for “castle”")


class TestYears:
    @pytest.mark.parametrize("script", ["runs", "is off"])
    def test_a_period_is_typed(self, visiting: Visiting, script: Literal["runs", "is off"]) -> None:
        page = visiting(script=script).open("/?q=datedum")
        page.get_by_role("textbox", name="From").fill("1906")
        page.get_by_role("textbox", name="to").fill("1979")
        page.get_by_role("region", name="Year").get_by_role("button", name="Show").click()
        expect(page.locator(HEADING)).to_contain_text("3 images for “datedum”")
        expect(page.get_by_role("textbox", name="From")).to_have_value("1906")

    def test_the_bars_are_in_the_order_of_years_and_each_leads_to_its_images(
        self, visit: Visit
    ) -> None:
        page = visit.open("/?q=datedum")
        shown = filters(page, "Year")
        first, *_, last = shown
        assert (first, last) == ("1900–1909", "2010–2019")
        assert sum(map(int, shown.values())) == len(YEARS)
        page.get_by_role("link", name="1910–1919").click()
        expect(page.locator(HEADING)).to_contain_text("2 images for “datedum”")
        assert filters(page, "Year") == shown
        widths = page.locator(".bars rect").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().width)"
        )
        assert widths[1] == pytest.approx(2 * widths[0])


class TestDrawer:
    def test_on_a_wide_screen_the_filters_are_beside_the_results(self, visiting: Visiting) -> None:
        for size in (LAPTOP, SCREEN):
            page = visiting(size=size).open("/?q=castle")
            expect(page.locator(".to-filters")).to_be_hidden()
            assert _beside(page)

    @pytest.mark.parametrize("script", ["runs", "is off"])
    @pytest.mark.parametrize("size", [PHONE, TABLET])
    def test_on_a_narrow_screen_they_open_and_close(
        self, visiting: Visiting, size: tuple[int, int], script: Literal["runs", "is off"]
    ) -> None:
        page = visiting(size=size, script=script).open("/?q=castle&tag=castle")
        panel = page.get_by_role("navigation", name="Filters")
        expect(panel).to_be_hidden()
        page.get_by_role("link", name="Filters (1)").click()
        expect(panel).to_be_in_viewport()
        if size == TABLET:
            assert _beside(page)
        else:
            expect(page.locator(".results")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.get_by_role("link", name="Close the filters").click()
        expect(panel).to_be_hidden()
        expect(page.locator(".results")).to_be_visible()

    def test_a_value_that_is_chosen_closes_them_and_more_values_keep_them_open(
        self, visiting: Visiting
    ) -> None:
        page = visiting(size=PHONE).open("/?q=castle")
        page.get_by_role("link", name="Filters").click()
        page.get_by_role("link", name="Show more of Artist").click()
        expect(page.get_by_role("link", name="Show fewer of Artist")).to_be_visible()
        page.get_by_role("region", name=ARTIST).get_by_role("listitem").first.click()
        expect(page.locator(".chips")).to_contain_text("artist:")
        expect(page.locator(".results")).to_be_visible()
        expect(page.get_by_role("navigation", name="Filters")).to_be_hidden()

    @pytest.mark.parametrize("script", ["runs", "is off"])
    @pytest.mark.parametrize("size", [PHONE, TABLET])
    def test_an_address_that_opens_a_facet_opens_them(
        self, visiting: Visiting, size: tuple[int, int], script: Literal["runs", "is off"]
    ) -> None:
        page = visiting(size=size, script=script).open("/?q=castle&facet=attr.artist")
        panel = page.get_by_role("navigation", name="Filters")
        expect(page.get_by_role("searchbox", name="Find in Artist")).to_be_visible()
        if size == TABLET:
            assert _beside(page)
        else:
            expect(page.locator(".results")).to_be_hidden()
        page.get_by_role("link", name="Close the filters").click()
        expect(panel).to_be_hidden()
        expect(page.locator(".results")).to_be_visible()
        page.get_by_role("link", name="Filters").click()
        expect(panel).to_be_visible()

    def test_the_name_of_a_facet_that_opens_is_not_behind_the_link_above_it(
        self, visiting: Visiting
    ) -> None:
        page = visiting(size=TABLET).open("/?facet=attr.artist#facet-attr.artist")
        label = page.locator("[id='facet-attr.artist-label']").bounding_box()
        link = page.locator(".close").first.bounding_box()
        assert label
        assert link
        assert label["y"] >= link["y"] + link["height"]

    def test_the_keyboard_opens_them_goes_on_inside_and_closes_them(
        self, visiting: Visiting
    ) -> None:
        page = visiting(size=PHONE).open("/?q=castle")
        page.locator(".to-filters").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("navigation", name="Filters")).to_be_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#filters') !== null")
        page.keyboard.press("Escape")
        expect(page.get_by_role("navigation", name="Filters")).to_be_hidden()
        expect(page.locator(".to-filters")).to_be_focused()


class TestHelp:
    @pytest.mark.parametrize("script", ["runs", "is off"])
    def test_the_keyboard_opens_it_and_escape_closes_it(
        self, visiting: Visiting, script: Literal["runs", "is off"]
    ) -> None:
        page = visiting(script=script).open("/")
        button = page.get_by_role("button", name="Help: how to search")
        button.focus()
        page.keyboard.press("Enter")
        explained = page.get_by_role("dialog", name="How to search")
        expect(explained).to_contain_text("artist:turner")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#help') !== null")
        page.keyboard.press("Escape")
        expect(explained).to_be_hidden()
        expect(button).to_be_focused()

    def test_each_example_is_a_search(self, visit: Visit) -> None:
        page = visit.open("/")
        page.get_by_role("button", name="Help: how to search").click()
        examples = page.locator("#help dt a")
        for at in range(examples.count()):
            text = examples.nth(at).inner_text()
            examples.nth(at).click()
            expect(page.get_by_role("combobox")).to_have_value(text)
            page.get_by_role("button", name="Help: how to search").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, TABLET, LAPTOP, SCREEN])
def test_axe_can_read_the_filters_and_the_help(
    visiting: Visiting, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    page, axe = visiting(size=size, scheme=scheme).open("/?q=datedum#filters"), Axe()
    found = {"filters": axe.run(page).generate_snapshot()}
    page.goto("/?q=castle&attr.artist=nobody&facet=attr.artist#facet-attr.artist")
    found["open facet"] = axe.run(page).generate_snapshot()
    page.get_by_role("button", name="Help: how to search").click()
    found["help"] = axe.run(page).generate_snapshot()
    assert found == dict.fromkeys(found, "")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def _beside(page: Page) -> bool:
    """Whether the filters begin beside the first results, not below them."""
    panel = page.locator("#filters").bounding_box()
    first = page.locator(".card").first.bounding_box()
    assert panel
    assert first
    is_right = panel["x"] >= first["x"] + first["width"]
    return is_right and abs(panel["y"] - first["y"]) < 100
