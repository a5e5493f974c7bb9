"""Delivery: write a batch of records to any sink, and report the checkpoint.

No record is acknowledged before it is durable. A record is settled when its change is stored, when
the store holds a higher version of its image, or when the record is in quarantine. Lambda delivers
again from the lowest record that is not settled. Rules: docs/internals/invariants.md.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypedDict

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.clock import Clock
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import InvalidEventError, Reason, Time
from shared.fold import Candidate, fold
from shared.outcome import Applied, Conflict, Duplicate, Failed, Held, Outcome, Refused, Stale, held
from shared.outrun import outrun
from shared.quarantine import Quarantine, QuarantinedRecord, QuarantineError, quarantined
from shared.record import Record
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestTimedOutError,
    Sink,
    outcomes_of,
)
from shared.stamps import is_late

# Enough attempts for a second of throttling. During a longer outage the event source mapping
# retries, with longer pauses than an invocation can make.
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
# Time that is reserved at the end of an invocation for its response.
REPORTING_SECONDS = 1.0

NO_TIME = Failed("no time left in this invocation")

Fate = Literal["Applied", "Duplicate", "Stale", "Quarantined", "Failed"]


class ItemFailure(TypedDict):
    """The sequence number from which Lambda delivers again."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """A partial batch response. If it is empty, all records are settled."""

    batchItemFailures: list[ItemFailure]


class Delivery(msgspec.Struct, frozen=True):
    """What happened to a batch.

    `counts` counts records by fate. `lag_ms` is the age in milliseconds of the oldest event that
    was applied; None if none was. `checkpoint` is the sequence number of the lowest record that is
    not settled; all records below it are durable. `failures` counts records by cause. `unsettled`
    has the sequence numbers of all records that are not settled, in the order of the batch. `late`
    has the changes of the settled records whose events are late (`shared.stamps.is_late`).
    """

    counts: Mapping[Fate, int]
    lag_ms: int | None
    checkpoint: str | None
    quarantined: Sequence[QuarantinedRecord]
    failures: Mapping[str, int]
    unsettled: Sequence[str] = ()
    late: Sequence[Change] = ()

    def response(self) -> BatchResponse:
        """The response to Lambda. Lambda delivers again from the checkpoint on."""
        if self.checkpoint is None:
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": self.checkpoint}]}


def deliver(
    records: Iterable[Mapping[str, Any]],
    *,
    to: Sink,
    quarantine: Quarantine,
    function: str,
    clock: Clock,
    remaining: Callable[[], float],
    envelope: Envelope = IMAGE_EVENTS,
) -> Delivery:
    """Write the highest version of each image in a batch to one store.

    Args:
        records: the `Records` of an invocation, of one shard.
        to: the store.
        quarantine: where to store records that can never be applied.
        function: this consumer's name in the quarantine: `write_to_dynamodb` or `write_to_es`.
        clock: time and random numbers.
        remaining: seconds until Lambda ends this invocation.
        envelope: the form of the records.

    Raises:
        MisconfiguredError: the deployment is broken; no record may be acknowledged.
    """
    needed = max(to.longest_send, quarantine.longest_put) + REPORTING_SECONDS
    if remaining() < needed:
        message = f"the function's timeout is too short: set it to more than {needed:g} s"
        raise MisconfiguredError(message)
    read = [envelope.record(one) for one in records]
    batch = _Batch(read, to, quarantine, function, clock, remaining=remaining)
    waiting = fold(batch.decode(envelope))
    for attempt in range(ATTEMPTS):
        trying = waiting
        while trying:
            trying = batch.write(trying)
        # After the writes, so that a slow quarantine does not delay valid events.
        batch.quarantine_poison()
        waiting = {image_id: candidates for image_id, candidates in waiting.items() if candidates}
        pause = clock.chance() * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
        if not waiting or attempt == ATTEMPTS - 1 or not batch.time_for(pause + to.longest_send):
            break
        clock.sleep(pause)
    return batch.report()


class _Batch:
    """The records of one invocation and their fates."""

    def __init__(
        self,
        records: Sequence[Record],
        sink: Sink,
        quarantine: Quarantine,
        function: str,
        clock: Clock,
        *,
        remaining: Callable[[], float],
    ) -> None:
        self._records = records
        self._sink = sink
        self._quarantine = quarantine
        self._function = function
        self._clock = clock
        self._remaining = remaining
        self._fates: dict[str, Fate] = {}  # by sequence number; a record without one is not settled
        self._causes: dict[str, str] = {}  # by sequence number: why a record is not settled
        self._poison: list[tuple[Record, InvalidEventError]] = []
        self._quarantined: list[QuarantinedRecord] = []
        self._quarantine_error: str | None = None
        self._late: list[tuple[Change, Record]] = []
        self._oldest_applied = math.inf
        self._timed_out = False

    def decode(self, envelope: Envelope) -> Iterable[tuple[Change, Record]]:
        """Yield each change and its record; remember invalid records for the quarantine."""
        for record in self._records:
            try:
                change = envelope.change(record)
            except InvalidEventError as invalid:
                self._poison.append((record, invalid))
            else:
                self._note_if_late(change, record)
                yield change, record

    def write(self, images: Mapping[str, list[Candidate]]) -> dict[str, list[Candidate]]:
        """Write each image's first candidate; remove settled candidates from the lists.

        Returns:
            The images whose next candidate must be written at once.
        """
        changes = [candidates[0].change for candidates in images.values()]
        outcomes = [
            outcome for request in self._sink.requests(changes) for outcome in self._send(request)
        ]
        fell_back = {}
        judged = self._check_refusals(outcomes)
        for (image_id, candidates), outcome in zip(images.items(), judged, strict=True):
            match outcome:
                case Applied():
                    self._settle_all(candidates, "Applied", None)
                case Duplicate(its):
                    self._settle_all(candidates, "Duplicate", its)
                case Stale(its):
                    self._supersede(candidates, its)
                case Conflict(detail, its):
                    self._fall_back(candidates, "conflict", detail, its)
                case Refused(detail):
                    self._fall_back(candidates, "refused_by_store", detail, None)
                case Failed(detail):
                    for candidate in candidates:
                        self._hold_back(candidate.records, detail)
                    continue
            if candidates:
                fell_back[image_id] = candidates
        return fell_back

    def quarantine_poison(self) -> None:
        """Quarantine the records that are not valid events."""
        for record, invalid in self._poison:
            self._quarantine_record(record, None, invalid.reason, invalid.detail)
        self._poison.clear()

    def time_for(self, seconds: float) -> bool:
        """Whether this many seconds are left, besides the time reserved for the response."""
        return self._remaining() >= seconds + REPORTING_SECONDS

    def report(self) -> Delivery:
        """What happened to the batch. Call it after all attempts."""
        unsettled = [one for one in self._records if one.sequence_number not in self._fates]
        counts = Counter(self._fates.values())
        if unsettled:
            counts["Failed"] = len(unsettled)
        return Delivery(
            counts=counts,
            lag_ms=self._lag_ms(),
            checkpoint=min(unsettled, key=lambda one: one.position).sequence_number
            if unsettled
            else None,
            quarantined=self._quarantined,
            failures=Counter([self._causes[one.sequence_number] for one in unsettled]),
            late=[change for change, record in self._late if record.sequence_number in self._fates],
            unsettled=[one.sequence_number for one in unsettled],
        )

    def _note_if_late(self, change: Change, record: Record) -> None:
        """Remember a late event. The other consumer noted the events of a table stream."""
        if record.holds == "event" and is_late(
            change.version, _time(change.occurred_at), change.arrived_at
        ):
            self._late.append((change, record))

    def _send(self, request: Sequence[Change]) -> Sequence[Outcome]:
        return outcomes_of(request, self._send_in_time)

    def _send_in_time(self, request: Sequence[Change]) -> Sequence[Outcome]:
        """Send a request that ends before the invocation does.

        After the first timeout, a change alone has all the time that is left, and several changes
        are sent only if the usual time is left for one of them afterwards. So after a timeout of
        several changes, the first of them has time (docs/internals/invariants.md).

        Raises:
            RequestTimedOutError: the request did not end in its time, or there is no time for
                several changes.
        """
        usual = self._sink.longest_send
        alone = len(request) == 1
        if not self.time_for(usual):
            return [NO_TIME] * len(request)
        if self._timed_out and alone:
            return self._sink.send(request, within=self._remaining() - REPORTING_SECONDS)
        if self._timed_out and not self.time_for(2 * usual):
            raise RequestTimedOutError(NO_TIME.detail)
        try:
            return self._sink.send(request)
        except RequestTimedOutError:
            first, self._timed_out = not self._timed_out, True
            if first and alone:
                return self._send_in_time(request)
            raise

    def _check_refusals(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Accept refusals only if the store has our schema. Otherwise the deployment is broken.

        A check is about the refusals before it: later ones may be those of another index.
        """
        if not any(isinstance(one, Refused) for one in outcomes):
            return outcomes
        if not self.time_for(self._sink.longest_send):
            return [NO_TIME if isinstance(one, Refused) else one for one in outcomes]
        try:
            self._sink.check()
        except RequestFailedError as error:
            return [
                Failed(f"refused ({one.detail}), and the schema could not be read: {error}")
                if isinstance(one, Refused)
                else one
                for one in outcomes
            ]
        return outcomes

    def _settle_all(
        self,
        candidates: list[Candidate],
        stored: Literal["Applied", "Duplicate"],
        its: Held | None,
    ) -> None:
        """The first candidate is in the store: settle all candidates of its image.

        `its` is what the store held already; None if it holds the first candidate since now.
        """
        winner = candidates.pop(0)
        first, *again = winner.records
        self._fates[first.sequence_number] = stored
        for record in again:
            self._fates[record.sequence_number] = "Duplicate"
        if stored == "Applied":
            occurred = _time(winner.change.occurred_at)
            self._oldest_applied = min(occurred.timestamp(), self._oldest_applied)
        while _contradicts(candidates, winner):
            detail = _differs(candidates[0].change, winner.change)
            self._quarantine_candidate(candidates.pop(0), "conflict", detail)
        if candidates:
            now = winner.change
            its = its or held(now.version, now.arrived_at, now.occurred_at)
            outliving = [one for one in candidates if _outlives(one, winner)]
            self._supersede([one for one in candidates if one not in outliving], its)
            candidates[:] = outliving

    def _supersede(self, candidates: list[Candidate], its: Held | None) -> None:
        """Settle all candidates: the store holds `its`, a higher version.

        An outrun event goes to quarantine. A change of the table is never outrun, because it was
        decided by the table's consumer, and it may be read in another order.
        """
        for candidate in candidates:
            first, *_ = candidate.records
            detail = outrun(candidate.change, its) if first.holds == "event" else None
            if detail is not None:
                self._quarantine_candidate(candidate, "outrun", detail)
                continue
            for record in candidate.records:
                self._fates[record.sequence_number] = "Stale"
        candidates.clear()

    def _fall_back(
        self, candidates: list[Candidate], reason: Reason, detail: str, its: Held | None
    ) -> None:
        """Quarantine the first candidate, which can never be applied, so that the next is tried."""
        bad = candidates.pop(0)
        self._quarantine_candidate(bad, reason, detail)
        if reason == "conflict":
            # The store holds this version, so lower ones are superseded. Another candidate of the
            # same version stays: it may have the content that the store holds.
            same = [one for one in candidates if one.change.version == bad.change.version]
            self._supersede(candidates[len(same) :], its)
            candidates[:] = same

    def _quarantine_candidate(self, candidate: Candidate, reason: Reason, detail: str) -> None:
        for record in candidate.records:
            self._quarantine_record(record, candidate.change, reason, detail)

    def _quarantine_record(
        self, record: Record, change: Change | None, reason: Reason, detail: str
    ) -> None:
        """Quarantine the record, or leave it unsettled.

        After a failure, no more records of this batch are quarantined: valid events need the time.
        """
        if self._quarantine_error is not None:
            self._hold_back([record], self._quarantine_error)
            return
        if not self.time_for(self._quarantine.longest_put):
            self._hold_back([record], NO_TIME.detail)
            return
        entry = quarantined(
            record,
            function=self._function,
            change=change,
            reason=reason,
            detail=detail,
            at=dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).isoformat(),
        )
        try:
            self._quarantine.put(entry)
        except QuarantineError as error:
            self._quarantine_error = f"quarantine: {error}"
            self._hold_back([record], self._quarantine_error)
        else:
            self._fates[record.sequence_number] = "Quarantined"
            self._quarantined.append(entry)

    def _hold_back(self, records: Iterable[Record], why: str) -> None:
        for record in records:
            self._causes[record.sequence_number] = shortened(why)

    def _lag_ms(self) -> int | None:
        if self._oldest_applied == math.inf:
            return None
        return round((self._clock.now() - self._oldest_applied) * 1000)


@lru_cache(maxsize=1024)  # an event's time is needed when it is read, and when it is applied
def _time(text: str) -> dt.datetime:
    # Use msgspec: Python's own parser rejects some forms of RFC 3339, such as `z`.
    return msgspec.convert(text, Time)


def _contradicts(candidates: Sequence[Candidate], winner: Candidate) -> bool:
    """Whether the first candidate has the version of the winner, but different content.

    A purge has the same content as the tombstone that it removes.
    """
    match winner.change:
        case Purge():
            return False
        case Put() | Remove():
            return bool(candidates) and candidates[0].change.version == winner.change.version


def _outlives(candidate: Candidate, winner: Candidate) -> bool:
    """Whether the table took a lower version after it had purged the winner's tombstone."""
    match winner.change:
        case Put() | Remove():
            return False
        case Purge():
            after = candidate.records[-1].position > winner.records[0].position
            return after and candidate.change.version < winner.change.version


def _differs(change: Change, stored: Change) -> str:
    return (
        f"version {change.version} is taken by other content: stored is digest "
        f"{digest_of(stored)}, this is {digest_of(change)}"
    )
