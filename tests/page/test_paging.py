"""From page to page and from image to image, in a real Chromium."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.browser import MISSING, Visit, Visiting, chromium, texts

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

NAME = "main h1"


def name_of(page: Page) -> str:
    return page.locator(NAME).inner_text()


def test_pages_follow_one_another_there_and_back_and_no_image_comes_twice(visit: Visit) -> None:
    page = visit.open("/?q=river")
    pages = page.get_by_role("navigation", name="Pages")
    expect(page.get_by_role("status").locator(".range")).to_contain_text("1 to 24 of ")
    seen = [texts(page, ".foot")]
    for first in (25, 49):
        pages.get_by_role("link", name="Next").click()
        expect(pages).to_contain_text(f"{first} to {first + 23} of ")
        seen.append(texts(page, ".foot"))
    assert len({one for several in seen for one in several}) == 72
    pages.get_by_role("link", name="Previous").click()
    expect(pages).to_contain_text("25 to 48 of ")
    assert texts(page, ".foot") == seen[1]


def test_a_link_to_a_page_shows_that_page_to_others(visiting: Visiting) -> None:
    one = visiting().open("/?q=river")
    one.get_by_role("link", name="Next", exact=True).click()
    another = visiting().open(one.url.removeprefix(visiting().site))
    assert texts(another, ".foot") == texts(one, ".foot")


@pytest.mark.parametrize("script", ["runs", "is off"])
def test_from_image_to_image_and_back_to_the_card_of_the_last_one(
    visiting: Visiting, script: str
) -> None:
    page = visiting(script=script).open("/?q=river&start=25")  # type: ignore[arg-type]  # parametrized
    names = texts(page, ".card h2")
    page.locator(".card h2 a").nth(22).click()
    around = page.get_by_role("navigation", name="Results")
    expect(around).to_contain_text("47 of ")
    expect(page.locator(NAME)).to_have_text(names[22])
    around.get_by_role("link", name="Next").click()
    expect(around).to_contain_text("48 of ")
    expect(page.locator(NAME)).to_have_text(names[23])
    around.get_by_role("link", name="Next").click()
    expect(around).to_contain_text("49 of ")
    third = name_of(page)
    around.get_by_role("link", name="Back to the results").click()
    card = page.locator(".card:target")
    expect(card.locator("h2")).to_have_text(third)
    expect(card).to_be_in_viewport()
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("49 to ")


def test_the_browsers_way_back_keeps_the_place(visit: Visit) -> None:
    page = visit.open("/?q=river")
    card = page.locator(".card").nth(20)
    card.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    card.get_by_role("link").click()
    expect(page.locator("article")).to_be_visible()
    page.go_back()
    page.wait_for_function("before => Math.abs(scrollY - before) < 5", arg=before)


def test_a_neighbour_is_reached_by_keyboard_and_named(visit: Visit) -> None:
    page = visit.open("/?q=river")
    names = texts(page, ".card h2")
    page.locator(".card h2 a").first.click()
    following = page.get_by_role("link", name=f"Next: {names[1]}")
    following.focus()
    page.keyboard.press("Enter")
    expect(page.locator(NAME)).to_have_text(names[1])
    expect(page.get_by_role("link", name=f"Previous: {names[0]}")).to_be_visible()


@pytest.mark.parametrize(("width", "columns"), [(390, 1), (768, 2), (1280, 3), (1920, 4)])
def test_a_page_of_results_fills_its_rows(visiting: Visiting, width: int, columns: int) -> None:
    page = visiting(size=(width, 900)).open("/?q=river")
    lefts = page.locator(".card").evaluate_all(
        "cards => [...new Set(cards.map((one) => one.getBoundingClientRect().left))]"
    )
    assert len(lefts) == columns
    assert page.locator(".card").count() % columns == 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
