"""Delivery: from a batch of records to an honest checkpoint, for any sink.

docs/internals/invariants.md has the rules.
Nothing here is acknowledged before it is durable: a record is settled when it is stored,
superseded by a stored one of its image, or in quarantine. Everything else is reported, so that
Lambda brings it again.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.clock import Clock
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import InvalidEventError, Reason, Time
from shared.fold import Candidate, fold
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import Quarantine, QuarantinedRecord, QuarantineError, quarantined
from shared.record import Record
from shared.sink import MisconfiguredError, RequestFailedError, Sink, outcomes_of

# A few tries bridge a throttled second; an outage is left to the event source mapping, which
# backs off for longer than an invocation may wait.
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
# Kept free at the end of an invocation to report what is left.
REPORTING_SECONDS = 1.0

NO_TIME = Failed("no time left in this invocation")

Fate = Literal["Applied", "Duplicate", "Stale", "Quarantined", "Failed"]


class ItemFailure(TypedDict):
    """The position that Lambda should go on from."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """A partial batch response: empty means that all is settled."""

    batchItemFailures: list[ItemFailure]


class Delivery(msgspec.Struct, frozen=True):
    """What became of a batch.

    `counts` counts records, by fate. `lag_ms` is how long ago the oldest of the events applied
    here occurred, in milliseconds; None when none was. `checkpoint` is the sequence number of the
    lowest record that is not settled; all below it is durable. `failures` says why, and how often.
    """

    counts: Mapping[Fate, int]
    lag_ms: int | None
    checkpoint: str | None
    quarantined: Sequence[QuarantinedRecord]
    failures: Mapping[str, int]

    def response(self) -> BatchResponse:
        """The answer for Lambda: everything from the checkpoint on comes again."""
        if self.checkpoint is None:
            return {"batchItemFailures": []}
        return {"batchItemFailures": [{"itemIdentifier": self.checkpoint}]}


def deliver(
    records: Iterable[Mapping[str, Any]],
    *,
    to: Sink,
    quarantine: Quarantine,
    function: str,
    horizon: dt.timedelta,
    clock: Clock,
    remaining: Callable[[], float],
    envelope: Envelope = IMAGE_EVENTS,
) -> Delivery:
    """Bring a batch's events into one store, each image's highest version, and say what is left.

    Args:
        records: the `Records` of an invocation, of one shard.
        to: the store.
        quarantine: where records go that can never be applied.
        function: this consumer's name in the quarantine: `write_to_dynamodb` or `write_to_es`.
        horizon: how long after a record's arrival a replay may still come.
        clock: time and chance.
        remaining: seconds until this invocation is ended.
        envelope: in what form the records are.

    Raises:
        MisconfiguredError: the deployment is broken; nothing of the batch may be acknowledged.
    """
    needed = max(to.longest_send, quarantine.longest_put) + REPORTING_SECONDS
    if remaining() < needed:
        message = f"the function's timeout is too short: one request may take {needed:g} s"
        raise MisconfiguredError(message)
    read = [envelope.record(one) for one in records]
    batch = _Batch(read, to, quarantine, function, clock, remaining=remaining)
    waiting = fold(batch.decode(envelope, horizon))
    for attempt in range(ATTEMPTS):
        trying = waiting
        while trying:
            trying = batch.write(trying)
        # Only now, so that a slow quarantine holds up no good event.
        batch.set_poison_aside()
        waiting = {image_id: candidates for image_id, candidates in waiting.items() if candidates}
        pause = clock.chance() * min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
        if not waiting or attempt == ATTEMPTS - 1 or not batch.time_for(pause + to.longest_send):
            break
        clock.sleep(pause)
    return batch.report()


class _Batch:
    """One invocation's ledger: each record's fate, once it has one."""

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
        self._fates: dict[str, Fate] = {}  # by sequence number; none yet means not settled
        self._whys: dict[str, str] = {}  # what keeps a record from being settled
        self._poison: list[tuple[Record, InvalidEventError]] = []
        self._set_aside: list[QuarantinedRecord] = []
        self._quarantine_error: str | None = None
        self._oldest_applied = math.inf
        self._schema_is_ours = False

    def decode(self, envelope: Envelope, horizon: dt.timedelta) -> Iterable[tuple[Change, Record]]:
        """The batch's changes; what is none is kept apart."""
        for record in self._records:
            try:
                change = envelope.change(record, horizon)
            except InvalidEventError as invalid:
                self._poison.append((record, invalid))
            else:
                yield change, record

    def write(self, images: Mapping[str, list[Candidate]]) -> dict[str, list[Candidate]]:
        """Write each image's best candidate; settled candidates leave their image's list.

        Returns:
            The images that now stand by their next candidate: those are to be written at once.
        """
        changes = [candidates[0].change for candidates in images.values()]
        outcomes = [
            outcome for request in self._sink.requests(changes) for outcome in self._send(request)
        ]
        fell_back = {}
        for (image_id, candidates), outcome in zip(images.items(), outcomes, strict=True):
            match self._judge(outcome):
                case Applied():
                    self._settle_all(candidates, "Applied")
                case Duplicate():
                    self._settle_all(candidates, "Duplicate")
                case Stale():
                    self._supersede(candidates)
                case Conflict(detail):
                    self._fall_back(candidates, "conflict", detail)
                case Refused(detail):
                    self._fall_back(candidates, "refused_by_store", detail)
                case Failed(detail):
                    for candidate in candidates:
                        self._hold(candidate.records, detail)
                    continue
            if candidates:
                fell_back[image_id] = candidates
        return fell_back

    def set_poison_aside(self) -> None:
        """What is no event goes into quarantine."""
        for record, invalid in self._poison:
            self._set_record_aside(record, None, invalid.reason, invalid.detail)
        self._poison.clear()

    def time_for(self, seconds: float) -> bool:
        """Whether something that takes so long still ends before this invocation does."""
        return self._remaining() >= seconds + REPORTING_SECONDS

    def report(self) -> Delivery:
        """What became of the batch, at its end."""
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
            quarantined=self._set_aside,
            failures=Counter(self._whys[one.sequence_number] for one in unsettled),
        )

    def _send(self, request: Sequence[Change]) -> Sequence[Outcome]:
        return outcomes_of(request, self._send_in_time)

    def _send_in_time(self, request: Sequence[Change]) -> Sequence[Outcome]:
        if not self.time_for(self._sink.longest_send):
            return [NO_TIME] * len(request)
        return self._sink.send(request)

    def _judge(self, outcome: Outcome) -> Outcome:
        """Believe a refusal only of a store whose schema is ours: else the deployment is broken."""
        if not isinstance(outcome, Refused) or self._schema_is_ours:
            return outcome
        if not self.time_for(self._sink.longest_send):
            return NO_TIME
        try:
            self._sink.check()
        except RequestFailedError as error:
            return Failed(f"refused ({outcome.detail}), and the schema is unknown: {error}")
        self._schema_is_ours = True
        return outcome

    def _settle_all(
        self, candidates: list[Candidate], stored: Literal["Applied", "Duplicate"]
    ) -> None:
        """The first candidate is in the store: it settles its whole image."""
        winner = candidates.pop(0)
        first, *again = winner.records
        self._fates[first.sequence_number] = stored
        for record in again:
            self._fates[record.sequence_number] = "Duplicate"
        if stored == "Applied":
            # Read as it was judged: Python's own reader knows less of RFC 3339 (a small z, say).
            occurred = msgspec.convert(winner.change.occurred_at, Time)
            self._oldest_applied = min(occurred.timestamp(), self._oldest_applied)
        while _contradicts(candidates, winner):
            detail = _differs(candidates[0].change, winner.change)
            self._set_candidate_aside(candidates.pop(0), "conflict", detail)
        self._supersede(candidates)

    def _supersede(self, candidates: list[Candidate]) -> None:
        """The store holds a higher version than all of these."""
        for candidate in candidates:
            for record in candidate.records:
                self._fates[record.sequence_number] = "Stale"
        candidates.clear()

    def _fall_back(self, candidates: list[Candidate], reason: Reason, detail: str) -> None:
        """The first candidate can never be applied: set it aside and stand by the next."""
        bad = candidates.pop(0)
        self._set_candidate_aside(bad, reason, detail)
        if reason == "conflict":
            # The store holds this version: lower ones are superseded by it. Another that claims
            # the same version stays: it may be the very content that the store holds.
            same = [one for one in candidates if one.change.version == bad.change.version]
            lower = candidates[len(same) :]
            self._supersede(lower)
            candidates[:] = same

    def _set_candidate_aside(self, candidate: Candidate, reason: Reason, detail: str) -> None:
        for record in candidate.records:
            self._set_record_aside(record, candidate.change, reason, detail)

    def _set_record_aside(
        self, record: Record, change: Change | None, reason: Reason, detail: str
    ) -> None:
        """Into quarantine, durably, or not settled at all.

        A quarantine that failed once is not asked again: it would take the time of good events.
        """
        if self._quarantine_error is not None:
            self._hold([record], self._quarantine_error)
            return
        if not self.time_for(self._quarantine.longest_put):
            self._hold([record], NO_TIME.detail)
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
            self._hold([record], self._quarantine_error)
        else:
            self._fates[record.sequence_number] = "Quarantined"
            self._set_aside.append(entry)

    def _hold(self, records: Iterable[Record], why: str) -> None:
        for record in records:
            self._whys[record.sequence_number] = why

    def _lag_ms(self) -> int | None:
        if self._oldest_applied == math.inf:
            return None
        return round((self._clock.now() - self._oldest_applied) * 1000)


def _contradicts(candidates: Sequence[Candidate], winner: Candidate) -> bool:
    """Whether the first candidate claims the winner's version for other content.

    The tombstone that a purge took is no other content.
    """
    match winner.change:
        case Purge():
            return False
        case Put() | Remove():
            return bool(candidates) and candidates[0].change.version == winner.change.version


def _differs(change: Change, stored: Change) -> str:
    return (
        f"version {change.version} is taken by other content: stored is digest "
        f"{digest_of(stored)}, this is {digest_of(change)}"
    )
