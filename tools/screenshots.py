"""Take the screenshots of the search page for the guide: `python -m tools.screenshots`.

Writes docs/page-*.png: the 2,000 real records, which have no pictures, and the drawn pictures in
data/pictures with their thumbnails. Needs Chromium and the real engines.
"""

import datetime as dt
import sys
from pathlib import Path

import msgspec
from playwright.sync_api import Page

from functions.search_images.page_settings import NO_SETTINGS
from lockstep.make_thumbnails.outcome import Drawn
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from lockstep.pictures.image import GivenFields, image_of
from lockstep.pictures.reading import PictureSettings, read_picture
from shared.thumbnails import SIDES
from tests.page.browser import MISSING, PHONE, Circumstances, Visit, chromium, started
from tests.page.bucket import Pictures
from tests.page.museum import Museum, query_side
from tests.real_images import indexed
from tests.serving import serving
from tools.engines import engines_for_tests

ROOT = Path(__file__).parents[1]
DOCS, DRAWN = ROOT / "docs", ROOT / "data" / "pictures"
FACETS = ("author", "camera", "artist")
# Only the drawn pictures say when they were taken.
PICTURES = "/?taken_from=2022&taken_to=2025&attr.camera=Kamome+X7"
SHOWN: dict[str, tuple[Circumstances, str]] = {
    "light": ({"size": (1280, 1250)}, PICTURES),
    "dark": ({"scheme": "dark", "size": (1280, 1250)}, "/?q=richmnd"),
    "phone": ({"size": PHONE}, PICTURES),
    "filters": ({"size": (768, 1024)}, f"{PICTURES}#facet-attr.camera"),
    "record": ({}, f"{PICTURES}&image=lighthouse.jpg&at=5"),
}
TRIES = 10
LOADED = "() => [...document.images].every((one) => one.loading === 'lazy' || one.complete)"


def put_drawn(pictures: Pictures) -> None:
    """Put the drawn pictures, as `lockstep upload` and the function for thumbnails do."""
    for file in sorted(DRAWN.iterdir()):
        with file.open("rb") as content:
            read = read_picture(content, PictureSettings(zone=dt.UTC))
            drawn = draw_in_sandbox(content)
        described = image_of(read, GivenFields(file_name=file.name)).image
        fields = {
            name: value
            for name in described.__struct_fields__
            if (value := getattr(described, name)) is not msgspec.UNSET and name != "url"
        }
        checksum = pictures.put(file.name, file.read_bytes(), **fields)
        if not isinstance(drawn, Drawn):
            sys.exit(f"{file.name}: {drawn.reason}")
        for side in SIDES:
            pictures.store(file.name, checksum, side, drawn.by_side[side], {})


def opened(visit: Visit, path: str) -> Page:
    """The page with its pictures. On a busy machine, the index may answer too late at first."""
    for _ in range(TRIES):
        page = visit.open(path)
        if page.get_by_role("alert").count() == 0:
            page.wait_for_load_state("networkidle")
            page.wait_for_function(LOADED)
            return page
    sys.exit(f"{path} shows a problem: run it again when the machine does less")


def main() -> None:
    """Open the page with the records and the pictures, and take each screenshot."""
    program = chromium()
    if program is None:
        sys.exit(MISSING)
    with (
        engines_for_tests() as engine,
        indexed(engine("opensearch"), shards=1) as real,
    ):
        museum = Museum(engine("opensearch"), engine("dynamodb"), real)
        pictures = Pictures(engine("s3"), museum)
        put_drawn(pictures)
        app = query_side(museum, NO_SETTINGS, pictures.links, FACETS)
        with serving(app) as site, started(program) as browser:
            for name, (circumstances, path) in SHOWN.items():
                circumstances["bucket"] = pictures.address
                visit = Visit(browser, site, **circumstances)
                page = opened(visit, path)
                page.screenshot(path=DOCS / f"page-{name}.png")
                visit.close()


if __name__ == "__main__":
    main()
