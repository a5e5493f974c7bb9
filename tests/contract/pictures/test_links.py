"""The S3 of a local stack serves what a link leads to, until the link has expired."""

import datetime as dt
import hashlib
import io
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from PIL import Image as Pixels

from functions.search_images.picture_links import LINK_SECONDS, PictureAddresses, PictureLinks
from functions.search_images.presigned import SigningKeys
from lockstep.make_thumbnails.keeping import ThumbnailBucket, ThumbnailKeeper
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.clients import LOCAL_CREDENTIALS
from shared.picture_ids import PREFIX, id_of_key
from tests.contract.pictures.conftest import picture

BUCKET, THUMBS = "linked-pictures", "linked-thumbnails"
NAME = "2024/Été 1:a.jpg"
IMAGE_ID = id_of_key(NAME)


@pytest.fixture(scope="module")
def endpoint(s3_endpoint: str) -> str:
    return s3_endpoint


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    found = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
        config=Config(s3={"addressing_style": "path"}),
    )
    for bucket in (BUCKET, THUMBS):
        found.create_bucket(Bucket=bucket)
    return found


def keep(client: Any) -> None:
    """Bring the thumbnails in line, as the function does."""
    keeper = ThumbnailKeeper(
        BucketPictures(client, BUCKET, PictureSettings(zone=dt.UTC)),
        ThumbnailBucket(client, THUMBS),
        draw_in_sandbox,
        checksum_bytes=10**9,
    )
    keeper.keep(PREFIX + NAME)


def links(endpoint: str, ago: float = 0, secret: str = LOCAL_CREDENTIALS) -> PictureLinks:
    """Links that are signed so many seconds ago."""
    now = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago)
    at = PictureAddresses(BUCKET, f"{endpoint}/{BUCKET}", f"{endpoint}/{THUMBS}", "us-east-1")
    return PictureLinks(at, lambda: SigningKeys(LOCAL_CREDENTIALS, secret, "local"), lambda: now)


def checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def got(link: str | None) -> urllib3.BaseHTTPResponse:
    assert link is not None
    return urllib3.request("GET", link)


def test_a_picture_in_the_bucket_is_shown_by_a_link_and_an_expired_one_is_refused(
    endpoint: str, client: Any
) -> None:
    content = picture("red")
    client.put_object(Bucket=BUCKET, Key=PREFIX + NAME, Body=content)
    keep(client)
    for side in (320, 1600):
        answer = got(links(endpoint).thumbnail(IMAGE_ID, checksum(content), side))
        assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")
        assert Pixels.open(io.BytesIO(answer.data)).size == (8, 6)
    for wrong in (links(endpoint, ago=LINK_SECONDS + 1), links(endpoint, secret="another")):
        assert got(wrong.thumbnail(IMAGE_ID, checksum(content), 320)).status == 403
    unsigned = str(links(endpoint).thumbnail(IMAGE_ID, checksum(content), 320)).partition("?")[0]
    assert got(unsigned).status == 403


def test_the_picture_itself_is_saved_as_a_file(endpoint: str, client: Any) -> None:
    content = picture("green")
    client.put_object(Bucket=BUCKET, Key=PREFIX + NAME, Body=content)
    answer = got(links(endpoint).original(IMAGE_ID, f"s3://{BUCKET}/{PREFIX}{NAME}"))
    assert (answer.status, answer.data) == (200, content)
    assert answer.headers["content-disposition"] == "attachment"


def test_an_old_thumbnail_is_never_shown_for_a_new_picture(endpoint: str, client: Any) -> None:
    old, new = picture("blue"), picture("white")
    client.put_object(Bucket=BUCKET, Key=PREFIX + NAME, Body=old)
    keep(client)
    before = links(endpoint).thumbnail(IMAGE_ID, checksum(old), 320)
    assert got(before).status == 200
    client.put_object(Bucket=BUCKET, Key=PREFIX + NAME, Body=new)
    # The record may have the new checksum before the thumbnail is there: then there is none.
    assert got(links(endpoint).thumbnail(IMAGE_ID, checksum(new), 320)).status == 404
    keep(client)
    assert got(links(endpoint).thumbnail(IMAGE_ID, checksum(new), 320)).status == 200
    assert got(before).status == 404


def test_the_reason_of_a_placeholder_is_read_by_one_request(endpoint: str, client: Any) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    client.put_object(Bucket=BUCKET, Key=PREFIX + NAME, Body=svg)
    keep(client)
    found = links(endpoint)
    reason = "an SVG file: only pictures of pixels have a thumbnail"
    assert found.reason(IMAGE_ID, checksum(svg)) == reason
    assert links(endpoint, ago=LINK_SECONDS + 1).reason(IMAGE_ID, checksum(svg)) is None
    assert got(found.thumbnail(IMAGE_ID, checksum(svg), 1600)).data == b""
