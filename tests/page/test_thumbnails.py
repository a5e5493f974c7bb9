"""Thumbnails through presigned links, from the S3 of a local stack, in a real Chromium."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Unpack

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from functions.search_images.page_settings import NO_SETTINGS
from functions.search_images.picture_links import LINK_SECONDS
from shared.picture_ids import PREFIX
from tests.builders import change
from tests.page.browser import MISSING, Circumstances, Scheme, Visit, chromium
from tests.page.bucket import Pictures
from tests.page.museum import Museum, query_side
from tests.serving import serving

pytestmark = [pytest.mark.skip(MISSING)] if chromium() is None else []

SIZES = [(390, 844), (768, 1024), (1280, 900), (1920, 1080)]
# Sizes of the pictures in pixels.
SHAPES = {"landscape": (4000, 3000), "panorama": (6000, 700), "portrait": (900, 3000)}
NOT_YET = "No preview of this picture yet"


@pytest.fixture(scope="module")
def pictures(museum: Museum, s3_endpoint: str) -> Iterator[Pictures]:
    made = Pictures(s3_endpoint, museum)
    for name, size in SHAPES.items():
        width, height = size
        checksum = made.put(name, width=width, height=height, description="On a wall")
        made.thumbnail(name, checksum, size)
    made.put("waiting", width=300, height=200)
    made.no_thumbnail("damaged", made.put("damaged"), "the file is cut off")
    with serving(query_side(museum, NO_SETTINGS, made.links)) as made.site:
        yield made
    for image_id in (*SHAPES, "waiting", "damaged"):
        museum.put(change(image_id, 100, "image.deleted"))


@pytest.fixture
def visits(pictures: Pictures) -> Iterator[list[Visit]]:
    begun: list[Visit] = []
    yield begun
    pictures.late = dt.timedelta()
    for visit in begun:
        visit.close()
    assert [visit.elsewhere for visit in begun] == [[]] * len(begun)


@pytest.fixture
def open_at(browser: Browser, pictures: Pictures, visits: list[Visit]) -> Any:
    def opened(path: str, **circumstances: Unpack[Circumstances]) -> Page:
        circumstances["bucket"] = pictures.address
        visit = Visit(browser, pictures.site, **circumstances)
        visits.append(visit)
        page = visit.open(path)
        page.wait_for_load_state("networkidle")
        return page

    return opened


def is_shown(page: Page, selector: str) -> bool:
    return bool(page.locator(selector).evaluate("one => one.complete && one.naturalWidth > 0"))


@pytest.mark.parametrize("script", ["runs", "is off"])
def test_results_and_records_show_thumbnails(open_at: Any, script: str) -> None:
    page = open_at("/?q=thumbelina", script=script)
    for name in SHAPES:
        card = page.locator(f"#image-{name}")
        card.scroll_into_view_if_needed()
        expect(card.get_by_role("img", name=f"Thumbelina {name}: On a wall")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert is_shown(page, f"#image-{name} img")
        assert card.locator("img").get_attribute("loading") == "lazy"
    page.locator("#image-portrait").get_by_role("link").click()
    page.wait_for_load_state("networkidle")
    assert is_shown(page, ".frame img")
    assert page.locator(".frame img").evaluate("one => one.naturalHeight") == 1600


@pytest.mark.parametrize("size", SIZES)
def test_nothing_moves_when_thumbnails_come_or_do_not(open_at: Any, size: tuple[int, int]) -> None:
    for path in ("/?q=thumbelina", *(f"/?image={one}" for one in (*SHAPES, "waiting"))):
        page = open_at(path, size=size)
        assert page.evaluate(_SHIFTS) == 0, path
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_can_read_pages_with_thumbnails(
    open_at: Any, size: tuple[int, int], scheme: Scheme
) -> None:
    found = {
        path: Axe().run(open_at(path, size=size, scheme=scheme)).generate_snapshot()
        for path in ("/?q=thumbelina", "/?image=landscape", "/?image=damaged")
    }
    assert found == dict.fromkeys(found, "")


def test_the_room_of_a_picture_on_a_record_has_its_shape(open_at: Any) -> None:
    for name, (width, height) in SHAPES.items():
        page = open_at(f"/?image={name}")
        box = page.locator(".frame img").bounding_box()
        assert box
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.03)
        assert box["height"] <= 800


@pytest.mark.parametrize("path", ["/?q=thumbelina", "/?image=waiting"])
def test_a_thumbnail_that_does_not_exist_yet_is_told_in_words(open_at: Any, path: str) -> None:
    page = open_at(path)
    frame = page.locator("#image-waiting .frame" if "image=" not in path else ".frame")
    expect(frame).to_have_text(NOT_YET)
    expect(frame.locator("img")).to_be_hidden()


def test_without_script_the_text_of_a_missing_picture_is_there(open_at: Any) -> None:
    page = open_at("/?q=thumbelina", script="is off")
    assert not is_shown(page, "#image-waiting img")
    alone = page.locator("#image-waiting").get_by_role("img", name="Thumbelina waiting")
    expect(alone).to_be_visible()


def test_a_record_tells_why_its_picture_has_no_thumbnail(open_at: Any) -> None:
    page = open_at("/?q=thumbelina")
    expect(page.locator("#image-damaged .frame")).to_have_text(NOT_YET)
    page.locator("#image-damaged").get_by_role("link").click()
    expect(page.locator(".frame")).to_have_text("No preview of this picture: the file is cut off")
    expect(page.get_by_role("link", name="Download the picture")).to_be_visible()


def test_a_link_that_expired_is_renewed_on_reload(open_at: Any, pictures: Pictures) -> None:
    pictures.late = dt.timedelta(seconds=LINK_SECONDS + 60)
    page = open_at("/?image=landscape")
    expired = page.locator(".frame img").get_attribute("src")
    expect(page.locator(".frame")).to_have_text(NOT_YET)
    pictures.late = dt.timedelta()
    page.reload()
    page.wait_for_load_state("networkidle")
    assert is_shown(page, ".frame img")
    assert page.locator(".frame img").get_attribute("src") != expired


def test_a_reload_finds_the_pictures_in_the_cache(open_at: Any) -> None:
    page = open_at("/?image=landscape")
    first = page.locator(".frame img").get_attribute("src")
    page.reload()
    # A new period of five minutes may have begun meanwhile.
    if page.locator(".frame img").get_attribute("src") != first:
        first = page.locator(".frame img").get_attribute("src")
        page.reload()
    assert page.locator(".frame img").get_attribute("src") == first


def test_an_old_thumbnail_is_not_shown_for_a_new_picture(open_at: Any, pictures: Pictures) -> None:
    checksum = pictures.put("changing", b"first", width=400, height=300)
    pictures.thumbnail("changing", checksum, (400, 300))
    page = open_at("/?image=changing")
    assert is_shown(page, ".frame img")
    checksum = pictures.put("changing", b"second", width=400, height=300)
    page.reload()
    expect(page.locator(".frame")).to_have_text(NOT_YET)
    pictures.thumbnail("changing", checksum, (400, 300))
    page.reload()
    page.wait_for_load_state("networkidle")
    assert is_shown(page, ".frame img")
    pictures.museum.put(change("changing", 100, "image.deleted"))


def test_the_picture_itself_is_saved_and_never_shown(open_at: Any, pictures: Pictures) -> None:
    drawn = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    checksum = pictures.put("drawn.svg", drawn, content_type="image/svg+xml", width=9, height=9)
    pictures.thumbnail("drawn.svg", checksum, (9, 9))
    page = open_at("/?image=drawn.svg")
    assert ".webp?" in str(page.locator(".frame img").get_attribute("src"))
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the picture").click()
    assert saved.value.suggested_filename == "drawn.svg"
    assert saved.value.path().read_bytes() == drawn
    pictures.museum.put(change("drawn.svg", 100, "image.deleted"))


def test_the_policy_allows_pictures_of_the_bucket_of_thumbnails_only(
    open_at: Any, pictures: Pictures
) -> None:
    page = open_at("/?image=landscape")
    link = pictures.links.original("landscape", f"s3://{pictures.bucket}/{PREFIX}landscape")
    blocked = page.evaluate(
        """address => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) =>
            done(event.effectiveDirective));
          document.querySelector(".frame").append(Object.assign(new Image(), {src: address}));
        })""",
        link,
    )
    assert blocked == "img-src"


_SHIFTS = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(
    list.getEntries().reduce((sum, entry) => sum + entry.value, 0)
  )).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(0), 300);
})"""
