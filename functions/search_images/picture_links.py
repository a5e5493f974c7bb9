"""The addresses of the pictures that the page shows: presigned links into the stack's own buckets.

The key of a thumbnail is made of the id and the checksum of the image. The key of a picture cannot
be computed from a derived id, so it comes from the image's `url`; but only the one key whose id is
the image's id is taken. So no producer can make the function sign for another object.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UnsetType
from urllib3 import HTTPHeaderDict, PoolManager
from urllib3.exceptions import HTTPError

from functions.search_images.presigned import SigningKeys, presigned
from shared.picture_ids import PREFIX, id_of_key, key_after
from shared.sink import MisconfiguredError
from shared.thumbnails import REASON, ThumbnailSide, thumbnail_key

if TYPE_CHECKING:
    from botocore.session import Session

# How long a link works, from the time of its signature: that time is rounded down, so the links of
# a page that is loaded again within this many seconds are the same, and work for ten minutes more.
LINK_SECONDS: Final = 15 * 60
ROUNDED_SECONDS: Final = 5 * 60
_REASON_SECONDS = 1.0
# A browser saves what it gets, and does not open it: an SVG file could contain a script.
_AS_DOWNLOAD: Mapping[str, str] = {"response-content-disposition": "attachment"}


class PictureAddresses(msgspec.Struct, frozen=True):
    """Where the pictures and their thumbnails are.

    Attributes:
        bucket: the name of the bucket of pictures, as in an image's `url`.
        pictures: the regional address of that bucket, without a slash at the end.
        thumbnails: that of the bucket of thumbnails.
        region: of both.
    """

    bucket: str
    pictures: str
    thumbnails: str
    region: str


class PictureLinks:
    """Makes links to the pictures of a stack."""

    def __init__(
        self,
        at: PictureAddresses,
        keys: Callable[[], SigningKeys],
        now: Callable[[], dt.datetime],
        http: Callable[[], PoolManager] = PoolManager,
    ) -> None:
        """Set up the links.

        Args:
            at: where the pictures are.
            keys: the credentials of the function, which may change.
            now: the time, with a zone.
            http: makes the client that asks for the reason.
        """
        self._at = at
        self._keys = keys
        self._now = now
        self._new_http = http
        self._http: PoolManager | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """What a Content-Security-Policy must allow so that thumbnails are shown."""
        parts = urlsplit(self._at.thumbnails)
        return (f"{parts.scheme}://{parts.netloc}{parts.path}/",)

    def thumbnail(
        self, image_id: str, checksum: str | UnsetType, side: ThumbnailSide
    ) -> str | None:
        """The link to a thumbnail. It may not exist: then it answers with an error, or is empty.

        Args:
            image_id: the id of the image.
            checksum: its checksum; an image without one has no thumbnail.
            side: the longest side in pixels.
        """
        key = thumbnail_key(image_id, checksum, side) if isinstance(checksum, str) else None
        return None if key is None else self._link(self._at.thumbnails, key)

    def has(self, image_id: str, url: object) -> bool:
        """Whether the picture of an image is in the bucket of pictures, as its `url` says."""
        return self._key(image_id, url) is not None

    def original(self, image_id: str, url: str | UnsetType) -> str | None:
        """The link that saves the picture itself.

        Args:
            image_id: the id of the image.
            url: the `url` of the image. It only says which key to try.

        Returns:
            None if the image's picture is not in the bucket of pictures.
        """
        key = self._key(image_id, url)
        return None if key is None else self._link(self._at.pictures, key, _AS_DOWNLOAD)

    def reason(self, image_id: str, checksum: str | UnsetType) -> str | None:
        """Why the picture has no thumbnail, in words; asks the bucket of thumbnails.

        Returns:
            None if it has one, if it has none yet, or if the bucket does not answer in a second.
        """
        key = thumbnail_key(image_id, checksum, 1600) if isinstance(checksum, str) else None
        if key is None:
            return None
        link = presigned(
            self._at.thumbnails,
            key,
            self._keys(),
            region=self._at.region,
            at=self._signed_at(),
            seconds=LINK_SECONDS,
            method="HEAD",
        )
        if self._http is None:
            self._http = self._new_http()
        try:
            answer = self._http.request("HEAD", link, timeout=_REASON_SECONDS, retries=False)
        except HTTPError:
            return None
        return _reason_in(answer.status, answer.headers)

    def _key(self, image_id: str, url: object) -> str | None:
        """The key of an image's picture; None if the `url` names another bucket or image."""
        bucket = f"s3://{self._at.bucket}/"
        if not isinstance(url, str) or not url.startswith(bucket):
            return None
        key = url.removeprefix(bucket)
        rest = key_after(PREFIX, key)
        return key if rest is not None and id_of_key(rest) == image_id else None

    def _link(self, bucket_url: str, key: str, query: Mapping[str, str] = {}) -> str:
        return presigned(
            bucket_url,
            key,
            self._keys(),
            region=self._at.region,
            at=self._signed_at(),
            seconds=LINK_SECONDS,
            query=query,
        )

    def _signed_at(self) -> dt.datetime:
        seconds = int(self._now().timestamp())
        return dt.datetime.fromtimestamp(seconds - seconds % ROUNDED_SECONDS, dt.UTC)


def _reason_in(status: int, headers: HTTPHeaderDict) -> str | None:
    return headers.get(f"x-amz-meta-{REASON}") if status == HTTPStatus.OK else None


def links_in(environment: Mapping[str, str], session: "Session") -> PictureLinks:
    """Links as the environment of a function says it.

    Raises:
        MisconfiguredError: there are no credentials or no region.
        KeyError: a variable is missing.
    """
    credentials = session.get_credentials()
    region = session.get_config_variable("region")
    if credentials is None or region is None:
        raise MisconfiguredError("links to pictures must be signed: set credentials and a region")

    def keys() -> SigningKeys:
        now = credentials.get_frozen_credentials()  # botocore refreshes them
        return SigningKeys(now.access_key or "", now.secret_key or "", now.token)

    at = PictureAddresses(
        bucket=environment["PICTURE_BUCKET"],
        pictures=_url(environment["PICTURES_ENDPOINT"]),
        thumbnails=_url(environment["THUMBNAILS_ENDPOINT"]),
        region=region,
    )
    return PictureLinks(at, keys, lambda: dt.datetime.now(dt.UTC))


def _url(endpoint: str) -> str:
    """The address of a bucket. A host name, as CloudFormation says it, means https."""
    return endpoint if "://" in endpoint else f"https://{endpoint}"
