"""What drawing the thumbnails of a picture ends with, and the limits of the process that draws."""

from typing import Final

import msgspec

# Of processor time. On Lambda, this much memory of the function is a whole processor.
SECONDS: Final = 10
# Of address space, which is more than what is used.
MEMORY_BYTES: Final = 1_200 * 1024 * 1024
# Of the thumbnails of one picture: WebP of 1,600 x 1,600 pixels of noise has 2 MB.
DRAWN_BYTES: Final = 16 * 1024 * 1024


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """The thumbnails of a picture, as WebP, by their longest side in pixels."""

    by_side: dict[int, bytes]


class NotDrawn(msgspec.Struct, frozen=True, tag=True):
    """The picture has no thumbnails.

    Attributes:
        reason: why, in one line, for people who look at the page.
    """

    reason: str


class NeedsMemory(msgspec.Struct, frozen=True, tag=True):
    """The picture needs more memory than the process has."""
