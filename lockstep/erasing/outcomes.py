"""What became of each image that was to be erased."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

EraseResult = Literal["erased", "not_applied", "absent", "uploaded_again", "not_erased", "unknown"]


class ErasedImage(msgspec.Struct, frozen=True):
    """What became of one image.

    Attributes:
        image_id: the image.
        result: `erased`: nothing is left but tombstones. `not_applied`: a dry run. `absent`: there
            was nothing. `uploaded_again`: a new image with this id came meanwhile, and stays.
            `not_erased`: something is left, and the detail says what. `unknown`: a store did not
            have the tombstone in time, so something may be left.
        detail: the same in words.
        found: what there was, by place: how many items, documents, objects or versions of objects.
        version: the version of the tombstone; null if there is none.
        arrived_at: when its deletion arrived on the stream; null if there is none.
        uploaded_at: when the new image came; null if there is none.
    """

    image_id: str
    result: EraseResult
    detail: str
    found: Mapping[str, int]
    version: int | None = None
    arrived_at: dt.datetime | None = None
    uploaded_at: dt.datetime | None = None


class Remains(msgspec.Struct, frozen=True):
    """What only time removes.

    Attributes:
        what: what it is.
        until: when it is gone; null if only a person can delete it, or nobody knows.
        how: how that comes, or what a person has to do.
    """

    what: str
    until: dt.datetime | None
    how: str


class Erasure(msgspec.Struct, frozen=True):
    """What became of all images.

    Attributes:
        images: each image.
        unreadable: objects of which nobody knows whether they hold content, and why.
        remains: what only time removes.
    """

    images: Sequence[ErasedImage]
    unreadable: Sequence[str]
    remains: Sequence[Remains]
