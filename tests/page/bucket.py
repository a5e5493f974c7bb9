"""Pictures and thumbnails in the S3 of a local stack, which checks signatures and their time."""

import datetime as dt
import hashlib
import io
import uuid
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from PIL import Image

from functions.search_images.picture_links import PictureAddresses, PictureLinks
from functions.search_images.presigned import SigningKeys
from lockstep.stack.clients import LOCAL_CREDENTIALS
from lockstep.stack.stack import LOCAL_REGION
from shared.picture_ids import PREFIX
from shared.thumbnails import REASON, SIDES, ThumbnailSide, thumbnail_key
from tests.builders import change, image
from tests.page.museum import Museum

KEYS = SigningKeys(LOCAL_CREDENTIALS, LOCAL_CREDENTIALS)


def client(address: str) -> Any:
    """A client that may read and write."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name=LOCAL_REGION,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def webp(width: int, height: int, colour: str = "teal") -> bytes:
    """A picture in one colour."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "WEBP")
    return out.getvalue()


class Pictures:
    """Two buckets, links whose clock a test sets, and the page with both."""

    def __init__(self, s3_address: str, museum: Museum) -> None:
        self.museum, self.address = museum, s3_address
        self.s3: Any = client(s3_address)
        self.bucket, self.thumbnails = (f"{kind}-{uuid.uuid4()}" for kind in ("own", "thumbs"))
        for name in (self.bucket, self.thumbnails):
            self.s3.create_bucket(Bucket=name)
        self.late = dt.timedelta()
        at = PictureAddresses(
            bucket=self.bucket,
            pictures=f"{s3_address}/{self.bucket}",
            thumbnails=f"{s3_address}/{self.thumbnails}",
            region=LOCAL_REGION,
        )
        self.links = PictureLinks(at, lambda: KEYS, lambda: dt.datetime.now(dt.UTC) - self.late)
        self.site = ""
        self._versions: dict[str, int] = {}

    def put(self, image_id: str, body: bytes = b"", **fields: Any) -> str:
        """Store a picture and its image; return its checksum."""
        checksum = hashlib.sha256(body or image_id.encode()).hexdigest()
        key = f"{PREFIX}{image_id}"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body or b"picture")
        version = self._versions[image_id] = self._versions.get(image_id, 0) + 1
        usual = {"url": f"s3://{self.bucket}/{key}", "checksum": f"sha256:{checksum}"}
        its = image(**{"name": f"Thumbelina {image_id}"} | usual | fields)
        self.museum.put(change(image_id, version, image=its))
        return checksum

    def thumbnail(self, image_id: str, checksum: str, size: tuple[int, int]) -> None:
        """Store its thumbnails, in one colour."""
        for side in SIDES:
            scale = side / max(size)
            width, height = (max(1, round(length * scale)) for length in size)
            self.store(image_id, checksum, side, webp(width, height), {})

    def no_thumbnail(self, image_id: str, checksum: str, reason: str) -> None:
        """Store why there is none."""
        for side in SIDES:
            self.store(image_id, checksum, side, b"", {REASON: reason})

    def store(
        self,
        image_id: str,
        checksum: str,
        side: ThumbnailSide,
        body: bytes,
        metadata: Mapping[str, str],
    ) -> None:
        """Store one thumbnail."""
        self.s3.put_object(
            Bucket=self.thumbnails,
            Key=thumbnail_key(image_id, f"sha256:{checksum}", side),
            Body=body,
            ContentType="image/webp",
            Metadata=metadata,
        )
