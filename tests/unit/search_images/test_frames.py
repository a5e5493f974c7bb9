"""The frame of an image: thumbnails through short-lived links, sizes, and words."""

import datetime as dt
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from functions.search_images.page.frame import frame_on_card, frame_on_record
from functions.search_images.page.picture import InBucket, NotShown, ShownPicture
from functions.search_images.page.record import record_page
from functions.search_images.page.rendering import Site
from functions.search_images.page.results import results_page
from functions.search_images.page_settings import NO_SETTINGS
from functions.search_images.picture_links import PictureAddresses, PictureLinks
from functions.search_images.presigned import SigningKeys
from tests.unit.search_images.test_page import Parsed, found, hit, record

HEX = "0123456789abcdef" * 4
CHECKSUM = f"sha256:{HEX}"
URL = "s3://originals/pictures/T02680"
THUMBNAILS = "https://thumbs.s3.eu-central-1.amazonaws.com"
AT = PictureAddresses(
    bucket="originals",
    pictures="https://originals.s3.eu-central-1.amazonaws.com",
    thumbnails=THUMBNAILS,
    region="eu-central-1",
)
LINKS = PictureLinks(
    AT, lambda: SigningKeys("AKIA", "secret"), lambda: dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
)
SITE = Site(NO_SETTINGS, LINKS)


def test_a_result_shows_the_small_thumbnail_with_its_size_and_a_text_for_those_who_see_none() -> (
    None
):
    fields: dict[str, Any] = {"url": URL, "checksum": CHECKSUM, "width": 4000, "height": 3000}
    html = results_page([], found(hit(description="A view,\nfrom a hill", **fields)), site=SITE)
    (picture,) = Parsed(html).named("img")
    src = picture.pop("src")
    assert src is not None
    assert src.startswith(f"{THUMBNAILS}/T02680/{HEX}-320.webp?")
    assert picture == {
        "alt": "Richmond Hill: A view, from a hill",
        "width": "320",
        "height": "240",
        "loading": "lazy",
        "decoding": "async",
        "referrerpolicy": "no-referrer",
    }


def test_a_record_shows_the_large_thumbnail_and_saves_the_picture_itself() -> None:
    its = record(url=URL, checksum=CHECKSUM, width=4000, height=2000, size_bytes=2_345_678)
    page = Parsed(record_page([], its, site=SITE))
    (picture,) = page.named("img")
    assert str(picture["src"]).startswith(f"{THUMBNAILS}/T02680/{HEX}-1600.webp?")
    assert (picture["width"], picture["height"]) == ("1600", "800")
    saved = page.links["Download the picture (2.3 MB)"]
    assert saved is not None
    assert saved.startswith("https://originals.s3.eu-central-1.amazonaws.com/pictures/T02680?")
    assert "response-content-disposition=attachment" in saved


@pytest.mark.parametrize(
    ("url", "checksum"),
    [
        ("s3://others/pictures/T02680", CHECKSUM),
        ("s3://originals/pictures/D05526", CHECKSUM),
        ("s3://originals/T02680", CHECKSUM),
    ],
)
def test_a_picture_of_another_bucket_or_image_is_not_linked(url: str, checksum: str) -> None:
    for page in (
        Parsed(results_page([], found(hit(url=url, checksum=checksum)), site=SITE)),
        Parsed(record_page([], record(url=url, checksum=checksum), site=SITE)),
    ):
        assert page.named("img") == []
        assert "Picture in the bucket" in page.text
        assert not [link for link in page.links.values() if link and "amazonaws" in link]


@pytest.mark.parametrize("checksum", [UNSET, "md5:9f2c"])
def test_a_picture_without_a_checksum_has_no_preview_and_can_be_saved(
    checksum: str | UnsetType,
) -> None:
    its = record(url=URL, checksum=checksum)
    assert frame_on_record(its, SITE).picture == NotShown("No preview of this picture")
    page = Parsed(record_page([], its, site=SITE))
    assert "Download the picture" in page.links


def test_why_there_is_no_thumbnail_is_told_in_place_of_the_picture() -> None:
    its = record(url=URL, checksum=CHECKSUM)
    page = Parsed(record_page([], its, site=SITE, no_thumbnail="the file is cut off"))
    assert page.named("img") == []
    assert "No preview of this picture: the file is cut off" in page.text
    assert "Download the picture" in page.links


def test_a_stack_without_pictures_links_to_none() -> None:
    site = Site(NO_SETTINGS)
    assert frame_on_card(hit(url=URL, checksum=CHECKSUM), site).picture == InBucket("originals")
    page = Parsed(record_page([], record(url=URL, checksum=CHECKSUM), site=site))
    assert "Download the picture" not in page.links


@pytest.mark.parametrize(
    ("size", "room"),
    [
        ((4000, 3000), (1067, 800)),
        ((4000, 500), (1600, 200)),
        ((500, 2000), (200, 800)),
        ((200, 100), (200, 100)),
        ((2**31, 1), (1600, 1)),
        ((0, 100), (None, None)),
        ((UNSET, 100), (None, None)),
    ],
)
def test_the_room_of_a_picture_has_its_shape_and_fits_on_a_screen(
    size: tuple[int, int], room: tuple[int | None, int | None]
) -> None:
    width, height = size
    its = record(url=URL, checksum=CHECKSUM, width=width, height=height)
    frame = frame_on_record(its, SITE)
    assert isinstance(frame.picture, ShownPicture)
    assert (frame.width, frame.height) == room
