"""Bring the image of one key in line with the object that the bucket holds now.

Notifications of a bucket come late, twice and out of order. So nothing is taken from them but the
key: this routine looks at the object itself, and a row for each key puts all who look in one order.

1. Read the row, strongly consistent.
2. Read the object as it is now.
3. Write the row, with the object's identity and the next event, if the row is as it was read. If
   not, begin again.
4. Put that event onto the stream.
5. Note in the row that the event is put, under the same condition.

Who writes the row has read the object after the row that it replaces. So the last row tells of the
last object, and a row with a higher version never tells of an earlier one. A row is written even if
there is nothing to put: otherwise a slow routine that read the same row earlier, and an older
object, would still find the row as it was, and bring the old picture back.

The routine does no input or output itself. It yields what it wants to know or to be done, and gets
the answer. So tests can run any number of them in any order, and stop each at every step.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET
from msgspec.json import encode
from msgspec.structs import replace

from lockstep.console.errors import UserError
from shared.event import Event, EventType, Image
from shared.stamps import is_stamp, stamp_at


class ObjectIdentity(msgspec.Struct, frozen=True):
    """Tells one content of a key from another, without reading it.

    Attributes:
        etag: as S3 says it.
        modified: when S3 stored it, in seconds since 1970.
        size_bytes: the length of its content.
    """

    etag: str
    modified: int
    size_bytes: int


class PictureRow(msgspec.Struct, frozen=True):
    """What is known of one key.

    Attributes:
        counter: counts the writes of the row; a write needs the counter that was read.
        version: the version of the last event; 0 if there was none.
        object: the object that the last event tells of; None if the key has none.
        shown: whether the last event is an image; false after a deletion, and without an event.
        given: a digest of the tags and attributes that an upload gave; None if there were none.
        event: the last event, as it goes onto the stream; None once it is put.
    """

    counter: int
    version: int = 0
    object: ObjectIdentity | None = None
    shown: bool = False
    given: str | None = None
    event: bytes | None = None


class ReadRow(msgspec.Struct, frozen=True):
    """Wanted: the row, strongly consistent, as `PictureRow`, or None."""


class LookAtObject(msgspec.Struct, frozen=True):
    """Wanted: the identity of the object that the key has now, or None."""


class ReadImageVersion(msgspec.Struct, frozen=True):
    """Wanted: the version of the image in the table, also of its tombstone; 0 if it has none."""


class ReadObject(msgspec.Struct, frozen=True):
    """Wanted: the image of exactly this object.

    The answer is the `Image`, or why there is none: its content is not that of a picture, or the
    key has another object by now, or none.
    """

    identity: ObjectIdentity


class WriteRow(msgspec.Struct, frozen=True):
    """To be done: write the row if its counter is still `after`; 0: if there is no row.

    The answer is whether it is written.
    """

    row: PictureRow
    after: int


class PutEvent(msgspec.Struct, frozen=True):
    """To be done: put this record onto the stream. The answer says nothing."""

    data: bytes


Unreadable = Literal["no picture", "changed"]
type Wanted = ReadRow | LookAtObject | ReadImageVersion | ReadObject | WriteRow | PutEvent

# What became of it. `put` and `deleted`: such an event is on the stream now. `unchanged`: the last
# event is of this object, and was there before. `no picture`: the object is none, and no event
# tells of it.
Alignment = Literal["put", "deleted", "unchanged", "no picture"]


class CountedVersionError(UserError):
    """The source of an image counts its versions, so no time can be its next version."""


def align(
    image_id: str, now: float, given: str | None = None, *, is_shown: bool = False
) -> Generator[Wanted, Any, Alignment]:
    """Bring one image in line with its object.

    Args:
        image_id: the id that follows from the key.
        now: seconds since 1970.
        given: a digest of the tags and attributes of an upload; `ReadObject` adds these to the
            image. None: there are none, and what an upload gave for this object before stays.
        is_shown: whether the table has the image although no row may know of it, for example if
            the rows were lost. Then it is deleted if it has no object.

    Raises:
        CountedVersionError: the source of this image counts its versions.
    """
    while True:
        read: PictureRow | None = yield ReadRow()
        row = read or PictureRow(counter=0)
        there: ObjectIdentity | None = yield LookAtObject()
        is_unknown = is_shown and there is None and row.object is None and row.event is None
        if is_unknown:
            row = replace(row, shown=True)
        if is_unknown or there != row.object or given not in {None, row.given}:
            following = yield from _following(image_id, now, row, there, given)
            if following is None or not (yield WriteRow(following, row.counter)):
                continue
            if following.event is None:
                return "no picture" if there else "unchanged"
        elif row.event is None:
            if (yield WriteRow(replace(row, counter=row.counter + 1), row.counter)):
                return "no picture" if there and not row.shown else "unchanged"
            continue
        else:
            following = row
        yield PutEvent(cast("bytes", following.event))
        is_shown = False
        done = replace(following, counter=following.counter + 1, event=None)
        if (yield WriteRow(done, following.counter)):
            return "put" if done.shown else "deleted"


def _following(
    image_id: str, now: float, row: PictureRow, there: ObjectIdentity | None, given: str | None
) -> Generator[Wanted, Any, PictureRow | None]:
    """The next row, with its event if it has one; None if the object has changed meanwhile."""
    stored: int = yield ReadImageVersion()
    if stored and not is_stamp(stored):
        raise CountedVersionError(
            f"image {image_id} has version {stored}, a count of its source: only its source can "
            "put its next event"
        )
    image: Image | None = None
    if there is not None:
        found: Image | Unreadable = yield ReadObject(there)
        if found == "changed":
            return None
        image = found if isinstance(found, Image) else None
    following = replace(
        row, counter=row.counter + 1, object=there, shown=image is not None, given=given
    )
    if image is None and not row.shown:
        return following
    event = Event(
        type="image.deleted" if image is None else _type(row),
        image_id=image_id,
        version=max(stamp_at(now), row.version + 1, stored + 1),
        occurred_at=datetime.fromtimestamp(there.modified if there else now, UTC),
        image=UNSET if image is None else image,
    )
    return replace(following, version=event.version, event=encode(event))


def _type(row: PictureRow) -> EventType:
    return "image.updated" if row.shown else "image.uploaded"
