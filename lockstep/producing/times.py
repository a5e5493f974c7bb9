"""Times as the encoder can write them: it would round an offset that has seconds."""

import datetime as dt

import msgspec
from msgspec import UNSET

from shared.event import Event, InvalidEventError

_MINUTE = dt.timedelta(minutes=1)


def with_written_times(one: Event) -> Event:
    """The event with times that RFC 3339 can write: its offsets are whole minutes.

    The encoder would round another offset, such as +00:19:32 (Amsterdam until 1937), and so move
    the time. Such a time becomes the same time in UTC.

    Raises:
        InvalidEventError: UTC has no such time: its year would be 0 or 10000.
    """
    image = one.image
    if one.occurred_at.tzinfo is dt.UTC and (
        image is UNSET or image.taken_at is UNSET or image.taken_at.tzinfo is dt.UTC
    ):
        return one  # nearly every event
    occurred_at = _written_time("$.occurred_at", one.occurred_at)
    if occurred_at is not one.occurred_at:
        one = msgspec.structs.replace(one, occurred_at=occurred_at)
    if one.image is UNSET or one.image.taken_at is UNSET:
        return one
    taken_at = _written_time("$.image.taken_at", one.image.taken_at)
    if taken_at is one.image.taken_at:
        return one
    return msgspec.structs.replace(one, image=msgspec.structs.replace(one.image, taken_at=taken_at))


def _written_time(where: str, time: dt.datetime) -> dt.datetime:
    offset = time.utcoffset()
    if offset is None or not offset % _MINUTE:
        return time
    try:
        return time.astimezone(dt.UTC)
    except OverflowError:
        detail = f"{where}: the offset {offset} has seconds, and UTC has no such time: correct it"
        raise InvalidEventError("schema", detail) from None
