"""The page as people use it: in a real Chromium, over the real handler, engines and records."""

import re
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.builders import change, image
from tests.page.browser import MISSING, PHONE, Circumstances, Visit, Visiting, chromium, texts
from tests.page.museum import Museum

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

HEADING = "main h1"
RESULT = ".card h2 a"
EVERY_VIEW = {
    "all": "/?size=4",
    "found": "/?q=richmond+thames&tag=River+Thames&size=4",
    "misspelled": "/?q=richmnd&size=4",
    "nothing": "/?q=xyzzyqwv",
    "record": "/?q=thames&image=D05526",
    "no image": "/?image=nobody",
    "a mistake": "/?cursor=nobody",
}


class TestSearching:
    def test_names_are_suggested_as_somebody_types_and_one_is_taken(self, visit: Visit) -> None:
        page = visit.open()
        box = page.get_by_role("combobox", name="Search for images")
        box.press_sequentially("st cather")
        option = page.get_by_role("option", name="St Catherine’s Chapel, Dorset")
        expect(option).to_be_visible()
        expect(option.locator("mark").first).to_have_text("St")
        expect(page.locator("#heard")).to_contain_text("suggestion")
        option.click()
        expect(page.locator(HEADING)).to_contain_text("for “St Catherine’s Chapel, Dorset”")
        assert texts(page, RESULT)[0] == "St Catherine’s Chapel, Dorset"

    def test_typos_are_forgiven_and_better_spelling_is_offered(self, visit: Visit) -> None:
        page = visit.open("/?q=richmnd+tames")
        assert any("Richmond" in name for name in texts(page, RESULT))
        page.get_by_role("link", name="richmond thames").click()
        expect(page.locator(HEADING)).to_contain_text("for “richmond thames”")
        expect(page.get_by_text("Did you mean")).to_have_count(0)

    def test_what_was_found_is_marked_in_names_and_beside_them(self, visit: Visit) -> None:
        page = visit.open("/?q=richmond")
        assert "Richmond" in texts(page, f"{RESULT} mark")
        assert "Richmond" in texts(page, ".card dd mark")

    def test_a_facet_narrows_and_is_removed_again(self, visit: Visit) -> None:
        page = visit.open("/?q=richmond")
        before = page.locator(HEADING).inner_text()
        tag = page.get_by_role("navigation", name="Filters").get_by_role("link").first
        what, count = tag.locator(".what").inner_text(), tag.locator(".count").inner_text()
        tag.click()
        expect(page.locator(HEADING)).to_have_text(f"{count} images for “richmond”")
        page.get_by_role("link", name=f"Remove the filter Tag: {what}").click()
        expect(page.locator(HEADING)).to_have_text(before)

    def test_a_new_search_keeps_the_filter(self, visit: Visit) -> None:
        page = visit.open("/?tag=castle")
        page.get_by_role("combobox").fill("ruin")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator(".chips")).to_contain_text("Tag: castle")
        expect(page.locator(HEADING)).to_contain_text("for “ruin”")

    def test_a_record_is_shown_whole_and_leads_to_its_like_and_back(self, visit: Visit) -> None:
        page = visit.open("/?q=vorticists+eiffel")
        page.get_by_role("link", name="The Vorticists at the Restaurant").click()
        expect(page.locator(HEADING)).to_contain_text("Study for ‘The Vorticists")
        page.locator("summary").click()
        facts = dict(zip(texts(page, ".facts dt"), texts(page, ".facts dd"), strict=True))
        assert facts["artist"] == "William Roberts"
        assert facts["Image ID"] == "T12704"
        assert "Dismoor, Jessie" in texts(page, ".tags a")
        page.get_by_role("link", name="Back to the results").click()
        expect(page.locator(HEADING)).to_contain_text("for “vorticists eiffel”")
        page.go_back()
        page.get_by_role("link", name="Dismoor, Jessie").click()
        expect(page.locator(".chips")).to_contain_text("Tag: Dismoor, Jessie")

    def test_what_nobody_has_is_told_with_what_to_do(self, visit: Visit) -> None:
        page = visit.open("/?q=xyzzyqwv&tag=river")
        expect(page.locator(HEADING)).to_have_text("Nothing found for “xyzzyqwv”")
        page.get_by_role("link", name="without the filters").click()
        expect(page.locator(".chips")).to_have_count(0)


