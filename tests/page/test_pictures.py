"""Pictures, whole or missing, and what the page never asks for, in a real Chromium."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from functions.search_images.page_settings import PageSettings
from tests.builders import change, image
from tests.page.browser import MISSING, Scheme, Visit, Visiting, chromium
from tests.page.museum import Museum, query_side
from tests.serving import serving

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

STRANGER = "https://stranger.example/spy.gif"
# width, height
SHAPES = {"panorama": (4000, 500), "portrait": (500, 2000), "square": (900, 900)}


@pytest.fixture(scope="module", autouse=True)
def _pictures(museum: Museum) -> None:
    addresses = {
        "picture-elsewhere": STRANGER,
        "picture-bucket": "s3://originals/1.tif",
        "picture-none": None,
        **{f"picture-{name}": f"https://x.example/{name}.svg" for name in SHAPES},
    }
    several = []
    for image_id, url in addresses.items():
        sizes = SHAPES.get(image_id.removeprefix("picture-"))
        size = {} if sizes is None else {"width": sizes[0], "height": sizes[1]}
        at = {} if url is None else {"url": url}
        several.append(change(image_id, 1, image=image(f"Zyzzyva {image_id}", **at, **size)))
    museum.put(*several)


def serve_shapes(visit: Visit) -> None:
    """Answer with pictures of their real sizes."""

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2].removesuffix(".svg")
        width, height = SHAPES[name]
        body = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
            '<rect width="100%" height="100%" fill="teal"/></svg>'
        )
        route.fulfill(body=body, content_type="image/svg+xml")

    visit.page.route("https://x.example/*.svg", answer)


def test_a_picture_that_does_not_load_is_told_in_words(visiting: Visiting) -> None:
    there = visiting().open("/?image=T12704")
    expect(there.locator(".frame img")).to_be_visible()
    expect(there.locator(".missing")).to_be_hidden()
    missing = visiting(pictures="are missing")
    page = missing.open("/?image=T12704")
    expect(page.locator(".frame")).to_have_text("The picture does not load")
    expect(page.locator(".frame img")).to_be_hidden()
    missing.complaints.clear()  # that it is missing is what the browser complains of


def test_who_has_the_picture_is_not_told_from_where(visit: Visit) -> None:
    with visit.page.expect_request("**/*.jpg") as picture:
        visit.open("/?image=T12704")
    assert "referer" not in picture.value.all_headers()


@pytest.mark.parametrize("script", ["runs", "is off"])
def test_a_stranger_is_asked_for_nothing_until_somebody_opens_the_picture(
    visiting: Visiting, script: str
) -> None:
    visit = visiting(script=script)  # type: ignore[arg-type]  # parametrized
    page = visit.open("/?q=zyzzyva")
    card = page.locator("#image-picture-elsewhere")
    expect(card).to_contain_text("Picture at stranger.example")
    card.get_by_role("link").click()
    expect(page.locator(".frame")).to_contain_text("Picture at stranger.example")
    assert [url for url in visit.elsewhere if "stranger" in url] == []
    link = page.get_by_role("link", name="Open the picture")
    assert link.get_attribute("href") == STRANGER
    assert link.get_attribute("rel") == "noreferrer noopener"


def test_the_policy_stops_a_stranger_even_if_markup_asks_for_the_picture(visit: Visit) -> None:
    page = visit.open("/?q=zyzzyva")
    blocked = page.evaluate(
        """address => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) =>
            done(`${event.effectiveDirective} ${event.blockedURI}`));
          document.querySelector(".frame").append(Object.assign(new Image(), {src: address}));
        })""",
        STRANGER,
    )
    assert blocked == f"img-src {STRANGER}"
    assert [url for url in visit.elsewhere if "stranger" in url] == []
    visit.complaints.clear()  # of exactly this


def test_what_has_no_picture_looks_like_it(visit: Visit) -> None:
    page = visit.open("/?q=zyzzyva")
    expect(page.locator("#image-picture-none .frame")).to_have_text("No picture")
    expect(page.locator("#image-picture-bucket .frame")).to_have_text(
        "Picture in the bucket originals"
    )


@pytest.mark.parametrize("where", ["on a card", "on its record"])
def test_a_panorama_and_a_portrait_are_shown_whole(visit: Visit, where: str) -> None:
    serve_shapes(visit)
    for name, (width, height) in SHAPES.items():
        path = "/?q=zyzzyva" if where == "on a card" else f"/?image=picture-{name}"
        page = visit.open(path)
        card = f"#image-picture-{name} " if where == "on a card" else ""
        picture = page.locator(f"{card}.frame img")
        picture.scroll_into_view_if_needed()
        page.wait_for_function("one => one.naturalWidth > 0", arg=picture.element_handle())
        shown = picture.evaluate(_VISIBLE)
        assert shown["fit"] in {"contain", "fill"}
        assert shown["inside"], name
        if where == "on its record":
            assert abs(shown["width"] / shown["height"] - width / height) < 0.05 * width / height


def test_nothing_moves_when_pictures_come(visit: Visit) -> None:
    serve_shapes(visit)
    for path in ("/?q=zyzzyva", "/?image=picture-panorama"):
        page = visit.open(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(_SHIFTS) == 0


@pytest.fixture(scope="module")
def own(museum: Museum) -> Iterator[str]:
    settings = PageSettings("Museum of Ships", "#7a1f2b,#f0a0aa", "https://x.example/logo.svg")
    with serving(query_side(museum, settings)) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_institution_has_its_title_logo_and_colours(
    browser: Browser, own: str, scheme: Scheme
) -> None:
    visit = Visit(browser, own, scheme=scheme)
    page = visit.open("/?q=castle")
    assert page.title().endswith("· Museum of Ships")
    expect(page.get_by_role("link", name="Museum of Ships")).to_be_visible()
    expect(page.locator(".brand img")).to_be_visible()
    accent = {"light": "rgb(122, 31, 43)", "dark": "rgb(240, 160, 170)"}[scheme]
    search = page.get_by_role("button", name="Search", exact=True)
    expect(search).to_have_css("background-color", accent)
    expect(page.locator("footer")).to_contain_text("Museum of Ships: This page finds")
    for path in ("/?q=castle", "/?q=castle&tag=river&image=D05526", "/?q=xyzzyqwv"):
        assert Axe().run(visit.open(path)).generate_snapshot() == ""
    # The pictures of the records are at a host that this site does not allow.
    assert {url.split("/")[2] for url in visit.elsewhere} == {"x.example"}
    assert visit.complaints == []
    visit.close()


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("title", ["National Maritime Museum", "Museum of Ships and " * 3])
def test_a_title_has_one_line_on_a_wide_screen(
    museum: Museum, browser: Browser, title: str, width: int
) -> None:
    with serving(query_side(museum, PageSettings(title.strip()))) as address:
        visit = Visit(browser, address, size=(width, 900))
        page = visit.open("/?q=castle")
        lines = page.locator(".brand bdi").evaluate("one => one.getClientRects().length")
        box = page.locator(".box").bounding_box()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        visit.close()
    assert lines == 1
    assert box
    assert box["width"] >= 320


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (1280, 900), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_size_and_colour_of_screen_has_readable_pages(
    visiting: Visiting, size: tuple[int, int], scheme: Scheme
) -> None:
    visit = visiting(size=size, scheme=scheme)
    serve_shapes(visit)
    for path in ("/?q=zyzzyva", "/?image=picture-panorama&q=zyzzyva&at=1"):
        page = visit.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert Axe().run(page).generate_snapshot() == ""


def test_the_link_to_an_image_is_copied_and_is_there_without_script(visiting: Visiting) -> None:
    visit = visiting()
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.open("/?q=castle&image=D05526")
    _press(page, "Copy link")
    expect(page.locator("#heard")).to_have_text("Link copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{visit.site}/?image=D05526"
    plain = visiting(script="is off").open("/?q=castle&image=D05526")
    expect(plain.get_by_role("button", name="Copy link")).to_have_count(0)
    plain.get_by_role("link", name="Link to this image").click()
    assert plain.url == copied


def test_technical_details_unfold_by_keyboard(visit: Visit) -> None:
    page = visit.open("/?image=D05526")
    expect(page.get_by_text("Digest", exact=True)).to_be_hidden()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Digest", exact=True)).to_be_visible()


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).focus()
    page.keyboard.press("Enter")


_VISIBLE = """(one) => {
  const own = one.getBoundingClientRect(), around = one.parentElement.getBoundingClientRect();
  return {
    fit: getComputedStyle(one).objectFit,
    width: own.width,
    height: own.height,
    inside: own.left >= around.left - 1 && own.right <= around.right + 1
      && own.top >= around.top - 1 && own.bottom <= around.bottom + 1,
  };
}"""
_SHIFTS = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(
    list.getEntries().reduce((sum, entry) => sum + entry.value, 0)
  )).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(0), 300);
})"""
