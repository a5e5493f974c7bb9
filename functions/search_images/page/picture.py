"""The picture of an image: its address, or a placeholder."""

from urllib.parse import urlsplit
from zlib import crc32

import msgspec


class Placeholder(msgspec.Struct, frozen=True):
    """A drawing of hills and a sun for an image without a picture. It depends only on the id."""

    hue: int
    mirrored: int
    sun: int
    height: int
    bend: int
    far: int
    near: int


def on_the_web(url: object) -> bool:
    """Whether a browser may load this URL: as a picture or by a link."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def placeholder(image_id: str) -> Placeholder:
    """The placeholder of an image. Its shapes follow from a hash of the image id."""
    chance = crc32(image_id.encode())

    def among(count: int) -> int:
        nonlocal chance
        chance, chosen = divmod(chance, count)
        return chosen

    return Placeholder(
        hue=among(360),
        mirrored=among(2),
        sun=16 + among(88),
        height=18 + among(14),
        bend=26 + among(20),
        far=50 + among(16),
        near=68 + among(8),
    )
