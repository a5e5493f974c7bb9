"""The page of a plan in a real Chromium: axe, both colour schemes, a phone, and no request."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lockstep.plan.parameters import planned_stack
from lockstep.plan.planning import plan
from lockstep.plan.sources import measured, own_prices
from lockstep.reports.plan_page import html_of_plan
from tests.page.browser import MISSING, Circumstances, Visit, chromium
from tests.serving import serving
from tests.unit.operator.command import lockstep
from tests.unit.plan.test_figures import A_HUGE_ONE
from tests.unit.plan.test_hourly import A_DAY

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

SCREENS: dict[str, Circumstances] = {
    "light": {"size": (1280, 900)},
    "dark": {"scheme": "dark", "size": (1280, 900)},
    "phone": {"size": (390, 844)},
    "dark phone": {"scheme": "dark", "size": (390, 844)},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("plan")
    day, page = folder / "day.txt", folder / "plan.html"
    day.write_text("\n".join(map(str, A_DAY)))
    words = ("--hourly", day, "--images", 10_000_000, "--searches", 5, "--html", page)
    assert lockstep("plan", *words).exit_code == 0
    huge = planned_stack(plan(A_HUGE_ONE, measured(), own_prices()), {"ShardCount": "<b>1</b>"})
    pages = {"/": page.read_bytes(), "/huge": html_of_plan(huge, "<script>alert(1)</script>")}

    def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(pages[request.url.path])

    routes = [Route(path, answer) for path in pages]
    with serving(Starlette(routes=routes)) as address:
        yield address


@pytest.fixture
def circumstances() -> Circumstances:
    return {}


@pytest.fixture
def visit(browser: Browser, site: str, circumstances: Circumstances) -> Iterator[Visit]:
    visit = Visit(browser, site, **circumstances)
    yield visit
    visit.close()
    assert visit.complaints == []
    assert visit.elsewhere == []


@pytest.mark.parametrize("path", ["/", "/huge"])
@pytest.mark.parametrize("circumstances", SCREENS.values(), ids=SCREENS)
def test_axe_finds_nothing_and_nothing_but_tables_scrolls_sideways(visit: Visit, path: str) -> None:
    page = visit.open(path)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert Axe().run(page).generate_snapshot() == ""
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_a_page_says_whether_the_stack_takes_its_peak(visit: Visit) -> None:
    page = visit.open("/")
    expect(page.locator(".state")).to_have_text("fits")
    expect(page.get_by_role("img", name="Events a second by the hour, at most 120")).to_be_visible()
    page = visit.open("/huge")
    expect(page.locator(".state")).to_have_text("too small")
    expect(page.locator(".verdict li")).to_contain_text(["IndexShards of the template"])


def test_the_longest_bar_of_costs_is_that_of_the_highest_item(visit: Visit) -> None:
    page = visit.open("/")
    rows = page.get_by_role("table", name="In dollars").get_by_role("row")
    costs = [
        float(text.split()[0].replace(",", ""))
        for text in rows.locator("td.number").all_inner_texts()
    ]
    assert costs[:-1] == sorted(costs[:-1], reverse=True)
    assert sum(costs[:-1]) == pytest.approx(costs[-1], abs=0.06)
    widths = [float(one.get_attribute("width") or 0) for one in rows.locator("rect").all()]
    assert widths == [pytest.approx(100 * one / costs[0], abs=0.1) for one in costs[:-1]]


def test_text_of_a_stack_is_no_markup(visit: Visit) -> None:
    page = visit.open("/huge")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>alert(1)</script>")
    expect(page.get_by_role("cell", name="<b>1</b>")).to_be_visible()


def test_a_page_cannot_be_written_into_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    words = ("--events", 1, "--images", 1, "--html", tmp_path / "none" / "plan.html")
    result = lockstep("plan", *words)
    assert result.exit_code == 2
    assert "No such file" in result.stderr
