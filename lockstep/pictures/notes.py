"""What was left out of a picture's metadata, and the error of what is no picture at all."""

from collections.abc import Callable

import msgspec

from lockstep.console.errors import UserError


class PictureNote(msgspec.Struct, frozen=True):
    """One thing of a picture that its image does not have, or has changed.

    Attributes:
        field: what it is about: a field of the image, or `file`, `exif`, `iptc`, `xmp`.
        why: what was left out or changed, and why; one line.
    """

    field: str
    why: str


# A function that keeps a note: the field, and why.
TakeNote = Callable[[str, str], None]


class NotAPictureError(UserError):
    """A file cannot be an image; the message says what it is, or what is wrong with it."""
