"""The batch: the records of one invocation, written to any store, and the checkpoint.

No record is acknowledged before it is durable. A record is settled when its change is stored, when
the store holds a higher version of its key, or when the record is in quarantine. Lambda delivers
again from the lowest record that is not settled. Rules: docs/internals/invariants.md.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypedDict

import msgspec

from shared.change import Change
from shared.clock import Clock
from shared.event import InvalidEventError, Reason
from shared.fold import CandidateOf
from shared.outcome import Applied, Conflict, Duplicate, Failed, Held, Outcome, Refused, Stale
from shared.quarantine import Quarantine, QuarantinedRecord, QuarantineError, quarantined
from shared.record import Record
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestTimedOutError,
    SinkOf,
    outcomes_of,
)

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
    `out_of_order` counts changes that are stale although they happened later.
    """

    counts: Mapping[Fate, int]
    lag_ms: int | None
    checkpoint: str | None
    quarantined: Sequence[QuarantinedRecord]
    failures: Mapping[str, int]
    unsettled: Sequence[str] = ()
    late: Sequence[Change] = ()
    out_of_order: int = 0

    def response(self) -> BatchResponse:
        """The response to Lambda. Lambda delivers again from the checkpoint on."""
        if self.checkpoint is None:
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": self.checkpoint}]}


def need_time[C](to: SinkOf[C], quarantine: Quarantine, remaining: Callable[[], float]) -> None:
    """Check that an invocation lasts long enough for one request, and one quarantine.

    Raises:
        MisconfiguredError: it does not.
    """
    needed = max(to.longest_send, quarantine.longest_put) + REPORTING_SECONDS
    if remaining() < needed:
        message = f"the function's timeout is too short: set it to more than {needed:g} s"
        raise MisconfiguredError(message)


