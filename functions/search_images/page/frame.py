"""The frame of an image: its picture with size and alternative text, or words that say why not.

Pictures in the stack's own bucket are shown by their thumbnails, through short-lived links.
"""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from functions.search_images.page.picture import (
    InBucket,
    NotShown,
    Picture,
    ShownPicture,
    picture_at,
)
from functions.search_images.page.rendering import Site, shortly
from functions.search_images.record import ImageRecord
from functions.search_images.search import Hit
from functions.search_images.visible import shown
from shared.thumbnails import ThumbnailSide

_ON_CARD: Final[ThumbnailSide] = 320
_ON_RECORD: Final[ThumbnailSide] = 1600
# A record shows no picture higher than this, so that text is near: CSS pixels.
HIGHEST = 800
NO_PREVIEW = "No preview of this picture"


class Frame(msgspec.Struct, frozen=True):
    """What is in the frame of an image.

    Attributes:
        picture: what is shown.
        alt: the text for those who do not see it.
        width: its width in CSS pixels if there is room; None if the image has no size.
        height: its height.
        missing: the words in its place if it does not load.
    """

    picture: Picture
    alt: str
    width: int | None
    height: int | None
    missing: str


def frame_on_card(hit: Hit, site: Site) -> Frame:
    """The frame of a result."""
    picture = _picture(hit.image_id, hit.url, hit.checksum, site, _ON_CARD)
    return _framed(picture, hit.name, hit.description, (hit.width, hit.height), _ON_CARD)


def frame_on_record(record: ImageRecord, site: Site, reason: str | None = None) -> Frame:
    """The frame of a whole record.

    Args:
        record: the record.
        site: the frame of the page.
        reason: why its picture has no thumbnail (`PictureLinks.reason`).
    """
    image = record.image
    if reason is None:
        picture = _picture(record.image_id, image.url, image.checksum, site, _ON_RECORD)
    else:
        picture = NotShown(f"{NO_PREVIEW}: {reason}")
    return _framed(picture, image.name, image.description, (image.width, image.height), _ON_RECORD)


def _picture(
    image_id: str, url: object, checksum: str | UnsetType, site: Site, side: ThumbnailSide
) -> Picture:
    picture = picture_at(url, site.picture_hosts)
    links = site.pictures
    if not isinstance(picture, InBucket) or links is None or not links.has(image_id, url):
        return picture
    link = links.thumbnail(image_id, checksum, side)
    return NotShown(NO_PREVIEW) if link is None else ShownPicture(link, is_preview=True)


def _framed(
    picture: Picture,
    name: str,
    description: str | UnsetType,
    size: tuple[int | UnsetType, int | UnsetType],
    side: int,
) -> Frame:
    width, height = _fitted(*size, side)
    is_preview = isinstance(picture, ShownPicture) and picture.is_preview
    return Frame(
        picture=picture,
        alt=shortly(f"{shown(name)}: {description}" if description else shown(name)),
        width=width,
        height=height,
        missing=f"{NO_PREVIEW} yet" if is_preview else "The picture does not load",
    )


def _fitted(
    width: int | UnsetType, height: int | UnsetType, side: int
) -> tuple[int | None, int | None]:
    """The size at which a picture fits, never larger than it is."""
    if width is UNSET or height is UNSET or not (width and height):
        return None, None
    scale = min(1, side / max(width, height), HIGHEST / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
