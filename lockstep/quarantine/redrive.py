"""The redrive: puts quarantined records back onto the stream, where version checks apply as always.

For each record, in this order: put its event onto the stream, copy its objects to `redriven/`,
delete them from `quarantine/`. So an object always exists. After a crash in between, the record is
redriven again, with the same version, and both sinks count it as a duplicate.

A record that only the index's consumer has quarantined never goes onto the stream: it is tried on
the index, with its version check. The role of that consumer may write any object under its prefix,
and nothing that it writes reaches the table by itself.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched
from typing import Any, Protocol

import msgspec

from lockstep.console.errors import UserError
from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import consumer_of_document, consumer_of_object, redriven_key
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
from lockstep.stores.image_state import Intact, Malformed
from lockstep.stores.objects import Objects
from lockstep.stores.readers import WholeLookup
from shared.change import Change
from shared.clock import Clock
from shared.event import Event
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import TABLE_CONSUMER, QuarantinedRecord
from shared.sink import Sink, write_all

# So many records are put before their objects move. After a crash they are put a second time.
AT_ONCE = 100
# AWS refuses the requests of a machine whose clock is wrong by more.
MOST_BEHIND = dt.timedelta(minutes=15)


class ClockBehindError(UserError):
    """The clock of this machine is behind, and it would count the ages of records wrongly."""


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


class IndexOverwriter(Protocol):
    """See `lockstep.stores.corrections.Corrections`."""

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes, also over documents of the same version."""
        ...


class DirectIndexing(msgspec.Struct, frozen=True):
    """Writes to the index what only its consumer has quarantined.

    `sink` is the index's, `corrections` overwrites documents of the index, `table` reads the table.
    """

    sink: Sink
    corrections: IndexOverwriter
    table: WholeLookup

    def write(self, held: QuarantinedRecord) -> Outcome:
        """Write the record's change, with the version check.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is corrected.
        """
        (outcome,) = write_all([change_in(held)], self.sink)
        return outcome

    def write_tables_content(self, image_id: str, now: float) -> Outcome | None:
        """Give the index what the table holds of an image, also over a document of that version.

        Args:
            image_id: the image.
            now: in seconds since 1970; an expired tombstone counts as absent.

        Returns:
            The outcome. `Stale`: the index holds a higher version, which stays. None: the table has
            nothing of the image, and the index stays as it is.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is corrected.
            StoreUnreadableError: the table cannot be read.
        """
        match self.table.lookup_whole([image_id]).get(image_id):
            case Malformed(why):
                return Refused(f"the item in the table is malformed: {why}")
            case Intact(change) as stored if not stored.expired(now):
                (outcome,) = write_all([change], self.sink)
                if isinstance(outcome, Conflict):
                    (outcome,) = self.corrections.overwrite([change])
                return outcome
            case _:
                return None


class Redrive:
    """Puts the events of cases onto the stream and moves their objects."""

    def __init__(
        self,
        objects: Objects,
        put: Callable[[Iterable[Event | Outgoing], Clock], object],
        table_mapping: str,
        *,
        index: DirectIndexing,
        clock: Clock,
        changes_stream: str = "",
    ) -> None:
        """Set up a redrive.

        Args:
            objects: the quarantine's bucket.
            put: puts events onto the stream and returns when all are accepted: `Producer.put`. It
                validates them by the clock that it gets, by which they were judged.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            index: writes to the index.
            clock: the clock.
            changes_stream: the Kinesis stream that carries the table's changes, if there is one.
        """
        self._index = index
        self._objects = objects
        self._table_mapping = table_mapping
        self._clock = own = clock.steady()
        self._put: Callable[[Iterable[Event | Outgoing]], object] = lambda some: put(some, own)
        self._changes_stream = changes_stream

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
            ClockBehindError: a record arrived later than now.
            PutError: the stream did not accept a record; all records that are not settled stay.
        """
        self._check_clock(cases)
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
                there = self._there(case)
                if there is None:
                    moved_meanwhile += 1
                    continue
                held, bodies = there
                if held is None or not self._is_ready(held, case):
                    kept["changed_meanwhile"] += 1
                    continue
                event = None
                if case.of_index_only:
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
            ClockBehindError: a record arrived later than now.
            PutError: the stream did not accept an event; all records that are not settled stay.
        """
        self._check_clock(one.case for one in settlements)
        began = self._clock.elapsed()
        self._save_records([one.case for one in settlements], fetched)
        put = indexed = objects = moved_meanwhile = 0
        kept: Counter[str] = Counter()
        for one in settlements:
            there = self._there(one.case)
            if there is None:
                moved_meanwhile += 1
                continue
            held, bodies = there
            if held is None:
                kept["changed_meanwhile"] += 1
                continue
            if one.gives_index is not None:
                outcome = self._index.write_tables_content(one.gives_index, self._clock.now())
                refusal = None if outcome is None else _refusal(outcome)
                if refusal is not None:
                    kept[refusal] += 1
                    continue
                indexed += isinstance(outcome, Applied)
            if one.event is not None:
                if one.first_arrival is not None:
                    self._note_arrival(one.event, one.first_arrival)
                self._put([one.event])
                put += 1
            objects += self._move(one, bodies)
        return RedriveReport(
            redriven=len(settlements) - moved_meanwhile - kept.total(),
            put=put,
            indexed=indexed,
            objects=objects,
            moved_meanwhile=moved_meanwhile,
            kept=kept,
            seconds=self._clock.elapsed() - began,
        )

    def records_of(self, document: str) -> list[QuarantinedRecord]:
        """The records of a failure document; none if another redrive has split it."""
        body = self._objects.read(document)
        return [] if body is None else self._records(document, body)

    def _check_clock(self, cases: Iterable[Case]) -> None:
        """Check that no record of the table's consumer arrived in the future of this machine.

        Only the index's consumer could have written another arrival than the stream's.
        """
        newest = max((one.arrived_at for one in cases if not one.of_index_only), default=0)
        arrived = dt.datetime.fromtimestamp(newest / 1000, dt.UTC)
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        if arrived - now > MOST_BEHIND:
            raise ClockBehindError(
                f"it is {now:%Y-%m-%dT%H:%M:%SZ} on this machine, but a record arrived at "
                f"{arrived:%Y-%m-%dT%H:%M:%SZ}: correct the clock, then run the command again"
            )

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
        consumer = consumer_of_document(document, self._table_mapping)
        return records_of(body, consumer, self._changes_stream)

    def _there(self, case: Case) -> tuple[QuarantinedRecord | None, dict[str, bytes]] | None:
        """The case as it is now: its record, and its objects.

        Objects that somebody has replaced since the case was found are left out: they stay. So the
        record is None if its own object is among them. The whole is None if another redrive has
        moved that object.
        """
        record = None
        bodies = {}
        own = moved = 0
        for key in case.keys:
            decides = case.of_index_only or consumer_of_object(key) == TABLE_CONSUMER
            own += decides
            body = self._objects.read(key)
            if body is None:
                moved += decides
                continue
            try:
                held = read_record(key, body)
            except ForeignObjectError:
                continue
            if case.is_about(held):
                bodies[key] = body
                record = held if decides and record is None else record
        return None if own == moved else (record, bodies)

    def _is_ready(self, held: QuarantinedRecord, case: Case) -> bool:
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        return isinstance(judge(held, case.arrived_at, now=now), Ready)

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