class TestKeyboardAlone:
    def test_a_suggestion_is_left_and_another_taken(self, visit: Visit) -> None:
        page = visit.open("/?q=castle")
        page.keyboard.press("/")
        box = page.get_by_role("combobox")
        expect(box).to_be_focused()
        page.keyboard.type("sunrise at se")
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("ArrowDown")
        chosen = page.locator("[role=option][aria-selected=true]")
        expect(box).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
        page.keyboard.press("Escape")
        expect(page.get_by_role("option").first).to_be_hidden()
        expect(box).to_have_value("sunrise at se")
        page.keyboard.press("ArrowUp")
        name = " ".join(chosen.inner_text().split())
        page.keyboard.press("Enter")
        expect(page.locator(HEADING)).to_contain_text(name)

    def test_what_is_typed_after_a_suggestion_was_chosen_is_what_is_searched_for(
        self, visit: Visit
    ) -> None:
        page = visit.open()
        expect(page.get_by_role("combobox")).to_be_focused()
        page.keyboard.type("tham")
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.type("es barge")
        page.keyboard.press("Enter")
        expect(page.locator(HEADING)).to_contain_text("for “thames barge”")

    def test_of_a_new_list_nothing_is_chosen(self, visit: Visit) -> None:
        page = visit.open()
        box = page.get_by_role("combobox")
        expect(box).to_be_focused()
        page.keyboard.type("tham")
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(box).to_have_attribute("aria-activedescendant", "suggestion-0")
        with page.expect_response("**/images/suggest?q=thames") as answer:
            page.keyboard.type("es")
        answer.value.finished()
        expect(page.locator("[aria-selected=true]")).to_have_count(0)
        expect(box).not_to_have_attribute("aria-activedescendant", re.compile("."))

    def test_the_key_that_works_anywhere_is_turned_off_and_on_again(self, visit: Visit) -> None:
        page = visit.open("/?q=castle&size=4")
        box = page.get_by_role("combobox")
        switch = page.get_by_role("button", name="Press / to go to the search box")
        expect(switch).to_have_attribute("aria-pressed", "true")
        _tab_to(page, "footer button")
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("/")
        expect(switch).to_be_focused()
        assert Axe().run(page).generate_snapshot() == ""

        page = visit.open("/?q=river&size=4")
        expect(switch).to_have_attribute("aria-pressed", "false")
        expect(box).not_to_have_attribute("aria-keyshortcuts", "/")
        _tab_to(page, "footer button")
        page.keyboard.press("/")
        expect(switch).to_be_focused()

        page.keyboard.press("Enter")
        page.reload()
        expect(switch).to_have_attribute("aria-pressed", "true")
        expect(box).to_have_attribute("aria-keyshortcuts", "/")
        _tab_to(page, RESULT)
        page.keyboard.press("/")
        expect(box).to_be_focused()

    def test_where_nothing_may_be_kept_the_key_is_off_on_this_page(self, visit: Visit) -> None:
        visit.page.add_init_script(_NOTHING_IS_KEPT)
        page = visit.open("/?q=castle&size=4")
        switch = page.locator("footer button")
        _tab_to(page, "footer button")
        page.keyboard.press("Enter")
        page.keyboard.press("/")
        expect(switch).to_be_focused()
        page.reload()
        expect(switch).to_have_attribute("aria-pressed", "true")
        page.get_by_role("combobox").fill("sunrise")
        expect(page.get_by_role("option").first).to_be_visible()

    def test_past_the_head_from_result_to_result_into_a_record(self, visit: Visit) -> None:
        page = visit.open("/?q=castle&size=4")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        _tab_to(page, RESULT)
        page.keyboard.press("ArrowRight")
        expect(page.locator(RESULT).nth(1)).to_be_focused()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(RESULT).nth(0)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("article h1")).to_be_visible()

    def test_whatever_has_the_focus_shows_it(self, visit: Visit) -> None:
        page = visit.open("/?q=thames&size=4")
        unseen = []
        for _ in range(25):
            page.keyboard.press("Tab")
            if not page.evaluate(_SHOWS_FOCUS):
                unseen.append(page.evaluate("document.activeElement.outerHTML"))
        assert unseen == []


