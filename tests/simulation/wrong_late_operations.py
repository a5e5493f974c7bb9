"""Seeded bugs of redrive, purge and the horizon."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, override

import msgspec
from opensearchpy import OpenSearch

from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import redriven_key
from lockstep.quarantine.cases import Case, FoundCases, Ready, TooOld, _judge, judge, judge_event
from lockstep.quarantine.finding import _Gathering, find
from lockstep.quarantine.notes import NotedRecord
from lockstep.quarantine.redrive import Redrive
from lockstep.quarantine.settlement import Settlement, correct, new_version
from lockstep.simulation.components import INDEX, Components
from shared.batch import Delivery
from shared.change import Change, Remove
from shared.clock import Clock
from shared.deliver import deliver
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import Event, decode
from shared.quarantine import QuarantinedRecord
from shared.record import Record
from tests.simulation.rewired import rewired


def finds_without_age(*args: Any, **kwargs: Any) -> FoundCases:
    found = find(*args, **kwargs)
    return msgspec.structs.replace(found, cases=[_ageless(case) for case in found.cases])


def _ageless(case: Case) -> Case:
    too_old = isinstance(case.verdict, TooOld)
    return msgspec.structs.replace(case, verdict=Ready()) if too_old else case


class IgnoresTheAge(Redrive):
    @override
    def _is_ready(self, held: QuarantinedRecord, case: Case) -> bool:
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        return isinstance(judge(held, case.arrived_at, now=now), Ready | TooOld)


class PutsNothing(Redrive):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._put = lambda _: None


class MovesFirst(Redrive):
    """Moves before it puts: an error in between loses the event."""

    def __init__(self, objects: Any, put: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(objects, self._hold, *args, **kwargs)
        self._really_put = put
        self._held: list[Event | Outgoing] = []

    def _hold(self, events: Iterable[Event | Outgoing], clock: Clock) -> None:
        self._held += events
        self._clock = clock

    @override
    def _move(self, settling: Iterable[Any]) -> int:
        moved = super()._move(settling)
        held, self._held = self._held, []
        self._really_put(held, self._clock)
        return moved


class DeletesObjects(Redrive):
    @override
    def _move(self, settling: Iterable[Any]) -> int:
        keys = [key for _, bodies in settling for key in bodies]
        self._objects.delete_all(keys)
        return len(keys)


class DeletesBeforeItCopies(Redrive):
    """Deletes the objects of all records before it copies them: an error in between loses them."""

    @override
    def _move(self, settling: Iterable[Any]) -> int:
        settling = list(settling)
        self._objects.delete_all([key for _, bodies in settling for key in bodies])
        return super()._move(settling)


class PassesTheVersionCheck(Redrive):
    """Redrives under a new version, which is above all that came later."""

    def __init__(self, objects: Any, put: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            objects, lambda events, clock: put(map(self._anew, events), clock), *args, **kwargs
        )

    def _anew(self, one: Event | Outgoing) -> Event:
        event = decode(one.data) if isinstance(one, Outgoing) else one
        return msgspec.structs.replace(event, version=int(self._clock.now() * 1_000_000))


class CorrectsUnderTheOldVersion(Redrive):
    @override
    def settle(self, settlements: Sequence[Settlement], *args: Any) -> Any:
        return super().settle([_under_the_old_version(one) for one in settlements], *args)


def _under_the_old_version(settlement: Settlement) -> Settlement:
    version = settlement.case.version
    if settlement.event is None or version is None:
        return settlement
    event = msgspec.structs.replace(settlement.event, version=version)
    return msgspec.structs.replace(settlement, event=event)


class HalfMovedCountsAsMoved(Redrive):
    """A killed redrive has copied an object, and not deleted it: it stays for ever."""

    @override
    def _there(self, case: Case) -> Any:
        moved = any(self._objects.read(redriven_key(key)) is not None for key in case.keys)
        return None if moved else super()._there(case)


def mends_above_all(*args: Any, **kwargs: Any) -> Settlement:
    """A correction without a version gets a new one, also if a newer version is stored."""
    case, _, event, stores = args
    fields = msgspec.json.decode(event)
    settled = correct(*args, **kwargs)
    if settled.event is not None or "version" in fields:
        return settled
    content = stores.table(case.image) or stores.index(case.image)
    version = new_version(None if content is None else content.version, kwargs["now"])
    if version is None:
        return settled
    named = msgspec.Raw(msgspec.json.encode(fields | {"version": version}))
    return correct(case, args[1], named, stores, **kwargs)


def purges_any_version(client: OpenSearch, image_id: str, _: int) -> None:
    target = {"_id": image_id, "require_alias": True}
    client.bulk(body=msgspec.json.encode({"delete": target}) + b"\n", index=INDEX)


def with_horizon(days: int) -> Callable[..., Delivery]:
    """Tombstones stay for so many days."""

    def change_in(record: Record) -> Change:
        change = IMAGE_EVENTS.change(record)
        if isinstance(change, Remove):
            expires_at = record.arrived_at // 1000 + days * 86_400
            return msgspec.structs.replace(change, expires_at=expires_at)
        return change

    envelope = Envelope(IMAGE_EVENTS.record, change_in)
    return lambda *args, **kwargs: deliver(*args, **kwargs | {"envelope": envelope})


def never_late(*_: Any) -> bool:
    return False


judges_event_leniently = rewired(judge_event, _judge=rewired(_judge, is_late=never_late))
judges_leniently = rewired(judge, judge_event=judges_event_leniently)


class FindsLateEventsReady(_Gathering):
    _case = rewired(_Gathering._case, judge_event=judges_event_leniently)  # noqa: SLF001 - replaced


finds_late_events_ready = rewired(find, _Gathering=FindsLateEventsReady)


class RedrivesLateEvents(Redrive):
    _is_ready = rewired(Redrive._is_ready, judge=judges_leniently)  # noqa: SLF001 - replaced


def notes_no_arrival(_settlement: Settlement, keys: tuple[str, ...]) -> NotedRecord:
    """The age of a record counts from its own arrival, not from that of its event."""
    return NotedRecord(keys, None)


class NotesNoArrival(Redrive):
    """Its notes name no first arrival."""

    _note = rewired(Redrive._note, _noted=notes_no_arrival)  # noqa: SLF001 - replaced


WRONG: Mapping[str, Components] = {
    "redrive: ignores the quarantine age": Components(
        find=finds_without_age, redrive=IgnoresTheAge
    ),
    "redrive: puts nothing": Components(redrive=PutsNothing),
    "redrive: moves before it puts": Components(redrive=MovesFirst),
    "redrive: deletes objects before it copies them": Components(redrive=DeletesBeforeItCopies),
    "redrive: deletes the object instead of moving it": Components(redrive=DeletesObjects),
    "redrive: under a new version, which passes the version check": Components(
        redrive=PassesTheVersionCheck
    ),
    "redrive: corrected under the old version": Components(redrive=CorrectsUnderTheOldVersion),
    "redrive: a case half moved counts as moved": Components(redrive=HalfMovedCountsAsMoved),
    "redrive: a mend without version undoes what came after it": Components(
        correct=mends_above_all
    ),
    "purge: without a version check": Components(purge=purges_any_version),
    "purge: tombstones without a horizon": Components(deliver=with_horizon(0)),
    "purge: tombstones stay for 60 days": Components(deliver=with_horizon(60)),
    "purge: tombstones stay for 90 days": Components(deliver=with_horizon(90)),
    "redrive: a late event is not too old": Components(
        find=finds_late_events_ready, redrive=RedrivesLateEvents
    ),
    "redrive: a record is judged by its own arrival, not by its event's first": Components(
        redrive=NotesNoArrival
    ),
}
