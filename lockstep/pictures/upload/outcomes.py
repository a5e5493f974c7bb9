"""What becomes of the files of an upload."""

from typing import Literal

import msgspec

from lockstep.pictures.notes import PictureNote

# Why a file is refused, in one word.
Reason = Literal[
    "left_out",
    "unreadable",
    "not_a_picture",
    "no_key",
    "same_id",
    "other_content",
    "counted_version",
    "too_much",
    "changed",
]


class RefusedFile(msgspec.Struct, frozen=True):
    """A file that is not uploaded.

    Attributes:
        file: its path, as it was named or found.
        reason: why, in one word. `left_out`: no picture was looked for, for example behind a link
            to a folder.
        detail: what is wrong, in one line.
    """

    file: str
    reason: Reason
    detail: str


# What became of a picture. `event_put`: it was in the bucket, and its event was missing, or other
# than this upload wants it. `unchanged`: picture and event were there.
End = Literal["uploaded", "replaced", "event_put", "unchanged"]


class SentPicture(msgspec.Struct, frozen=True):
    """A file that is in the bucket, and its image on the stream; or, of a dry run, would be.

    Attributes:
        file: its path, as it was named or found.
        key: the key of its object.
        image_id: the id of its image.
        end: what was done.
        size_bytes: the length of its content.
        notes: what its image does not have, and why.
    """

    file: str
    key: str
    image_id: str
    end: End
    size_bytes: int
    notes: tuple[PictureNote, ...] = ()
