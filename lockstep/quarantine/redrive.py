"""The redrive: puts quarantined records back onto the stream, where version checks apply as always.

For each record, in this order: put its event onto the stream, copy its objects to `redriven/`,
delete them from `quarantine/`. So an object always exists. After a crash in between, the record is
redriven again, with the same version, and both sinks count it as a duplicate.

If the index is fed from the table's changes, a record that only the index's consumer quarantined is
written directly to the index: the table already has it, so a redrive would cause no change.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched
from typing import Any

import msgspec

from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import consumer_of_document, redriven_key
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
from shared.sink import Sink, write_all

# So many records are put before their objects move. After a crash they are put a second time.
AT_ONCE = 100


class Trace(msgspec.Struct, frozen=True):
    """How a record was redriven: stored with it, under `redriven/`.

    `event` was put onto the stream; None if no event was needed. `at` is in RFC 3339.
    """

    at: str
    how: How
    event: Event | None


class RedriveReport(msgspec.Struct, frozen=True):
    """What a redrive did: records settled, events put for them, objects moved, seconds.

    `indexed`: records written directly to the index. `moved_meanwhile`: records that another
    redrive settled first. `kept`: records that stayed, by state, `changed_meanwhile`, or the
    index's answer.
    """

    redriven: int
    put: int
    indexed: int
    objects: int
    moved_meanwhile: int
    kept: Mapping[str, int]
    seconds: float


class DirectIndexing(msgspec.Struct, frozen=True):
    """Writes records directly to the index, if a redrive would not change the index.

    `consumer` is the index consumer's name in the quarantine. `fed_from_table`: the index is fed
    from the table's changes.
    """

    sink: Sink
    consumer: str
    fed_from_table: bool
    changes_stream: str = ""

    def applies_to(self, held: QuarantinedRecord, functions: Sequence[str]) -> bool:
        """Whether to write this record directly; `functions` quarantined it."""
        return held.holds == "table_change" or (
            self.fed_from_table and tuple(functions) == (self.consumer,)
        )

    def write(self, held: QuarantinedRecord) -> Outcome:
        """Write the record's change, with the version check.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is corrected.
        """
        (outcome,) = write_all([change_in(held)], self.sink)
        return outcome


class Redrive:
    """Puts the events of cases onto the stream and moves their objects."""

    def __init__(
        self,
        objects: Objects,
        put: Callable[[Iterable[Event | Outgoing]], object],
        table_mapping: str,
        *,
        clock: Clock,
        index: DirectIndexing | None = None,
    ) -> None:
        """Set up a redrive.

        Args:
            objects: the quarantine's bucket.
            put: puts events onto the stream and returns when all are accepted: `Producer.put`.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            clock: the clock.
            index: writes directly to the index; None: never.
        """
        self._index = index
        self._objects = objects
        self._put = put
        self._table_mapping = table_mapping
        self._clock = clock

    def put_back(
        self,
        cases: Sequence[Case],
        fetched: Mapping[str, QuarantinedRecord],
        *,
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> RedriveReport:
        """Redrive every case that is ready; the others stay.

        Args:
            cases: as `find` found them.
            fetched: records that only the stream holds, by the key that they will have.
            rate: records a second, at most.
            on_progress: called with the number of redriven records.

        Raises:
            PutError: the stream did not accept a record; all records that are not settled stay.
        """
        began = self._clock.elapsed()
        ready = sorted(
            (case for case in cases if isinstance(case.verdict, Ready)),
            # Lower versions first, so that each image changes in order.
            key=lambda case: (case.version or 0, case.id),
        )
        self._save_records(cases, fetched)
        kept = Counter(state_of(one.verdict) for one in cases if not isinstance(one.verdict, Ready))
        redriven = moved_meanwhile = objects = put = 0
        at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate)))
        for chunk in batched(ready, at_once):
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
                    # The original bytes: after encoding again, the event could be too large.
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
        """Redrive cases by what an operator decided about each: corrected, or chosen.

        Raises:
            PutError: the stream did not accept an event; all records that are not settled stay.
        """
        began = self._clock.elapsed()
        self._save_records([one.case for one in settlements], fetched)
        put = objects = moved_meanwhile = 0
        for one in settlements:
            bodies = self._bodies(one.case)
            if not bodies:
                moved_meanwhile += 1
                continue
            if one.event is not None:
                if one.first_arrival is not None:
                    self._note_arrival(one.event, one.first_arrival)
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
        """The records of a failure document; none if another redrive has split it."""
        body = self._objects.read(document)
        return [] if body is None else self._records(document, body)

    def _save_records(
        self, cases: Iterable[Case], fetched: Mapping[str, QuarantinedRecord]
    ) -> None:
        """Give every record of these cases its own object. Call this first.

        A failure document is split into the objects of all its records, and then moved.
        """
        split: set[str] = set()
        for case in cases:
            for key in case.keys:
                if key in fetched:
                    self._objects.write_new(key, msgspec.json.encode(fetched[key]))
            for document in case.documents:
                if document not in split:
                    split.add(document)
                    self._split(document)

    def _split(self, document: str) -> None:
        body = self._objects.read(document)
        if body is None:
            return
        for held in self._records(document, body):
            was_redriven = self._objects.read(redriven_key(held.key)) is not None
            if not was_redriven:
                self._objects.write_new(held.key, msgspec.json.encode(held))
        self._objects.write(redriven_key(document), body)
        self._objects.delete(document)

    def _records(self, document: str, body: bytes) -> list[QuarantinedRecord]:
        changes_stream = "" if self._index is None else self._index.changes_stream
        consumer = consumer_of_document(document, self._table_mapping)
        return records_of(body, consumer, changes_stream)

    def _bodies(self, case: Case) -> dict[str, bytes]:
        """The case's objects as they are now, without those that another redrive has moved."""
        found = ((key, self._objects.read(key)) for key in case.keys)
        return {key: body for key, body in found if body is not None}

    def _still_ready(self, case: Case, bodies: Mapping[str, bytes]) -> QuarantinedRecord | None:
        """The record to put; None if an object has changed so that it is not ready."""
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        held = None
        for body in bodies.values():
            try:
                held = read_record(body)
            except ForeignObjectError:
                return None
            verdict = judge(held, case.arrived_at, now=now)
            if not isinstance(verdict, Ready):
                return None
        return held

    def _note_arrival(self, event: Event, arrived_at: int) -> None:
        noted = msgspec.json.encode(FirstArrival(arrived_at))
        self._objects.write_new(first_arrival_key(event), noted)

    def _move(self, settlement: Settlement, bodies: Mapping[str, bytes]) -> int:
        """Copy the objects to `redriven/`, with a trace; then delete them from `quarantine/`."""
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
    """Why the index does not hold the change; None if it does, or holds a newer version."""
    match outcome:
        case Applied() | Duplicate() | Stale():
            return None
        case Conflict():
            return "conflict"
        case Refused():
            return "refused_by_store"
        case Failed():
            return "not_for_now"
