"""Compare one key of the picture bucket with its row and with its image in the table."""

from typing import Final, Literal

import msgspec

from lockstep.pictures.alignment import ObjectIdentity, PictureRow
from shared.stamps import is_stamp, stamp_at

# `missing`: a picture without an event. `changed`: another picture than the last event tells of.
# `gone`: an image whose picture is not there. `not_put`: an event that waits to be put.
# `unknown`: an image of a picture that is gone, of which no row knows. `other_event`: the image was
# deleted, or its checksum changed, by an event that no picture made.
PictureProblem = Literal["missing", "changed", "gone", "not_put", "unknown", "other_event"]
# `equal`: nothing is to do. `no_picture`: an object that is none, so it has no image. `recent`: its
# notification may be on its way. `behind`: its event is put, and the table does not have it yet.
PictureState = Literal["equal", "no_picture", "recent", "behind"] | PictureProblem

# What a repair can do. It never overrules an event that somebody else put.
REPAIRED: Final = frozenset({"missing", "changed", "gone", "not_put", "unknown"})


class TableImage(msgspec.Struct, frozen=True):
    """What the table has of an image.

    Attributes:
        version: its version, also of a tombstone; 0 if it has none.
        shown: whether it is an image, and not a tombstone.
        checksum: of its picture; None if it does not say.
    """

    version: int = 0
    shown: bool = False
    checksum: str | None = None


class KeyFacts(msgspec.Struct, frozen=True):
    """What is known of one key.

    Attributes:
        there: the object that the key has; None if it has none.
        row: its row; None if there is none.
        image: what the table has.
        checksum: the SHA-256 of the object's content, as events have it; None if it was not read.
    """

    there: ObjectIdentity | None
    row: PictureRow | None
    image: TableImage
    checksum: str | None = None


def state_of(facts: KeyFacts, *, now: float, grace: float) -> PictureState:
    """Whether bucket, row and table agree about a key.

    Args:
        facts: what is known of it.
        now: in seconds since 1970.
        grace: what changed within so many seconds may still be on its way.
    """
    row, there = facts.row or PictureRow(counter=0), facts.there
    if there != row.object:
        if there is not None and there.modified > now - grace:
            return "recent"
        if there is None:
            return "gone" if row.shown or facts.image.shown else "equal"
        return "changed" if facts.image.shown else "missing"
    if row.event is not None:
        is_recent = is_stamp(row.version) and row.version > stamp_at(now - grace)
        return "recent" if is_recent else "not_put"
    if facts.image.version < row.version:
        return "behind"
    if there is None:
        return "unknown" if facts.image.shown else "equal"
    if not row.shown:
        return "no_picture"
    read = facts.checksum is not None and facts.image.checksum is not None
    if not facts.image.shown or (read and facts.checksum != facts.image.checksum):
        return "other_event"
    return "equal"
