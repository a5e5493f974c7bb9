"""Delivery: write a batch of records to any store of images, and report the checkpoint.

`shared.batch` has the rules for every store. Here are those that only images have: two contents may
claim one version, and a stale event may be newer. Rules: docs/internals/invariants.md.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, override

import msgspec

from shared.batch import BatchOf, Delivery, need_time
from shared.change import Change, Purge, Put, Remove, digest_of
from shared.clock import Clock
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import Reason, Time
from shared.fold import Candidate, fold, outlives
from shared.outcome import Held, held
from shared.outrun import outrun
from shared.quarantine import Quarantine, QuarantinedRecord, quarantined
from shared.record import Record
from shared.sink import Sink
from shared.stamps import is_late


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
    need_time(to, quarantine, remaining)
    read = [envelope.record(one) for one in records]
    batch = _Batch(read, to, quarantine, function, clock, remaining=remaining)
    return batch.deliver(fold(batch.decode(envelope.change)))


class _Batch(BatchOf[Change]):
    """A batch of changes of images."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: list[tuple[Change, Record]] = []

    @override
    def decode(self, change_in: Callable[[Record], Change]) -> Iterable[tuple[Change, Record]]:
        for change, record in super().decode(change_in):
            self._note_if_late(change, record)
            yield change, record

    def _note_if_late(self, change: Change, record: Record) -> None:
        """Remember a late event. The other consumer noted the events of a table stream."""
        if record.holds == "event" and is_late(
            change.version, _time(change.occurred_at), change.arrived_at
        ):
            self._late.append((change, record))

    @override
    def _settled_late(self) -> Sequence[Change]:
        return [change for change, record in self._late if record.sequence_number in self._fates]

    @override
    def _seconds_of(self, change: Change) -> float:
        return _time(change.occurred_at).timestamp()

    @override
    def _entry(
        self, record: Record, change: Change | None, reason: Reason, detail: str, at: str
    ) -> QuarantinedRecord:
        return quarantined(
            record, function=self._function, change=change, reason=reason, detail=detail, at=at
        )

    @override
    def _settle_rest(
        self, candidates: list[Candidate], winner: Candidate, its: Held | None
    ) -> None:
        while _contradicts(candidates, winner):
            detail = _differs(candidates[0].change, winner.change)
            self._quarantine_candidate(candidates.pop(0), "conflict", detail)
        if candidates:
            now = winner.change
            its = its or held(now.version, now.arrived_at, now.occurred_at)
            outliving = [one for one in candidates if outlives(one, winner)]
            beaten = [one for one in candidates if not outlives(one, winner)]
            super()._settle_rest(beaten, winner, its)
            candidates[:] = outliving

    @override
    def _settle_stale(self, candidates: list[Candidate], its: Held | None) -> None:
        if not _moves_purge(candidates, its):
            super()._settle_stale(candidates, its)

    @override
    def _supersede(self, candidates: list[Candidate], its: Held | None) -> None:
        """Settle all candidates: the store holds `its`, a higher version.

        An outrun event goes to quarantine. A change of the table is never outrun, because it was
        decided by the table's consumer, and it may be read in another order.
        """
        for candidate in candidates:
            first, *_ = candidate.records
            detail = outrun(candidate.change, its) if first.holds == "event" else None
            if detail is None:
                super()._supersede([candidate], its)
            else:
                self._quarantine_candidate(candidate, "outrun", detail)
        candidates.clear()

    @override
    def _fall_back(
        self, candidates: list[Candidate], reason: Reason, detail: str, its: Held | None
    ) -> None:
        """Quarantine the first candidate, which can never be applied, so that the next is tried."""
        if reason == "conflict" and _moves_purge(candidates, its):
            return
        bad, *_ = candidates
        super()._fall_back(candidates, reason, detail, its)
        if reason == "conflict":
            # The store holds this version, so lower ones are superseded. Another candidate of the
            # same version stays: it may have the content that the store holds.
            same = [one for one in candidates if one.change.version == bad.change.version]
            self._supersede([one for one in candidates if one not in same], its)
            candidates[:] = same


class _At(msgspec.Struct, frozen=True):
    at: Time


@lru_cache(maxsize=1024)  # an event's time is needed when it is read, and when it is applied
def _time(text: str) -> dt.datetime:
    # Use msgspec: Python's own parser rejects some forms of RFC 3339, such as `z`. It keeps what it
    # knows of a Struct, and would look at the type `Time` anew each time.
    return msgspec.convert({"at": text}, _At).at


def _contradicts(candidates: Sequence[Candidate], winner: Candidate) -> bool:
    """Whether the first candidate has the version of the winner, but different content.

    A purge has the same content as the tombstone that it removes.
    """
    match winner.change:
        case Purge():
            return False
        case Put() | Remove():
            return bool(candidates) and candidates[0].change.version == winner.change.version


def _moves_purge(candidates: list[Candidate], its: Held | None) -> bool:
    """Whether a purge is the first candidate now, because it removes what the store holds (`its`).

    What outlives it was tried before, and comes after it now.
    """
    first, *others = candidates
    for one in others:
        if one.change.version > first.change.version and _removes(one, its):
            candidates.remove(one)
            candidates.insert(0, one)
            return True
    return False


def _removes(candidate: Candidate, its: Held | None) -> bool:
    """Whether this is a purge that removes what the store holds."""
    match candidate.change:
        case Put() | Remove():
            return False
        case Purge():
            return its is None or its.version <= candidate.change.version


def _differs(change: Change, stored: Change) -> str:
    return (
        f"version {change.version} is taken by other content: stored is digest "
        f"{digest_of(stored)}, this is {digest_of(change)}"
    )
