"""The cursor: the place of a page's last hit in the order of its query, as text for a reader.

It is not signed, for there is nothing in it that its reader could not ask anyway: another place in
the same order. It is read strictly instead: what we would not have written is none.
"""

import base64
import binascii
import hashlib
import math
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.event import ImageId


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the last hit stands: what the order goes by, and the image's id among equals.

    `respelled`: in the order of what is found when words may be mistyped.
    """

    by: Annotated[float, Meta(ge=0)] | Annotated[int, Meta(ge=0, le=2**53)]
    image_id: ImageId
    respelled: bool = False


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    asked: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    place: Place


class InvalidCursorError(Exception):
    """This is no cursor of this query; says why."""


def written(place: Place, asked: Any) -> str:
    """The cursor of a place in the order of what was asked."""
    text = msgspec.json.encode(_Cursor(_digest(asked), place))
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read(cursor: str, asked: Any) -> Place:
    """The place that a cursor says.

    Raises:
        InvalidCursorError: nobody here wrote it, or for another query.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = msgspec.json.decode(text, type=_Cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError):
        found = None
    if found is None or not math.isfinite(found.place.by) or written(found.place, asked) != cursor:
        if found is not None and found.asked != _digest(asked):
            raise InvalidCursorError("of another query: keep all parameters as they were")
        raise InvalidCursorError("not a cursor: take `next` of the page before, as it is")
    return found.place


def _digest(asked: Any) -> str:
    """A short name for what was asked."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:16]
