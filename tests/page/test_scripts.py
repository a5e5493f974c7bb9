"""Names of every script, and names that show nothing, in a real Chromium."""

import pytest
from playwright.sync_api import Page, expect

from functions.search_images.visible import shown
from tests.builders import change, image
from tests.page.browser import MISSING, PHONE, Visit, Visiting, chromium, texts
from tests.page.museum import Museum

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

HEBREW, ARABIC = "שקיעה (1912) בחיפה", "قلعة حلب، 1890"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
TAG = "line\nbreak\0x"


@pytest.fixture(scope="module", autouse=True)
def _scripts(museum: Museum) -> None:
    names = {
        "script-hebrew": HEBREW,
        "script-arabic": ARABIC,
        "script-space": " ",
        "script-zero": "\u200b",
        "script-marks": "\u0301\u0302",
        "script-emoji": f"👩\u200d🚀 {ENGLAND} 🇳🇱",
    }
    several = [
        change(
            image_id,
            1,
            image=image(
                name,
                description=f"{name}\nSecond line",
                tags=["every-script", TAG, name],
                uploaded_by=ARABIC,
                attributes={"artist": name},
            ),
        )
        for image_id, name in names.items()
    ]
    museum.put(*several)


def direction(page: Page, selector: str) -> str:
    return str(page.locator(selector).evaluate("one => getComputedStyle(one).direction"))


def test_a_name_has_the_direction_of_its_script_and_the_page_keeps_its_own(visit: Visit) -> None:
    page = visit.open("/?tag=every-script&q=id:script-hebrew")
    assert direction(page, ".card h2") == "rtl"
    assert direction(page, ".card dd bdi >> nth=0") == "rtl"
    assert direction(page, ".card .foot") == "ltr"
    page.locator(".card h2 a").click()
    assert direction(page, "main h1") == "rtl"
    assert direction(page, ".facts dt >> nth=0") == "ltr"
    assert page.title() == f"\u2068{HEBREW}\u2069 · Find images"


def test_a_name_from_right_to_left_moves_no_word_around_it(visit: Visit) -> None:
    page = visit.open(f"/?q={ARABIC}")
    name = page.locator("main h1 bdi").bounding_box()
    assert name is not None
    # The closing quotation mark stays behind the name: there is room between both right ends.
    closing = page.locator("main h1").evaluate(
        """one => { const range = document.createRange(), end = one.lastChild;
        range.setStart(end, 0); range.setEnd(end, 1); return range.getBoundingClientRect().left }"""
    )
    assert closing >= name["x"] + name["width"] - 1
    assert direction(page, "#q") == "rtl"


def test_what_shows_nothing_can_be_clicked(visit: Visit) -> None:
    page = visit.open("/?tag=every-script")
    for label in ("(blank: U+0020)", "(blank: U+200B)", "(blank: U+0301 U+0302)"):
        expect(page.locator(".card h2").get_by_role("link", name=label)).to_be_visible()
    page.locator(".card h2").get_by_role("link", name="(blank: U+0020)").click()
    expect(page.locator("main h1")).to_have_text("(blank: U+0020)")
    page.locator(".tags").get_by_role("link", name="(blank: U+0020)").click()
    expect(page.locator("main h1")).to_have_text("1 image")
    assert texts(page, ".chips a") == ["Remove the filter Tag: (blank: U+0020) ×"]


def test_a_tag_with_a_line_break_stays_a_filter_of_a_new_search(visit: Visit) -> None:
    page = visit.open("/?tag=every-script")
    page.locator(".filters").get_by_role("link", name="line break").click()
    expect(page.locator("main h1")).to_have_text("6 images")
    page.get_by_role("combobox").fill(HEBREW)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("main h1")).to_contain_text("1 image for")
    expect(page.locator(".chips a")).to_have_count(2)


def test_a_suggestion_from_right_to_left_is_taken(visit: Visit) -> None:
    page = visit.open()
    page.get_by_role("combobox").press_sequentially("שקיע")
    option = page.get_by_role("option", name=HEBREW)
    expect(option).to_be_visible()
    assert direction(page, "[role=option] >> nth=0") == "rtl"
    option.click()
    expect(page.locator("main h1")).to_contain_text(HEBREW)
    expect(page.locator(".card h2")).to_have_count(1)


def test_a_phone_shows_them_without_scrolling_sideways(visiting: Visiting) -> None:
    page = visiting(size=PHONE).open("/?tag=every-script")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_browser_agrees_on_what_is_ignored(visit: Visit) -> None:
    """Unicode's Default_Ignorable_Code_Point, of which Python has no table, is in every browser."""
    page = visit.open()
    ignored: list[int] = page.evaluate(
        r"""() => [...Array(0x110000).keys()].filter(at =>
            (at < 0xd800 || at > 0xdfff)
            && /^\p{Default_Ignorable_Code_Point}$/u.test(String.fromCodePoint(at)))"""
    )
    assert len(ignored) > 4_000
    assert [hex(at) for at in ignored if shown(chr(at)) == chr(at)] == []