class BatchOf[C]:
    """The records of one invocation and their fates.

    These are the rules for every store. A subclass says what its changes need besides: which of the
    candidates that lose to a change of their key are not superseded, and how late a change is.
    """

    def __init__(
        self,
        records: Sequence[Record],
        sink: SinkOf[C],
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
        self._out_of_order = 0
        self._oldest_applied = math.inf
        self._timed_out = False

    def decode(self, change_in: Callable[[Record], C]) -> Iterable[tuple[C, Record]]:
        """Yield each change and its record; remember invalid records for the quarantine."""
        for record in self._records:
            try:
                change = change_in(record)
            except InvalidEventError as invalid:
                self._poison.append((record, invalid))
            else:
                yield change, record

    def deliver(self, waiting: Mapping[str, list[CandidateOf[C]]]) -> Delivery:
        """Write the candidates of each key, and try those that fail again while there is time.

        Args:
            waiting: the candidates of each key, the first to write first.

        Raises:
            MisconfiguredError: the deployment is broken; no record may be acknowledged.
        """
        for attempt in range(ATTEMPTS):
            trying = waiting
            while trying:
                trying = self.write(trying)
            # After the writes, so that a slow quarantine does not delay valid events.
            self.quarantine_poison()
            waiting = {key: candidates for key, candidates in waiting.items() if candidates}
            pause = self._clock.chance() * min(
                LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt
            )
            last = attempt == ATTEMPTS - 1
            if not waiting or last or not self.time_for(pause + self._sink.longest_send):
                break
            self._clock.sleep(pause)
        return self.report()

    def write(self, keys: Mapping[str, list[CandidateOf[C]]]) -> dict[str, list[CandidateOf[C]]]:
        """Write each key's first candidate; remove settled candidates from the lists.

        Returns:
            The keys whose next candidate must be written at once.
        """
        changes = [candidates[0].change for candidates in keys.values()]
        outcomes = [
            outcome for request in self._sink.requests(changes) for outcome in self._send(request)
        ]
        fell_back = {}
        judged = self._check_refusals(outcomes)
        for (key, candidates), outcome in zip(keys.items(), judged, strict=True):
            match outcome:
                case Applied():
                    self._settle_all(candidates, "Applied", None)
                case Duplicate(its):
                    self._settle_all(candidates, "Duplicate", its)
                case Stale(its, out_of_order):
                    self._out_of_order += out_of_order
                    self._settle_stale(candidates, its)
                case Conflict(detail, its):
                    self._fall_back(candidates, "conflict", detail, its)
                case Refused(detail):
                    self._fall_back(candidates, "refused_by_store", detail, None)
                case Failed(detail):
                    for candidate in candidates:
                        self._hold_back(candidate.records, detail)
                    continue
            if candidates:
                fell_back[key] = candidates
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
            late=self._settled_late(),
            unsettled=[one.sequence_number for one in unsettled],
            out_of_order=self._out_of_order,
        )

    def _seconds_of(self, change: C) -> float:
        """When the change happened, in seconds since 1970."""
        raise NotImplementedError

    def _settled_late(self) -> Sequence[Change]:
        """The changes of images that are late and settled."""
        return ()

    def _settle_rest(
        self,
        candidates: list[CandidateOf[C]],
        winner: CandidateOf[C],  # noqa: ARG002 - images look at it
        its: Held | None,
    ) -> None:
        """Settle the candidates that lose to the winner, which the store holds.

        `its` is what the store held already; None if it holds the winner since now.
        """
        self._supersede(candidates, its)

    def _entry(
        self,
        record: Record,
        change: C | None,  # noqa: ARG002 - only images have fields for it
        reason: Reason,
        detail: str,
        at: str,
    ) -> QuarantinedRecord:
        """The quarantine object of a record; `at` is in RFC 3339."""
        return quarantined(
            record, function=self._function, change=None, reason=reason, detail=detail, at=at
        )

    def _send(self, request: Sequence[C]) -> Sequence[Outcome]:
        return outcomes_of(request, self._send_in_time)

    def _send_in_time(self, request: Sequence[C]) -> Sequence[Outcome]:
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
        candidates: list[CandidateOf[C]],
        stored: Literal["Applied", "Duplicate"],
        its: Held | None,
    ) -> None:
        """The first candidate is in the store: settle all candidates of its key.

        `its` is what the store held already; None if it holds the first candidate since now.
        """
        winner = candidates.pop(0)
        first, *again = winner.records
        self._fates[first.sequence_number] = stored
        for record in again:
            self._fates[record.sequence_number] = "Duplicate"
        if stored == "Applied":
            self._oldest_applied = min(self._seconds_of(winner.change), self._oldest_applied)
        if candidates:
            self._settle_rest(candidates, winner, its)

    def _settle_stale(self, candidates: list[CandidateOf[C]], its: Held | None) -> None:
        """The first candidate is stale: settle all candidates of its key.

        `its` is what the store holds, with a higher version.
        """
        self._supersede(candidates, its)

    def _supersede(
        self,
        candidates: list[CandidateOf[C]],
        its: Held | None,  # noqa: ARG002 - an image that is outrun looks at it
    ) -> None:
        """Settle all candidates: the store holds `its`, a higher version."""
        for candidate in candidates:
            for record in candidate.records:
                self._fates[record.sequence_number] = "Stale"
        candidates.clear()

    def _fall_back(
        self,
        candidates: list[CandidateOf[C]],
        reason: Reason,
        detail: str,
        its: Held | None,  # noqa: ARG002 - a conflict of images looks at it
    ) -> None:
        """Quarantine the first candidate, which can never be applied, so that the next is tried."""
        self._quarantine_candidate(candidates.pop(0), reason, detail)

    def _quarantine_candidate(self, candidate: CandidateOf[C], reason: Reason, detail: str) -> None:
        for record in candidate.records:
            self._quarantine_record(record, candidate.change, reason, detail)

    def _quarantine_record(
        self, record: Record, change: C | None, reason: Reason, detail: str
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
        at = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).isoformat()
        entry = self._entry(record, change, reason, detail, at)
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
