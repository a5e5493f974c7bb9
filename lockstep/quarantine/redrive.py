"""The redrive: puts quarantined records back onto the stream, where version checks apply as always.

For each record, in this order: note it, put its event onto the stream, copy its objects to
`redriven/`, delete them from `quarantine/`. So an object always exists. After a crash in between,
the record is redriven again, with the same version, and both sinks count it as a duplicate.

A record that only the index's consumer has quarantined never goes onto the stream: it is tried on
the index, with its version check. The role of that consumer may write any object under its prefix,
and nothing that it writes reaches the table by itself.
"""

import datetime as dt
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import batched

import msgspec

from lockstep.console.errors import UserError
from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.cases import Case, Ready, action_of, judge
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.filing import file_away
from lockstep.quarantine.notes import NotedEvent, NotedRecord, Notes
from lockstep.quarantine.own_objects import OwnObjects
from lockstep.quarantine.records import event_bytes, event_in
from lockstep.quarantine.settlement import How, Settlement
from lockstep.quarantine.there import There, there_of
from lockstep.stores.objects import Objects
from shared.clock import Clock
from shared.event import Event
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import QuarantinedRecord
from shared.rfc3339 import rfc3339

type _Bodies = Mapping[str, bytes]
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

    `indexed`: records written directly to the index. `settled_meanwhile`: records that another
    redrive settled first. `kept`: records that stayed, by state, `changed_meanwhile`, or the
    index's answer.
    """

    redriven: int
    put: int
    indexed: int
    objects: int
    settled_meanwhile: int
    kept: Mapping[str, int]
    seconds: float


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
        executor: Executor,
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
            executor: reads and writes objects, several at the same time.
            changes_stream: the Kinesis stream that carries the table's changes, if there is one.
        """
        self._index = index
        self._executor = executor
        self._objects = objects
        self._notes = Notes(objects, executor)
        self._own_objects = OwnObjects(
            objects, self._notes, table_mapping, executor=executor, changes_stream=changes_stream
        )
        self._clock = own = clock.steady()
        self._put: Callable[[Iterable[Event | Outgoing]], object] = lambda some: put(some, own)

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
        self._own_objects.save(cases, fetched)
        kept = Counter[str](
            action_of(one.verdict) for one in cases if not isinstance(one.verdict, Ready)
        )
        redriven = settled_meanwhile = objects = put = 0
        for chunk in self._in_chunks(ready, rate):
            present = []
            for case, there in chunk:
                if there is None:
                    settled_meanwhile += 1
                    continue
                held, bodies = there
                if held is None or not self._is_ready(held, case):
                    kept["changed_meanwhile"] += 1
                    continue
                present.append((case, held, bodies))
            refused = self._index_alone([(case, held) for case, held, _ in present])
            kept.update(refused.values())
            settling: list[tuple[Settlement, _Bodies]] = []
            sending: list[Outgoing] = []
            for at, (case, held, bodies) in enumerate(present):
                if at in refused:
                    continue
                event = None
                if not case.of_index_only:
                    event = event_in(held)
                    # The original bytes: after encoding again, the event could be too large.
                    sending.append(Outgoing(event.image_id, event_bytes(held)))
                settlement = Settlement(case, "as_it_was", event, "", case.arrived_at)
                settling.append((settlement, bodies))
            self._note(settling)
            if sending:
                self._put(sending)
                put += len(sending)
            objects += self._move(settling)
            redriven += len(settling)
            on_progress(redriven)
        return RedriveReport(
            redriven=redriven,
            put=put,
            indexed=redriven - put,
            objects=objects,
            settled_meanwhile=settled_meanwhile,
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
        self._own_objects.save([one.case for one in settlements], fetched)
        put = indexed = objects = settled_meanwhile = 0
        kept: Counter[str] = Counter()
        for one in settlements:
            there = self._there(one.case)
            if there is None:
                settled_meanwhile += 1
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
            self._note([(one, bodies)])
            if one.event is not None:
                self._put([one.event])
                put += 1
            objects += self._move([(one, bodies)])
        return RedriveReport(
            redriven=len(settlements) - settled_meanwhile - kept.total(),
            put=put,
            indexed=indexed,
            objects=objects,
            settled_meanwhile=settled_meanwhile,
            kept=kept,
            seconds=self._clock.elapsed() - began,
        )

    def records_of(self, document: str) -> list[QuarantinedRecord]:
        """The records of a failure document; none if another redrive has split it."""
        return self._own_objects.records_of(document)

    def _check_clock(self, cases: Iterable[Case]) -> None:
        """Check that no record of the table's consumer arrived in the future of this machine.

        Only the index's consumer could have written another arrival than the stream's.
        """
        newest = max((one.arrived_at for one in cases if not one.of_index_only), default=0)
        arrived = dt.datetime.fromtimestamp(newest / 1000, dt.UTC)
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        if arrived - now > MOST_BEHIND:
            raise ClockBehindError(
                f"it is {rfc3339(now, 'seconds')} on this machine, but a record arrived at "
                f"{rfc3339(arrived, 'seconds')}: correct the clock, then run the command again"
            )

    def _in_chunks(
        self, cases: Sequence[Case], rate: float | None
    ) -> Iterator[Iterator[tuple[Case, There]]]:
        """The cases as they are now, some at a time; meanwhile the next ones are read.

        With a rate, nothing is read in advance: it could change until its turn.
        """
        at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate)))
        began = self._clock.elapsed()
        reading: deque[Iterator[tuple[Case, There]]] = deque()
        for number, chunk in enumerate(batched(cases, at_once)):
            if rate is not None:
                self._wait_until(began + number * at_once / rate)
            # The executor begins to read them all.
            reading.append(zip(chunk, self._executor.map(self._there, chunk), strict=True))
            if rate is not None or len(reading) > 1:
                yield reading.popleft()
        yield from reading

    def _there(self, case: Case) -> There:
        return there_of(self._objects, case)

    def _is_ready(self, held: QuarantinedRecord, case: Case) -> bool:
        now = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC)
        return isinstance(judge(held, case.arrived_at, now=now), Ready)

    def _index_alone(self, present: Sequence[tuple[Case, QuarantinedRecord]]) -> dict[int, str]:
        """Try on the index what only its consumer has quarantined.

        Returns:
            Why the index does not hold a record, by its place; nothing about the others.
        """
        trying = {at: held for at, (case, held) in enumerate(present) if case.of_index_only}
        outcomes = self._index.write(list(trying.values()))
        tried = zip(trying, map(_refusal, outcomes), strict=True)
        return {at: refusal for at, refusal in tried if refusal is not None}

    def _note(self, settling: Sequence[tuple[Settlement, _Bodies]]) -> None:
        """Note what will be put and moved. Call this before."""
        if settling:
            self._notes.write(_noted(one, tuple(bodies)) for one, bodies in settling)

    def _move(self, settling: Iterable[tuple[Settlement, _Bodies]]) -> int:
        """Copy the objects to `redriven/`, with a trace; then delete them from `quarantine/`."""
        at = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).isoformat()
        moving = {
            key: (body, Trace(at, settlement.how, settlement.event))
            for settlement, bodies in settling
            for key, body in bodies.items()
        }
        file_away(self._objects, self._executor, moving)
        return len(moving)

    def _wait_until(self, moment: float) -> None:
        pause = moment - self._clock.elapsed()
        if pause > 0:
            self._clock.sleep(pause)


def _noted(settlement: Settlement, keys: tuple[str, ...]) -> NotedRecord:
    event, first = settlement.event, settlement.first_arrival
    if event is None or first is None:
        return NotedRecord(keys, None)
    return NotedRecord(keys, NotedEvent(event.image_id, event.version, first))


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
