"""Check an event by the rules of the consumers, and encode it: once, on its way to the stream."""

import msgspec

from lockstep.producing.outbox import Outgoing
from lockstep.producing.times import with_written_times
from shared import event
from shared.event import MAX_EVENT_BYTES, Event
from shared.record import check_version, event_of
from shared.refusal import lone_surrogate


class CheckedEvent(msgspec.Struct, frozen=True):
    """An event that the consumers accept, and its record. `checked` makes it."""

    event: Event
    outgoing: Outgoing


def checked(decoded: Event, unix: float) -> CheckedEvent:
    """Check and encode an event that was decoded, and so validated, by `shared.event.decode`.

    The encoded event is decoded again only where its encoding changes what was validated: its
    times, or its size.

    Args:
        decoded: the event.
        unix: the time of the check, in seconds since 1970, from a clock that never goes back.

    Raises:
        InvalidEventError: the consumers would refuse the event.
    """
    written = with_written_times(decoded)
    ready = Outgoing(decoded.image_id, _encoded(written))
    if written is not decoded or len(ready.data) > MAX_EVENT_BYTES:
        return CheckedEvent(decoded, outgoing(ready, unix))
    check_version(decoded.version, int(unix * 1000))
    return CheckedEvent(decoded, ready)


def outgoing(one: Event | Outgoing | CheckedEvent, unix: float) -> Outgoing:
    """Check and encode an event for the stream; an `Outgoing` is checked and stays as it is.

    A `CheckedEvent` is ready. An `Event` may have values of any type, because its constructor does
    not check them. So its encoding is decoded.

    Args:
        one: the event.
        unix: the time of sending, in seconds since 1970.

    Raises:
        InvalidEventError: the consumers would refuse the event.
    """
    if isinstance(one, CheckedEvent):
        return one.outgoing
    ready = (
        one
        if isinstance(one, Outgoing)
        else Outgoing(one.image_id, _encoded(with_written_times(one)))
    )
    event_of(ready.data, ready.image_id, int(unix * 1000))
    return ready


def _encoded(one: Event) -> bytes:
    try:
        return event.encode(one)
    except UnicodeEncodeError:
        raise lone_surrogate() from None
