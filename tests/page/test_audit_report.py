"""The report of an audit in a real Chromium: axe, both colour schemes, a phone, and no request."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lockstep.reports.page import html_of
from tests.audited import NAMES, harmed, report_of
from tests.audited_rows import harmed_rows, replica_report_of
from tests.page.browser import MISSING, Circumstances, Visit, chromium
from tests.serving import serving

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

SCREENS: dict[str, Circumstances] = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"size": (390, 844)},
    "dark phone": {"scheme": "dark", "size": (390, 844)},
}


@pytest.fixture(scope="module")
def reports() -> Iterator[str]:
    pages = {
        "/": html_of(report_of(harmed())),
        "/replica": html_of(replica_report_of(harmed_rows())),
    }

    def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(pages[request.url.path])

    routes = [Route(path, answer) for path in pages]
    with serving(Starlette(routes=routes)) as address:
        yield address


@pytest.fixture
def circumstances() -> Circumstances:
    return {}


@pytest.fixture
def visit(browser: Browser, reports: str, circumstances: Circumstances) -> Iterator[Visit]:
    visit = Visit(browser, reports, **circumstances)
    yield visit
    visit.close()
    assert visit.complaints == []
    assert visit.elsewhere == []


@pytest.mark.parametrize("path", ["/", "/replica"])
@pytest.mark.parametrize("circumstances", SCREENS.values(), ids=SCREENS)
def test_axe_finds_nothing_and_nothing_but_tables_scrolls_sideways(visit: Visit, path: str) -> None:
    page = visit.open(path)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert Axe().run(page).generate_snapshot() == ""
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_the_report_of_a_replica_marks_a_column_that_differs(visit: Visit) -> None:
    page = visit.open("/replica")
    expect(page).to_have_title("Audit of orders: 5 rows differ")
    row = page.get_by_role("article", name='other_values: ["o-1"]').get_by_role("row", name="size")
    expect(row.get_by_role("rowheader")).to_have_text("size differs")
    expect(row.get_by_role("cell")).to_have_text(["1 (Integer)", "1 (String)"])


def test_a_script_in_a_name_is_text(visit: Visit) -> None:
    page = visit.open()
    expect(page).to_have_title(re.compile(r"^Audit of museum: \d+ images differ$"))
    expect(page.get_by_text(NAMES[2], exact=True).first).to_be_visible()


def test_what_differs_is_said_in_words_and_not_only_by_its_colour(visit: Visit) -> None:
    page = visit.open()
    row = page.get_by_role("article", name="conflict: named-0").get_by_role("row", name="name")
    expect(row.get_by_role("rowheader")).to_have_text("name differs")
    background = "getComputedStyle(document.querySelector('.differs td')).backgroundColor"
    assert page.evaluate(background) != page.evaluate(
        "getComputedStyle(document.querySelector('.fields')).backgroundColor"
    )


def test_the_drawing_of_a_kind_is_read_aloud_with_its_numbers(visit: Visit) -> None:
    page = visit.open()
    drawn = page.get_by_role("img", name="missing_in_index: 24 images, most from")
    expect(drawn).to_have_count(1)