class TestWithoutScript:
    def test_search_facet_paging_and_record_are_there(self, visiting: Visiting) -> None:
        page = visiting(script="is off").open()
        expect(page.locator(".keyboard")).to_be_hidden()  # it names keys that script listens to
        page.get_by_label("Search for images").fill("river")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator(HEADING)).to_contain_text("for “river”")
        page.get_by_role("link", name="Next", exact=True).click()
        expect(page.get_by_role("link", name="Previous")).to_be_visible()
        page.get_by_role("navigation", name="Filters").get_by_role("link").first.click()
        expect(page.locator(".chips")).to_contain_text("Tag: ")
        page.locator(RESULT).first.click()
        expect(page.locator("article h1")).to_be_visible()
        page.get_by_role("link", name="Back to the results").click()
        expect(page.locator(".chips")).to_contain_text("Tag: ")


class TestWhatIsStored:
    def test_script_in_any_field_stays_text(self, visit: Visit, museum: Museum) -> None:
        script = "<script>alert('hostile')</script>"
        every = f"{script}\"'><img src=x onerror=alert(1)><em>{{{{7*7}}}}</em></title>"
        fields = ("description", "content_type", "uploaded_by", "checksum")
        common = dict.fromkeys(fields, every) | {"tags": [every], "attributes": {"own": every}}
        addresses = ("javascript:alert(1)", f"https://x.example/{every}", "data:text/html,x")
        museum.put(
            *(
                change(f"hostile-{at}", 1, image=image(f"{every} {at}", url=url, **common))
                for at, url in enumerate(addresses)
            )
        )
        page = visit.open("/?q=hostile")
        assert [name for name in texts(page, RESULT) if script in name]
        page.get_by_role("combobox").press_sequentially(" al")
        expect(page.get_by_role("option").first).to_contain_text(script)
        page.keyboard.press("Escape")
        page.get_by_role("navigation", name="Filters").get_by_role(
            "link", name=script
        ).first.click()
        expect(page.locator(".chips")).to_contain_text(script)
        page = visit.open(f"/?uploaded_by={quote_plus(every)}")
        assert [row for row in texts(page, ".card dd") if script in row]
        for at in range(len(addresses)):
            page = visit.open(f"/?q={quote_plus(every)}&image=hostile-{at}")
            expect(page.locator("article h1")).to_have_text(f"{every} {at}")
        visit.open(f"/?q={quote_plus(every)}&cursor={quote_plus(every)}")
        visit.open(f"/?attr.{quote_plus(every)}={quote_plus(every)}")
        assert page.evaluate("document.querySelectorAll('script, [onerror]').length") == 1
        assert all(url.startswith("https://x.example/") for url in visit.elsewhere)

    def test_it_is_shown_as_it_is_now(self, visit: Visit, museum: Museum) -> None:
        museum.put(change("now-1", 1, image=image("Quodlibet in spring")))
        page = visit.open("/?q=quodlibet")
        assert texts(page, RESULT) == ["Quodlibet in spring"]
        museum.put(change("now-1", 2, "image.updated", image=image("Quodlibet in autumn")))
        page.reload()
        assert texts(page, RESULT) == ["Quodlibet in autumn"]
        page.get_by_role("link", name="Quodlibet in autumn").click()
        museum.put(change("now-1", 3, "image.deleted"))
        page.reload()
        expect(page.locator(HEADING)).to_have_text("This image does not exist")
        page.go_back()
        expect(page.locator(HEADING)).to_have_text("Nothing found for “quodlibet”")
        museum.put(change("now-1", 4, image=image("Quodlibet again")))
        page.reload()
        assert texts(page, RESULT) == ["Quodlibet again"]


