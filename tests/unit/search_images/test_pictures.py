"""Which picture the page shows, and what it says instead of one."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest

from functions.search_images.page.picture import (
    Elsewhere,
    InBucket,
    NotShown,
    ShownPicture,
    on_the_web,
    picture_at,
)
from functions.search_images.page.record import record_page
from functions.search_images.page.rendering import PLAIN, Site
from functions.search_images.page.results import results_page
from functions.search_images.page_settings import PageSettings
from tests.unit.search_images.test_page import Parsed, found, hit, record

HOSTS = "pictures.example,*.museum.example"
SITE = Site(PageSettings(picture_hosts=HOSTS))


def on_a_card(url: str, site: Site = SITE) -> Parsed:
    return Parsed(results_page([], found(hit(url=url)), site=site))


def on_a_record(url: str, site: Site = SITE) -> Parsed:
    return Parsed(record_page([], record(url=url), site=site))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://pictures.example/a.jpg", ["pictures.example"]),
        ("http://pictures.example", ["pictures.example"]),
        ("HTTPS://Pictures.Example:443/a", ["pictures.example"]),
        ("https://a.b.museum.example/1", ["pictures.example", "*.museum.example"]),
        ("https://pictures.example:8443/1", ["pictures.example:8443"]),
    ],
)
def test_a_picture_of_a_host_that_is_allowed_is_shown(url: str, hosts: Sequence[str]) -> None:
    assert picture_at(url, hosts) == ShownPicture(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://stranger.example/a.jpg", "stranger.example"),
        ("https://pictures.example.stranger.example/", "pictures.example.stranger.example"),
        ("https://xmuseum.example/a", "xmuseum.example"),
        ("https://museum.example/a", "museum.example"),
        ("https://pictures.example@stranger.example/a", "stranger.example"),
        ("https://pictures.example:8443/a", "pictures.example"),
        ("https://pictures.example./a", "pictures.example."),
    ],
)
def test_a_picture_elsewhere_is_named_and_opened_by_the_reader_only(url: str, host: str) -> None:
    assert picture_at(url, HOSTS.split(",")) == Elsewhere(host, url)
    card = on_a_card(url)
    assert f"Picture at {host}" in card.text
    assert card.named("img") == []
    whole = on_a_record(url)
    assert f"Picture at {host}" in whole.text
    assert whole.named("img") == []
    assert {"href": url, "rel": "noreferrer noopener"} in whole.named("a")


def test_without_a_setting_no_host_is_asked_for_a_picture() -> None:
    assert on_a_card("https://pictures.example/a.jpg", PLAIN).named("img") == []
    assert "img-src data:;" in PLAIN.headers["Content-Security-Policy"]


def test_the_policy_allows_the_same_hosts() -> None:
    expected = "img-src data: pictures.example *.museum.example;"
    assert expected in SITE.headers["Content-Security-Policy"]


def test_a_picture_tells_its_host_nothing_and_waits_until_it_is_seen() -> None:
    (picture,) = on_a_card("https://pictures.example/a.jpg").named("img")
    assert picture == {
        "src": "https://pictures.example/a.jpg",
        "alt": "Richmond Hill",
        "loading": "lazy",
        "decoding": "async",
        "referrerpolicy": "no-referrer",
    }


def test_the_picture_of_a_record_has_its_name_and_its_size() -> None:
    its = record(url="https://pictures.example/a.jpg", width=4000, height=500)
    (picture,) = Parsed(record_page([], its, site=SITE)).named("img")
    assert picture["alt"] == "Richmond Hill"
    assert (picture["width"], picture["height"]) == ("1600", "200")
    assert "loading" not in picture, "it is what people want first"


def test_a_picture_in_a_bucket_is_told_and_no_address_is_made_of_it() -> None:
    assert picture_at("s3://originals/1.tif", ["originals"]) == InBucket("originals")
    for page in (on_a_card("s3://originals/1.tif"), on_a_record("s3://originals/1.tif")):
        assert "Picture in the bucket originals" in page.text
        assert page.named("img") == []


def test_an_image_without_an_address_has_no_picture() -> None:
    assert picture_at("", []) == NotShown("No picture")
    assert "No picture" in Parsed(results_page([], found(hit()))).text
    assert "No picture" in Parsed(record_page([], record())).text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)//https://x",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:image/svg+xml,<svg/>",
        "file:///etc/passwd",
        "ftp://pictures.example/a.jpg",
        "https:/a.jpg",
        "https://[half",
        "https://pictures.example:port/",
        "//pictures.example/a.jpg",
        "/a.jpg",
        "https://stranger.example\\@pictures.example/a.jpg",
        "https://pictures.example\t/a.jpg",
    ],
)
def test_any_other_address_is_told_and_never_followed(url: str) -> None:
    assert not on_the_web(url)
    assert picture_at(url, HOSTS.split(",")) == NotShown("No picture that a browser can show")
    for page in (on_a_card(url), on_a_record(url)):
        assert page.named("img") == []
        for link in page.named("a"):
            parts = urlsplit(str(link["href"]))
            assert (parts.scheme, parts.netloc) == ("", ""), "every link stays on this site"
