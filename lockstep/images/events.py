"""The events of some images in the stream."""

import datetime as dt
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from lockstep.stream.kinesis import KeyShards
from lockstep.stream.stream import Stream, StreamRecord
from lockstep.trace.shards import read_matching
from shared.clock import Clock
from shared.event import Event, EventType, InvalidEventError, digest
from shared.record import Record, event_in
from shared.rfc3339 import rfc3339

# What arrives later than this many seconds from now is not read. The clocks of the stream and of
# this machine differ.
_AHEAD = 10.0


class StreamEvent(msgspec.Struct, frozen=True):
    """A valid event in the stream. `arrived_at` is in milliseconds since 1970."""

    event: Event
    data: bytes
    arrived_at: int


class StreamEvents(msgspec.Struct, frozen=True):
    """The events of some images, those of each in the order of the stream.

    `complete` is false if the bound was reached.
    """

    of: Mapping[str, Sequence[StreamEvent]]
    complete: bool


class ShownEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event, for a person or a program to read. Times are in RFC 3339, UTC.

    `arrived_at` is None if the event is not on the stream, or was not looked for there.
    """

    state: Literal["image", "tombstone"]
    version: int
    event_type: EventType
    occurred_at: str
    arrived_at: str | None = None
    digest: str | None = None
    image: Mapping[str, Any] | None = None


def shown(event: Event, arrived_at: int | None = None) -> ShownEvent:
    """An event to show; `arrived_at` is in milliseconds since 1970."""
    image = None if event.image is UNSET else event.image
    return ShownEvent(
        "tombstone" if image is None else "image",
        event.version,
        event.type,
        msgspec.to_builtins(event.occurred_at),
        None if arrived_at is None else moment(arrived_at),
        None if image is None else digest(image),
        None if image is None else msgspec.json.decode(msgspec.json.encode(image)),
    )


def read_events_of(
    stream: Stream,
    shards: Mapping[str, KeyShards],
    *,
    since: float,
    at_most: int,
    clock: Clock,
) -> StreamEvents:
    """Read the valid events of some images that arrived since a time.

    A shard that several images share is read once.

    Args:
        stream: the stream.
        shards: the shards of each image, by its id.
        since: in seconds since 1970; minus infinity: all.
        at_most: stop after so many records of each shard.
        clock: the time.

    Raises:
        StreamUnavailableError: the stream does not answer.
    """
    sharing: dict[tuple[str, ...], list[str]] = {}
    for image_id, its in shards.items():
        sharing.setdefault(tuple(one.shard_id for one in its.chain), []).append(image_id)
    found: dict[str, list[StreamEvent]] = {image_id: [] for image_id in shards}
    complete = True
    for image_ids in sharing.values():
        read = read_matching(
            stream,
            shards[image_ids[0]],
            _is_of({*image_ids}),
            since=None if since == -math.inf else since,
            until=clock.now() + _AHEAD,
            at_most=at_most,
            clock=clock,
        )
        complete &= read.complete
        for _, one in read.matching:
            event = _event_in(one)
            if event is not None:
                found[one.partition_key].append(StreamEvent(event, one.data, one.arrived_at))
    return StreamEvents(found, complete)


def moment(arrived_at: int) -> str:
    """A time in milliseconds since 1970, as RFC 3339 has it."""
    return rfc3339(dt.datetime.fromtimestamp(arrived_at / 1000, dt.UTC), "milliseconds")


def _is_of(image_ids: Collection[str]) -> Callable[[StreamRecord], bool]:
    # A record of an image that has another key is in quarantine.
    return lambda one: one.partition_key in image_ids


def _event_in(one: StreamRecord) -> Event | None:
    """The event in a record; None if both consumers quarantine it."""
    try:
        return event_in(
            Record("", "", one.sequence_number, one.partition_key, one.arrived_at, one.data)
        )
    except InvalidEventError:
        return None
