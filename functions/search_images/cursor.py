"""The cursor of a page: the position of its last hit in the sort order, encoded as text.

It is not signed: it gives no access to anything that a search does not return. It is parsed
strictly: only text that `encode_cursor` returns is a cursor.
"""

import base64
import binascii
import hashlib
import json
import math
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.event import ImageId


class HitPosition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The position of the last hit: its sort value, and its image id to break ties.

    `corrected` is true if the search used alternatives of misspelled words, because they change the
    order.
    """

    sort_value: Annotated[float, Meta(ge=0)] | Annotated[int, Meta(ge=0, le=2**53)]
    image_id: ImageId
    corrected: bool = False


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    asked: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    place: HitPosition


class InvalidCursorError(Exception):
    """The text is not a cursor of this search. The message says why."""


def encode_cursor(place: HitPosition, asked: Any) -> str:
    """The cursor of a position in the sort order of this search."""
    text = msgspec.json.encode(_Cursor(digest(asked), place))
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_cursor(cursor: str, asked: Any) -> HitPosition:
    """The position in a cursor.

    Raises:
        InvalidCursorError: the text is not a cursor, or is one of another search.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = msgspec.json.decode(text, type=_Cursor)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError):
        found = None
    if (
        found is None
        or not math.isfinite(found.place.sort_value)
        or encode_cursor(found.place, asked) != cursor
    ):
        if found is not None and found.asked != digest(asked):
            raise InvalidCursorError(
                "a cursor of another search: keep all other parameters unchanged"
            )
        raise InvalidCursorError("not a cursor: use `next` of the previous page unchanged")
    return found.place


@lru_cache(maxsize=16)  # a request asks for it twice
def digest(asked: Any) -> str:
    """A short digest of a search. It is in the cursors that belong to the search."""
    # In ASCII: a typed text may have half of a surrogate pair, which UTF-8 cannot encode.
    text = json.dumps(msgspec.to_builtins(asked, order="sorted"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
