"""Thumbnails: their keys, and what stands in the place of one that cannot be made.

The key has the checksum of the picture, so a thumbnail of an earlier picture is never shown for a
later one. An id has no `/` and is never `.` or `..`, so it needs no escaping in a key.

A picture that cannot be shown has empty objects under the same keys. Their metadata say why.
"""

import re
from typing import Final, Literal

# The longest sides of the two thumbnails of a picture, in pixels.
type ThumbnailSide = Literal[320, 1600]
SIDES: Final[tuple[ThumbnailSide, ...]] = (320, 1600)

# The name in the metadata of an object of the reason why there is no thumbnail; the value is ASCII.
REASON: Final = "reason"

_CHECKSUM = re.compile(r"sha256:([0-9a-f]{64})")


def thumbnail_key(image_id: str, checksum: str, side: ThumbnailSide) -> str | None:
    """The key of a thumbnail: `ID/CHECKSUM-SIDE.webp`, with the checksum in hex.

    Args:
        image_id: a valid id.
        checksum: as in the event of the image; any text.
        side: the longest side.

    Returns:
        None if the checksum is not a SHA-256: such an image has no thumbnail.
    """
    found = _CHECKSUM.fullmatch(checksum)
    return f"{image_id}/{found[1]}-{side}.webp" if found else None
