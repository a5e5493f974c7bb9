"""Links to pictures: which keys have one, how long it is the same, what the page allows."""

import datetime as dt
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from urllib3 import HTTPResponse, PoolManager
from urllib3.exceptions import ConnectTimeoutError

from functions.search_images.page.rendering import Site
from functions.search_images.page_settings import PageSettings
from functions.search_images.picture_links import (
    LINK_SECONDS,
    ROUNDED_SECONDS,
    PictureAddresses,
    PictureLinks,
    links_in,
)
from functions.search_images.presigned import SigningKeys
from shared.picture_ids import id_of_key
from shared.sink import MisconfiguredError

BEGIN = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
HEX = "0123456789abcdef" * 4
CHECKSUM = f"sha256:{HEX}"
HOST = "thumbs.s3.eu-central-1.amazonaws.com"
AT = PictureAddresses(
    bucket="bucket",
    pictures="https://bucket.s3.eu-central-1.amazonaws.com",
    thumbnails=f"https://{HOST}",
    region="eu-central-1",
)


class AnsweringHttp(PoolManager):
    """Answers each request, and keeps it."""

    def __init__(self, status: int = 200, **metadata: str) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self._status = status
        self._headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}

    def request(self, method: str, url: str, *_: object, **__: object) -> HTTPResponse:
        self.asked.append((method, url))
        return HTTPResponse(status=self._status, headers=self._headers)


class SilentHttp(PoolManager):
    """Never answers."""

    def request(self, method: str, url: str, *_: object, **__: object) -> HTTPResponse:
        raise ConnectTimeoutError(f"{method} {url}")


def links(seconds: float = 0, http: PoolManager | None = None) -> PictureLinks:
    return PictureLinks(
        AT,
        lambda: SigningKeys("AKIA", "secret", "token"),
        lambda: BEGIN + dt.timedelta(seconds=seconds),
        lambda: http or PoolManager(),
    )


def signed_in(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).query)


def test_the_key_of_a_thumbnail_is_made_of_id_and_checksum() -> None:
    link = links().thumbnail("a:1.jpg", CHECKSUM, 320)
    assert link is not None
    assert link.startswith(f"https://{HOST}/a%3A1.jpg/{HEX}-320.webp?")
    assert signed_in(link)["X-Amz-Date"] == ["20261130T120000Z"]
    assert signed_in(link)["X-Amz-Expires"] == ["900"]
    assert signed_in(link)["X-Amz-Credential"] == ["AKIA/20261130/eu-central-1/s3/aws4_request"]
    assert signed_in(link)["X-Amz-Security-Token"] == ["token"]


@pytest.mark.parametrize(
    "checksum", [UNSET, "", "md5:abc", f"sha256:{HEX.upper()}", f"{CHECKSUM}/../x", HEX]
)
def test_an_image_without_a_sha_256_has_no_thumbnail(checksum: str) -> None:
    http = AnsweringHttp(reason="never asked")
    assert links().thumbnail("a", checksum, 1600) is None
    assert links(http=http).reason("a", checksum) is None
    assert http.asked == []


@given(st.integers(0, 10 * ROUNDED_SECONDS))
def test_a_link_is_the_same_for_five_minutes_and_works_for_ten_more(seconds: int) -> None:
    link = links(seconds).thumbnail("a", CHECKSUM, 320)
    before = ROUNDED_SECONDS * (seconds // ROUNDED_SECONDS)
    assert link == links(before).thumbnail("a", CHECKSUM, 320)
    assert link != links(before + ROUNDED_SECONDS).thumbnail("a", CHECKSUM, 320)
    assert before + LINK_SECONDS - seconds > 600


@pytest.mark.parametrize("key", ["T02680.jpg", "2024/Été/plage.jpg", "a b", "x" * 300])
def test_the_picture_itself_is_a_download(key: str) -> None:
    link = links().original(id_of_key(key), f"s3://bucket/pictures/{key}")
    assert link is not None
    assert link.startswith("https://bucket.s3.eu-central-1.amazonaws.com/")
    assert signed_in(link)["response-content-disposition"] == ["attachment"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_url_makes_the_function_sign_for_the_picture_of_another_image(
    mine: str, other: str
) -> None:
    url = f"s3://bucket/pictures/{other}"
    assert (links().original(id_of_key(mine), url) is None) == (mine != other or not other)


@pytest.mark.parametrize(
    "url",
    [
        UNSET,
        "",
        "T02680.jpg",
        "https://bucket.s3.eu-central-1.amazonaws.com/pictures/T02680.jpg",
        "s3://others/pictures/T02680.jpg",
        "s3://bucket/T02680.jpg",
        "s3://bucket",
        "s3://bucket/pictures/",
        "S3://bucket/pictures/T02680.jpg",
    ],
)
def test_a_picture_elsewhere_has_no_link(url: str) -> None:
    assert links().original("T02680.jpg", url) is None


def test_the_reason_is_in_the_metadata_of_the_large_thumbnail() -> None:
    http = AnsweringHttp(reason="a PNG file of more than 50 megapixels")
    assert links(http=http).reason("a", CHECKSUM) == "a PNG file of more than 50 megapixels"
    ((method, url),) = http.asked
    assert (method, url.partition("?")[0]) == ("HEAD", f"https://{HOST}/a/{HEX}-1600.webp")


@pytest.mark.parametrize(
    "http", [AnsweringHttp(), AnsweringHttp(403, reason="x"), AnsweringHttp(404), SilentHttp()]
)
def test_without_an_answer_or_a_reason_there_is_none(http: PoolManager) -> None:
    assert links(http=http).reason("a", CHECKSUM) is None


def test_the_policy_of_the_page_allows_the_bucket_of_thumbnails() -> None:
    site = Site(PageSettings(picture_hosts="pictures.example"), links())
    allowed = f"img-src data: https://{HOST}/ pictures.example;"
    assert allowed in site.headers["Content-Security-Policy"]


def test_the_environment_says_where_the_pictures_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    environment = {
        "PICTURE_BUCKET": "pictures",
        "PICTURES_ENDPOINT": "pictures.s3.us-east-1.amazonaws.com",
        "THUMBNAILS_ENDPOINT": "http://127.0.0.1:80/thumbs",
    }
    found = links_in(environment, botocore.session.Session())
    assert found.sources == ("http://127.0.0.1:80/thumbs/",)
    link = found.thumbnail("a", CHECKSUM, 320)
    assert link is not None
    assert link.startswith(f"http://127.0.0.1:80/thumbs/a/{HEX}-320.webp?")
    original = found.original("a", "s3://pictures/pictures/a")
    assert original is not None
    assert original.startswith("https://pictures.s3.us-east-1.amazonaws.com/pictures/a?")


def test_links_without_a_region_are_a_misconfiguration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(MisconfiguredError, match="set credentials and a region"):
        links_in({}, botocore.session.Session())
