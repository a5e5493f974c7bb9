"""The events in the life of an image: several sources may tell of one, and it is listed once."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from shared.rfc3339 import rfc3339

What = Literal[
    "arrived",
    "late",
    "not_settled",
    "quarantined",
    "discarded",
    "redriven",
    "discarded_by_operator",
    "replaced",
    "settled",
]
"""What happened, in the order in which events of one moment are listed.

`arrived`: the stream received a record. `late`: a consumer told of a late event. `not_settled`:
invocations of a consumer failed, and Lambda delivers the record again. `quarantined`: a consumer
quarantined it. `discarded`: an event source mapping discarded its batch. `redriven`: an operator
settled it. `discarded_by_operator`: an operator gave it up. `replaced`: an answer replaced or
removed the document in the index. `settled`: a consumer settled it: stored, or not needed.
"""
Source = Literal["stream", "quarantine", "failure document", "replaced", "log"]

_ORDER: Sequence[What] = get_args(What)


class Place(msgspec.Struct, frozen=True):
    """Where a record is: its provenance."""

    stream: str
    shard_id: str
    sequence_number: str


NO_RECORD = Place("", "", "")
"""The place of what is about no record."""


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

    `stream`, `shard_id` and `sequence_number` are those of its record; empty if it is about none.
    `consumers` are those that it is about. `times` is how often it happened, until `until`: Lambda
    delivers a record again until it is settled. `records` of the image, up to
    `last_sequence_number`, were settled together.
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
    records: int = 1
    last_sequence_number: str | None = None


def timeline(told: Iterable[Told]) -> list[TraceEvent]:
    """The events, each once, in order of time.

    A record that a consumer has quarantined counts as settled by that: the line of its batch is
    left out. The records that a consumer settled in one batch are one event.
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
    events.sort(key=lambda one: (one[0], one[1], one[2].shard_id, _number(one[2])))
    return _settled_together(event for _, _, event in events)


def _number(event: TraceEvent) -> int:
    return int(event.sequence_number or 0)


def _settled_together(events: Iterable[TraceEvent]) -> list[TraceEvent]:
    """The same events, in this order; the records of one batch are one event."""
    together: dict[object, list[TraceEvent]] = {}
    for at, one in enumerate(events):
        batch = (one.at, one.consumers, one.shard_id, one.detail, one.times, one.until)
        together.setdefault(batch if one.what == "settled" else at, []).append(one)
    return [
        some[0]
        if len(some) == 1
        else msgspec.structs.replace(
            some[0], records=len(some), last_sequence_number=some[-1].sequence_number
        )
        for some in together.values()
    ]


def _identity(one: Told) -> tuple[object, ...]:
    """What makes two tellings one event."""
    place = one.place.shard_id, one.place.sequence_number
    match one.what:
        case "arrived":
            return (one.what, *place)
        case "redriven" | "discarded_by_operator":
            # Both consumers' objects of a record are settled together.
            return (one.what, *place, one.at)
        case "replaced":
            return (one.what, one.at, one.version)
        case _:
            return (one.what, *place, one.function)


def _merged(some: Sequence[Told]) -> TraceEvent:
    ordered = sorted(some, key=lambda one: one.at)
    # The last cause of a failure; otherwise, the first telling: an object says more than a line.
    first = ordered[0]
    best = ordered[-1] if first.what == "not_settled" else min(some, key=_says_less)
    is_one = first.what in {"redriven", "discarded_by_operator", "replaced"}
    times = 1 if is_one else max(Counter(one.source for one in some).values())
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
