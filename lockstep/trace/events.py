"""The events in the life of an image: several sources may tell of one, and it is listed once."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from shared.rfc3339 import rfc3339

What = Literal["arrived", "late", "not_settled", "quarantined", "discarded", "redriven", "settled"]
"""What happened, in the order in which events of one moment are listed.

`arrived`: the stream received a record. `late`: a consumer told of a late event. `not_settled`:
invocations of a consumer failed, and Lambda delivers the record again. `quarantined`: a consumer
quarantined it. `discarded`: an event source mapping discarded its batch. `redriven`: an operator
settled it. `settled`: a consumer settled it: stored, or not needed.
"""
Source = Literal["stream", "quarantine", "failure document", "log"]

_ORDER: Sequence[What] = (
    "arrived",
    "late",
    "not_settled",
    "quarantined",
    "discarded",
    "redriven",
    "settled",
)


class Place(msgspec.Struct, frozen=True):
    """Where a record is: its provenance."""

    stream: str
    shard_id: str
    sequence_number: str


class Told(msgspec.Struct, frozen=True):
    """What one source tells of an event.

    `at` is in seconds since 1970. `function` is the consumer; None if it is not about one.
    """

    what: What
    at: float
    source: Source
    place: Place
    detail: str
    function: str | None = None
    version: int | None = None


class TraceEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event, as all sources tell it. Times are in RFC 3339, UTC.

    `consumers` are those that it is about. `times` is how often it happened, until `until`:
    Lambda delivers a record again until it is settled.
    """

    at: str
    what: What
    stream: str
    shard_id: str
    sequence_number: str
    detail: str
    sources: tuple[Source, ...]
    consumers: tuple[str, ...] = ()
    version: int | None = None
    times: int = 1
    until: str | None = None


def timeline(told: Iterable[Told]) -> list[TraceEvent]:
    """The events, each once, in order of time.

    A record that a consumer has quarantined counts as settled by that: the line of its batch is
    left out.
    """
    groups: dict[tuple[object, ...], list[Told]] = {}
    for one in told:
        groups.setdefault(_identity(one), []).append(one)
    kept = {
        (one.function, one.place.shard_id, one.place.sequence_number)
        for some in groups.values()
        for one in some
        if one.what == "quarantined"
    }
    events = [
        (min(one.at for one in some), _ORDER.index(some[0].what), _merged(some))
        for some in groups.values()
        if some[0].what != "settled"
        or (some[0].function, some[0].place.shard_id, some[0].place.sequence_number) not in kept
    ]
    # Of one moment, by the sequence number: as a number, because text has another order.
    events.sort(key=lambda one: (one[0], one[1], one[2].shard_id, int(one[2].sequence_number)))
    return [event for _, _, event in events]


def _identity(one: Told) -> tuple[object, ...]:
    """What makes two tellings one event."""
    place = one.place.shard_id, one.place.sequence_number
    match one.what:
        case "arrived":
            return (one.what, *place)
        case "redriven":
            # Both consumers' objects of a record are redriven together.
            return (one.what, *place, one.at)
        case _:
            return (one.what, *place, one.function)


def _merged(some: Sequence[Told]) -> TraceEvent:
    ordered = sorted(some, key=lambda one: one.at)
    # The last cause of a failure; otherwise, the first telling: an object says more than a line.
    first = ordered[0]
    best = ordered[-1] if first.what == "not_settled" else min(some, key=_says_less)
    times = max(Counter(one.source for one in some).values()) if first.what != "redriven" else 1
    consumers = dict.fromkeys(one.function for one in some if one.function is not None)
    return TraceEvent(
        at=_moment(first.at),
        what=first.what,
        stream=best.place.stream,
        shard_id=best.place.shard_id,
        sequence_number=best.place.sequence_number,
        detail=best.detail,
        sources=tuple(dict.fromkeys(one.source for one in some)),
        consumers=tuple(consumers),
        version=next((one.version for one in some if one.version is not None), None),
        times=times,
        until=_moment(ordered[-1].at) if times > 1 else None,
    )


def _says_less(one: Told) -> tuple[bool, float]:
    return one.source == "log", one.at


def _moment(seconds: float) -> str:
    return rfc3339(dt.datetime.fromtimestamp(seconds, dt.UTC), "milliseconds")
