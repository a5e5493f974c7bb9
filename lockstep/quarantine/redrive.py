"""The redrive: quarantined records back onto the stream, under the same guard as everything else.

In this order, for each record: its event is on the stream, then its objects are under `redriven/`,
then they are gone from `quarantine/`. After a crash in between it is still in quarantine, and goes
again: with the same version, which both sinks count as a duplicate.

Where the index is fed from the table's changes, what only the index's consumer set aside goes
straight to the index: the table has it already, and would tell nobody of it a second time.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched
from typing import Any

import msgspec

from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import redriven_key
from lockstep.quarantine.cases import Case, FirstArrival, Ready, first_arrival_key, judge, state_of
from lockstep.quarantine.failure_documents import records_of
from lockstep.quarantine.records import (
    ForeignObjectError,
    change_in,
    event_bytes,
    event_in,
    read_record,
)
from lockstep.quarantine.settlement import How, Settlement
from lockstep.stores.objects import Objects
from shared.clock import Clock
from shared.event import Event
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import QuarantinedRecord
from shared.sink import Sink, outcomes_of

# So many are on the stream, at most, before their objects move: what a crash makes go twice.
AT_ONCE = 100


class Trace(msgspec.Struct, frozen=True):
    """What became of a redriven record: kept with it, under `redriven/`.

    `event` is what was put onto the stream; None where nothing had to be. `at` is RFC 3339.
    """

    at: str
    how: How
    event: Event | None


class RedriveReport(msgspec.Struct, frozen=True):
    """What a redrive did: records settled, events put for them, objects moved, seconds.

    `indexed`: those that went straight into the index. `moved_meanwhile`: somebody else had settled
    these first. `kept`: what stayed, by its state, `changed_meanwhile`, or by what the index said.
    """

    redriven: int
    put: int
    indexed: int
    objects: int
    moved_meanwhile: int
    kept: Mapping[str, int]
    seconds: float


class DirectIndexing(msgspec.Struct, frozen=True):
    """The way straight into the index, and when it is to be taken.

    `consumer` is the index consumer's name in the quarantine. `fed_from_table`: the index learns of
    an image only when the table changes. `horizon` is how long the tombstone of a removal by hand
    is kept.
    """

    sink: Sink
    consumer: str
    horizon: Callable[[], dt.timedelta]
    fed_from_table: bool
    changes_stream: str = ""

    def applies_to(self, held: QuarantinedRecord, functions: Sequence[str]) -> bool:
        """Whether this record goes straight into the index; `functions` set it aside."""
        return held.holds == "table_change" or (
            self.fed_from_table and tuple(functions) == (self.consumer,)
        )

    def write(self, held: QuarantinedRecord) -> Outcome:
        """Write what the record says, under the guard.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is mended.
        """
        (outcome,) = outcomes_of([change_in(held, self.horizon())], self.sink.send)
        return outcome


class Redrive:
    """Settles cases: puts their events onto the stream and moves their objects."""

    def __init__(
        self,
        objects: Objects,
        put: Callable[[Iterable[Event | Outgoing]], object],
        consumers: Mapping[str, str],
        *,
        clock: Clock,
        quarantine_age: dt.timedelta,
        index: DirectIndexing | None = None,
    ) -> None:
        """Prepare.

        Args:
            objects: the quarantine's bucket.
            put: puts events onto the stream, and returns when all are there: `Producer.put`.
            consumers: each consumer's name in Lambda, by its name in the quarantine.
            clock: the clock.
            quarantine_age: what is older goes back only as mended.
            index: the way straight into the index, for what the stream would not bring there.
        """
        self._index = index
        self._objects = objects
        self._put = put
        self._consumers = consumers
        self._clock = clock
        self._age = quarantine_age

    def put_back(
        self,
        cases: Sequence[Case],
        fetched: Mapping[str, QuarantinedRecord],
        *,
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> RedriveReport:
        """Put back every case that is ready; the others stay.

        Args:
            cases: as `find` found them.
            fetched: records that lie nowhere but on the stream, by the key they are to have.
            rate: records a second, at most.
            on_progress: told how many are settled.

        Raises:
            PutError: the stream did not take a record: all that are not settled stay.
        """
        began = self._clock.elapsed()
        ready = sorted(
            (case for case in cases if isinstance(case.verdict, Ready)),
            # Lower versions first: each image's effects then come in their order.
            key=lambda case: (case.version or 0, case.id),
        )
        self._secure(cases, fetched)
        kept = Counter(state_of(one.verdict) for one in cases if not isinstance(one.verdict, Ready))
        redriven = moved_meanwhile = objects = put = 0
        at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate)))
        for chunk in batched(ready, at_once, strict=False):
            if rate is not None:
                self._wait_until(began + redriven / rate)
            settling: list[tuple[Settlement, dict[str, bytes]]] = []
            sending: list[Outgoing] = []
            for case in chunk:
                bodies = self._bodies(case)
                if not bodies:
                    moved_meanwhile += 1
                    continue
                held = self._still_ready(case, bodies)
                if held is None:
                    kept["changed_meanwhile"] += 1
                    continue
                event = None
                if self._index is not None and self._index.applies_to(held, case.functions):
                    refusal = _refusal(self._index.write(held))
                    if refusal is not None:
                        kept[refusal] += 1
                        continue
                else:
                    event = event_in(held)
                    self._note_arrival(event, case.arrived_at)
                    # As it came: encoded anew, the largest could be too large (its times grow).
                    sending.append(Outgoing(event.image_id, event_bytes(held)))
                settling.append((Settlement(case, "as_it_was", event, ""), bodies))
            if sending:
                self._put(sending)
                put += len(sending)
            for settlement, bodies in settling:
                objects += self._move(settlement, bodies)
                redriven += 1
                on_progress(redriven)
        return RedriveReport(
            redriven=redriven,
            put=put,
            indexed=redriven - put,
            objects=objects,
            moved_meanwhile=moved_meanwhile,
            kept=kept,
            seconds=self._clock.elapsed() - began,
        )

    def settle(
        self, settlements: Sequence[Settlement], fetched: Mapping[str, QuarantinedRecord]
    ) -> RedriveReport:
        """Settle cases by what was decided about each: mended, or chosen.

        Raises:
            PutError: the stream did not take an event: all that are not settled stay.
        """
        began = self._clock.elapsed()
        self._secure([one.case for one in settlements], fetched)
        put = objects = moved_meanwhile = 0
        for one in settlements:
            bodies = self._bodies(one.case)
            if not bodies:
                moved_meanwhile += 1
                continue
            if one.event is not None:
                if one.first_came is not None:
                    self._note_arrival(one.event, one.first_came)
                self._put([one.event])
                put += 1
            objects += self._move(one, bodies)
        return RedriveReport(
            redriven=len(settlements) - moved_meanwhile,
            put=put,
            indexed=0,
            objects=objects,
            moved_meanwhile=moved_meanwhile,
            kept={},
            seconds=self._clock.elapsed() - began,
        )

    def records_of(self, document: str) -> list[QuarantinedRecord]:
        """The records of a failure document; none when it was taken apart meanwhile."""
        body = self._objects.read(document)
        return [] if body is None else self._records(body)

    def _secure(self, cases: Iterable[Case], fetched: Mapping[str, QuarantinedRecord]) -> None:
        """Every record of these cases gets its own object, before anything is done with it.

        A failure document is taken apart whole; then it has nothing left to say, and moves.
        """
        taken_apart: set[str] = set()
        for case in cases:
            for key in case.keys:
                if key in fetched:
                    self._objects.write_new(key, msgspec.json.encode(fetched[key]))
            for document in case.documents:
                if document not in taken_apart:
                    taken_apart.add(document)
                    self._take_apart(document)

    def _take_apart(self, document: str) -> None:
        body = self._objects.read(document)
        if body is None:
            return
        for held in self._records(body):
            gone_back = self._objects.read(redriven_key(held.key)) is not None
            if not gone_back:
                self._objects.write_new(held.key, msgspec.json.encode(held))
        self._objects.write(redriven_key(document), body)
        self._objects.delete(document)

    def _records(self, body: bytes) -> list[QuarantinedRecord]:
        changes_stream = "" if self._index is None else self._index.changes_stream
        return records_of(body, self._consumers, changes_stream)

    def _bodies(self, case: Case) -> dict[str, bytes]:
        """The case's objects as they are now; those moved meanwhile are left out."""
        found = ((key, self._objects.read(key)) for key in case.keys)
        return {key: body for key, body in found if body is not None}

    def _still_ready(self, case: Case, bodies: Mapping[str, bytes]) -> QuarantinedRecord | None:
        """The record to put back; None when the objects are not what they were when judged."""
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        held = None
        for body in bodies.values():
            try:
                held = read_record(body)
            except ForeignObjectError:
                return None
            verdict = judge(held, case.arrived_at, now=now, quarantine_age=self._age)
            if not isinstance(verdict, Ready):
                return None
        return held

    def _note_arrival(self, event: Event, arrived_at: int) -> None:
        noted = msgspec.json.encode(FirstArrival(arrived_at))
        self._objects.write_new(first_arrival_key(event), noted)

    def _move(self, settlement: Settlement, bodies: Mapping[str, bytes]) -> int:
        """Into `redriven/`, with the trace; out of `quarantine/` only then."""
        at = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).isoformat()
        trace = Trace(at, settlement.how, settlement.event)
        for key, body in bodies.items():
            whole: dict[str, Any] = msgspec.json.decode(body)
            whole["redriven"] = trace
            self._objects.write(redriven_key(key), msgspec.json.encode(whole))
            self._objects.delete(key)
        return len(bodies)

    def _wait_until(self, moment: float) -> None:
        pause = moment - self._clock.elapsed()
        if pause > 0:
            self._clock.sleep(pause)


def _refusal(outcome: Outcome) -> str | None:
    """Why the index does not hold what it was given, or None if it does, or holds a newer one."""
    match outcome:
        case Applied() | Duplicate() | Stale():
            return None
        case Conflict():
            return "conflict"
        case Refused():
            return "refused_by_store"
        case Failed():
            return "not_for_now"