class TestEveryView:
    def test_axe_finds_nothing_to_mend(self, visit: Visit) -> None:
        axe = Axe()
        found = {view: axe.run(page).generate_snapshot() for view, page in _every_view(visit)}
        assert found == dict.fromkeys(found, "")

    def test_axe_can_read_all_of_it_on_a_dark_screen(self, visiting: Visiting) -> None:
        visit, axe = visiting(scheme="dark"), Axe()
        colours = {"runOnly": ["color-contrast"]}
        found = {
            view: axe.run(page, options=colours).generate_snapshot()
            for view, page in _every_view(visit)
        }
        assert found == dict.fromkeys(found, "")

    def test_a_phone_need_not_scroll_sideways(self, visiting: Visiting) -> None:
        for view, page in _every_view(visiting(size=PHONE)):
            width = page.evaluate("document.documentElement.scrollWidth")
            beyond = page.evaluate(_BEYOND_THE_EDGE, PHONE[0])
            assert (view, width, beyond) == (view, PHONE[0], [])

    # At least 3 to 1: https://www.w3.org/WAI/WCAG22/Understanding/non-text-contrast.html
    @pytest.mark.parametrize(
        "circumstances",
        [Circumstances(), Circumstances(scheme="dark"), Circumstances(colours="the system's")],
        ids=["light", "dark", "the system's colours"],
    )
    def test_the_chosen_suggestion_stands_out(
        self, visiting: Visiting, circumstances: Circumstances
    ) -> None:
        page = visiting(**circumstances).open()
        _choose_a_suggestion(page)
        line, width, behind = page.locator("[aria-selected=true]").evaluate(_OUTLINE)
        assert width >= 2
        assert _contrast(line, behind) >= 3
        others = page.locator("[role=option][aria-selected=false]")
        assert others.first.evaluate(_OUTLINE)[1] == 0


def _every_view(visit: Visit) -> Iterator[tuple[str, Page]]:
    """Each view's name, and the page that shows it now."""
    for view, path in EVERY_VIEW.items():
        yield view, visit.open(path)
    page = visit.open()
    _choose_a_suggestion(page)
    yield "suggestions open", page


def _choose_a_suggestion(page: Page) -> None:
    page.get_by_role("combobox").press_sequentially("thames")
    expect(page.get_by_role("option").nth(1)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[aria-selected=true]")).to_have_count(1)


def _contrast(*colours: str) -> float:
    """How far apart two colours are, as WCAG computes it: 1 for the same, 21 for black on white."""
    lighter, darker = sorted(map(_luminance, colours), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """How bright an `rgb(r, g, b)` is."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until something that matches has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"no way to {selector} by Tab")


_SHOWS_FOCUS = """() => {
  const shows = (one) => getComputedStyle(one).outlineStyle !== "none";
  const at = document.activeElement;
  return at === document.body || shows(at) || shows(at.closest(".card") ?? at);
}"""
_NOTHING_IS_KEPT = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("not allowed here", "SecurityError"); }
})"""
_OUTLINE = """(one) => {
  const { outlineColor, outlineStyle, outlineWidth, backgroundColor } = getComputedStyle(one);
  return [outlineColor, outlineStyle === "none" ? 0 : parseFloat(outlineWidth), backgroundColor];
}"""
_BEYOND_THE_EDGE = """width => [...document.querySelectorAll("body *")]
  .filter((one) => !one.closest(".hidden, svg") && one.getBoundingClientRect().right > width + 1)
  .map((one) => one.outerHTML.slice(0, 100))"""
