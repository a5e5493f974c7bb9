"""The pure core of the event source mapping: decides what to do next with one shard.

It uses no clock, thread, socket or sleep. Its driver asks a `Shard` for the next step, performs it,
and reports the result. The same code therefore runs with real processes and in virtual time.
"""

import math
import zlib
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Literal

import msgspec

from lockstep.local.mapping.batch import PAYLOAD_BYTES, BatchRecord, Buffer
from lockstep.local.mapping.response import (
    CompleteFailure,
    CompleteSuccess,
    Errored,
    PartialFailure,
    Returned,
    Throttled,
    judge,
)
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.windows import Windows, WindowView, returned_state
from shared.event import AGGREGATED_MAGIC

# With doubling, a batch that fails for 60 s is invoked 7 times, whatever the jitter. The attempt
# after these finds the records expired: together 8, as recorded from AWS.
FIRST_PAUSE_SECONDS = 0.6
# After an outage a shard must continue soon.
LONGEST_PAUSE_SECONDS = 30.0
# Enough to spread the retries of shards, too little to change the number of invocations.
JITTER = 0.1
# A shard allows five reads a second for all its readers together: two mappings stay below.
IDLE_READ_SECONDS = 0.5
GAP_READ_SECONDS = 0.2
# One read returns several small batches; GetRecords also returns at most 10 MiB.
READ_RECORDS = 1_000

type Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


class Read(msgspec.Struct, frozen=True):
    """Read at most `limit` records; then call `records_read` or `read_failed`."""

    limit: int


class Invoke(msgspec.Struct, frozen=True):
    """Invoke the function with these records; then call `invocation_ended` for this lane.

    Steps of other lanes may run during the invocation. `view` is set in tumbling windows only.
    """

    entries: tuple[BatchRecord, ...]
    lane: int = 0
    view: WindowView | None = None


class Discard(msgspec.Struct, frozen=True):
    """Discard these records: write the failure document, if there is an on-failure destination.

    Then call `discarded`; or call `discard_failed` if the write failed, and this step is repeated.
    Steps of other lanes may run during the write. `invocations` counts those of the last quota of
    retries. `request_id` is the last invocation's, None if the function was never invoked. Without
    records, the final invocation of a tumbling window is discarded; no record is lost.
    """

    entries: tuple[BatchRecord, ...]
    condition: Condition
    invocations: int
    request_id: str | None
    function_error: str | None
    lane: int = 0


class Advance(msgspec.Struct, frozen=True):
    """Save this sequence number as the checkpoint, durably; then call `checkpoint_saved`."""

    sequence_number: str


class Wait(msgspec.Struct, frozen=True):
    """Ask again at this time, in seconds since 1970, or when a running step has ended.

    `until` is infinite if there is nothing to do before a running step ends.
    """

    until: float


_BUSY = Wait(math.inf)


class Finished(msgspec.Struct, frozen=True):
    """The shard is closed and read to its end, and all records are settled."""


type Step = Read | Invoke | Discard | Advance | Wait | Finished


class Settled(msgspec.Struct, frozen=True):
    """The whole batch is settled."""


class Progressed(msgspec.Struct, frozen=True):
    """The first `done` records are settled; the other `left` continue at once with a new quota."""

    cause: str
    done: int
    left: int


class Halved(msgspec.Struct, frozen=True):
    """The batch is split in two halves, which does not count as a retry."""

    cause: str
    records: int


class Retrying(msgspec.Struct, frozen=True):
    """The same records are retried after `pause` seconds."""

    cause: str
    records: int
    pause: float


class RetriesExhausted(msgspec.Struct, frozen=True):
    """No retry is left: the records will be discarded."""

    cause: str
    records: int


type Turn = Settled | Progressed | Halved | Retrying | RetriesExhausted


class _Piece(msgspec.Struct):
    """Records of one invocation, and its earlier attempts."""

    entries: tuple[BatchRecord, ...]
    invocations: int = 0  # those that count towards the quota
    request_id: str | None = None  # of the last invocation
    final: bool = False  # a tumbling window's last invocation, without records


class _Tail(msgspec.Struct, frozen=True):
    """The state of the shard after the last record that was read."""

    more: bool  # the next read returns records at once
    ended: bool  # no read returns any
    caught_up_at: float  # when a read last reached the end of the stream


class _Lane:
    """Settles one batch after the other; the records of a batch are in order.

    A shard has as many lanes as its parallelization factor, each with its own partition keys: so
    several batches run at the same time, but never two with the same key.
    """

    def __init__(self, number: int, settings: Settings, chance: Callable[[], float]) -> None:
        self._number = number
        self._settings = settings
        self._chance = chance
        self._buffer = Buffer(settings)
        self._window_opened: float | None = None
        tumbling = settings.tumbling_seconds
        self._windows = Windows(tumbling) if tumbling else None
        self._pieces: deque[_Piece] = deque()
        self._running = False  # an invocation or a discard of the first piece
        self._discard: Discard | None = None
        self._failures = 0  # in a row; sets the pause. The quota counts per piece
        self._not_before = float("-inf")

    @property
    def idle(self) -> bool:
        """Whether it has no batch; it may have records for the next one."""
        return not self._pieces

    @property
    def empty(self) -> bool:
        """Whether it has neither a batch nor records nor an open window."""
        return self.idle and not self._buffer.entries and not self.holds_back

    @property
    def holds_back(self) -> bool:
        """Whether the checkpoint must wait for the end of a tumbling window.

        The window's state is in memory only: after a restart it is computed again from the records.
        """
        return self._windows is not None and self._windows.open

    def add(self, entries: list[BatchRecord]) -> None:
        """Add records, in the shard's order."""
        self._buffer.add(entries)

    def next(self, now: float, *, oldest: float, tail: _Tail) -> Invoke | Discard | Wait:
        """The next step for the first piece, or the time to wait for.

        Records that arrived before `oldest` have expired.
        """
        if not self._pieces:
            self._begin_batch(now, tail)
            if not self._pieces:
                waits = self._buffer.entries and not tail.more
                return Wait(self._window_ends) if waits else _BUSY
        if self._running:
            return _BUSY
        if now < self._not_before:
            return Wait(self._not_before)
        piece = self._pieces[0]
        if self._discard is None:
            self._discard = self._expired(piece, oldest)
        self._running = True
        if self._discard is not None:
            return self._discard
        view = None
        if self._windows is not None:
            if not piece.final:
                self._windows.begin(piece.entries[0].arrived_at)
            view = self._windows.view(final=piece.final)
        return Invoke(piece.entries, self._number, view)

    def invocation_ended(
        self, answer: Returned | Errored | Throttled, request_id: str, now: float
    ) -> tuple[Turn, tuple[BatchRecord, ...]]:
        """What happens to the first piece, and the records that are settled now."""
        if not self._running or self._discard is not None:
            raise RuntimeError("no invocation is running")
        self._running = False
        # The batching window of the next batch opens when the invocation ends.
        self._window_opened = now
        piece = self._pieces[0]
        if isinstance(answer, Throttled):
            return self._retry("throttled", piece, now), ()
        piece.request_id = request_id
        batch, reports = piece.entries, self._settings.reports_item_failures
        judgement = judge(answer, batch, reports=reports)
        state = None if self._windows is None else self._returned(answer)
        if self._windows and state is None and not isinstance(judgement, CompleteFailure):
            judgement = CompleteFailure("the response has no state", None)
        match judgement:
            case CompleteSuccess():
                self._pieces.popleft()
                self._reset_failures()
                self._keep_state(state, final=piece.final)
                return Settled(), batch
            case PartialFailure(position, cause) if position > 0:
                done, left = batch[:position], batch[position:]
                self._pieces[0] = _Piece(left, request_id=request_id)
                self._reset_failures()
                self._keep_state(state, final=False)
                return Progressed(cause, len(done), len(left)), done
            case PartialFailure(_, cause):
                return self._count(cause, piece, None, now), ()
            case CompleteFailure(cause, function_error):
                if self._settings.bisect and len(batch) > 1:
                    return self._halve(cause, piece), ()
                return self._count(cause, piece, function_error, now), ()

    def discarded(self) -> tuple[BatchRecord, ...]:
        """The discarded records are settled; the piece continues with its other records."""
        if self._discard is None:
            raise RuntimeError("no discard is running")
        gone, self._discard, self._running = self._discard.entries, None, False
        piece = self._pieces[0]
        piece.entries = piece.entries[len(gone) :]
        if not piece.entries:
            self._pieces.popleft()
            self._reset_failures()
            if self._windows and piece.final:
                self._windows.close()
        return gone

    def discard_failed(self, again: float) -> None:
        """The discard failed; it is repeated at this time."""
        if self._discard is None:
            raise RuntimeError("no discard is running")
        self._running = False
        self._not_before = again

    def _returned(self, answer: Returned | Errored) -> bytes | None:
        return returned_state(answer.payload) if isinstance(answer, Returned) else None

    def _keep_state(self, state: bytes | None, *, final: bool) -> None:
        """Keep a tumbling window's state for its next invocation, or close the window."""
        if self._windows is None or state is None:
            return
        if final:
            self._windows.close()
        elif self._windows.take(state):
            self._pieces.appendleft(_Piece((), final=True))

    def _begin_batch(self, now: float, tail: _Tail) -> None:
        """Cut a batch if one is due, or end the tumbling window if its time has passed."""
        windows, due = self._windows, self._due(now, tail)
        if windows is None:
            if due:
                self._pieces.append(_Piece(self._buffer.cut()))
            return
        if self._buffer.entries:
            windows.begin(self._buffer.first.arrived_at)
            window_ended = self._buffer.first.arrived_at >= windows.end
        else:
            window_ended = windows.open and (tail.ended or tail.caught_up_at >= windows.end)
        if window_ended:
            self._pieces.append(_Piece((), final=True))
        elif self._buffer.entries and (self._buffer.reaches(windows.end) or due):
            self._pieces.append(_Piece(self._buffer.cut(before=windows.end)))

    def _count(self, cause: str, piece: _Piece, function_error: str | None, now: float) -> Turn:
        """Count a failed invocation: it uses up one retry."""
        piece.invocations += 1
        retries = self._settings.retries
        if retries is None or piece.invocations <= retries:
            return self._retry(cause, piece, now)
        self._discard = Discard(
            piece.entries,
            "RetryAttemptsExhausted",
            piece.invocations,
            piece.request_id,
            function_error,
            self._number,
        )
        return RetriesExhausted(cause, len(piece.entries))

    def _halve(self, cause: str, piece: _Piece) -> Halved:
        middle = len(piece.entries) // 2
        self._pieces.popleft()
        for half in (piece.entries[middle:], piece.entries[:middle]):
            self._pieces.appendleft(_Piece(half, piece.invocations, piece.request_id))
        return Halved(cause, len(piece.entries))

    def _retry(self, cause: str, piece: _Piece, now: float) -> Retrying:
        pause = pause_after(self._failures, self._chance())
        self._failures += 1
        self._not_before = now + pause
        return Retrying(cause, len(piece.entries), pause)

    def _reset_failures(self) -> None:
        self._failures = 0

    def _expired(self, piece: _Piece, oldest: float) -> Discard | None:
        """A discard of the expired records at the head of the piece, if there are any."""
        if piece.entries and piece.entries[0].arrived_at >= oldest:
            return None
        gone = tuple(takewhile(lambda entry: entry.arrived_at < oldest, piece.entries))
        window_gone = piece.final and self._windows is not None and self._windows.end < oldest
        if not gone and not window_gone:
            return None
        return Discard(
            gone, "RecordAgeExceeded", piece.invocations, piece.request_id, None, self._number
        )

    def _due(self, now: float, tail: _Tail) -> bool:
        """Whether to cut a batch: it is full, or its batching window has ended."""
        empty = not self._buffer.entries
        if self._window_opened is None or (empty and now >= self._window_ends):
            self._window_opened = now
        if empty:
            return False
        waited = not tail.more and now >= self._window_ends
        return self._buffer.full or tail.ended or waited

    @property
    def _window_ends(self) -> float:
        opened = float("-inf") if self._window_opened is None else self._window_opened
        return opened + self._settings.window_seconds


class _Unsettled:
    """The records after the checkpoint that were read, in the shard's order."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._settled: set[str] = set()
        self.bytes = 0  # of the records that are not settled

    def __len__(self) -> int:
        return len(self._order)

    def add(self, entries: list[BatchRecord]) -> None:
        self._order.extend(entry.sequence_number for entry in entries)
        self.bytes += sum(len(entry.json) for entry in entries)

    def settle(self, entries: tuple[BatchRecord, ...]) -> str | None:
        """Settle records; return the new highest number up to which all are settled, if any."""
        self._settled.update(entry.sequence_number for entry in entries)
        self.bytes -= sum(len(entry.json) for entry in entries)
        last = None
        while self._order and self._order[0] in self._settled:
            last = self._order.popleft()
            self._settled.remove(last)
        return last


class Shard:
    """Processes one shard: read, cut batches, invoke, retry, discard, move the checkpoint.

    The driver performs each `next` step and calls the method that the step names before it asks for
    another step. Only invocations and discards may still run when it asks; it calls the method when
    they end.

    A record is settled when its batch succeeded or was discarded. The checkpoint moves with settled
    records only, and never passes a record of any lane that is not settled.

    Args:
        settings: of the mapping.
        retention: how long the stream keeps a record, in seconds; older records have expired,
            whatever the settings are.
        chance: returns random numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self, settings: Settings, *, retention: float, chance: Callable[[], float]
    ) -> None:
        self.retention = retention
        self._settings = settings
        self._read_records = max(settings.batch_size, READ_RECORDS)
        self._lanes = [
            _Lane(number, settings, chance) for number in range(settings.parallelization_factor)
        ]
        self._unsettled = _Unsettled()
        self._checkpoint: str | None = None  # not saved yet
        self._read_at = float("-inf")
        self._more_at_once = False  # the last read did not reach the end of the stream
        self._caught_up_at = float("-inf")
        self._ended = False

    def next(self, now: float) -> Step:
        """The next step at this time, in seconds since 1970."""
        if self._checkpoint is not None and not any(lane.holds_back for lane in self._lanes):
            return Advance(self._checkpoint)
        oldest = now - self._lifetime
        tail = _Tail(self._more_at_once and self._may_read, self._ended, self._caught_up_at)
        until = math.inf
        for lane in self._lanes:
            step = lane.next(now, oldest=oldest, tail=tail)
            if step is _BUSY:
                continue
            if not isinstance(step, Wait):
                return step
            until = min(until, step.until)
        if self._ended:
            return Finished() if all(lane.empty for lane in self._lanes) else Wait(until)
        if self._may_read and any(lane.idle for lane in self._lanes):
            if now >= self._read_at:
                return Read(self._read_records)
            until = min(until, self._read_at)
        return Wait(until)

    def records_read(
        self, entries: list[BatchRecord], *, behind: bool, ended: bool, now: float
    ) -> None:
        """A read returned these; `behind`: there are more; `ended`: there will be no more."""
        self._unsettled.add(entries)
        entries, has_records = self._filtered(entries), bool(entries)
        by_lane: dict[int, list[BatchRecord]] = {}
        for entry in entries:
            by_lane.setdefault(self._lane_of(entry), []).append(entry)
        for number, lane_entries in by_lane.items():
            self._lanes[number].add(lane_entries)
        self._ended = ended
        if not behind:
            self._caught_up_at = now
        self._more_at_once = behind and has_records
        if self._more_at_once:
            self._read_at = now
        else:
            self._read_at = now + (GAP_READ_SECONDS if behind else IDLE_READ_SECONDS)

    def read_failed(self, *, again: float) -> None:
        """A read failed and is retried at this time; earlier records are processed meanwhile."""
        self._more_at_once = False
        self._read_at = again

    def invocation_ended(
        self, answer: Returned | Errored | Throttled, *, request_id: str, now: float, lane: int = 0
    ) -> Turn:
        """The invocation of this lane ended with this result."""
        turn, settled = self._lanes[lane].invocation_ended(answer, request_id, now)
        self._settle(settled)
        return turn

    def discarded(self, *, lane: int = 0) -> None:
        """The lane's failure document is durable, or there is no on-failure destination."""
        self._settle(self._lanes[lane].discarded())

    def discard_failed(self, *, again: float, lane: int) -> None:
        """The lane's failure document was not written; the write is retried at this time."""
        self._lanes[lane].discard_failed(again)

    def checkpoint_saved(self) -> None:
        """The checkpoint is durable."""
        self._checkpoint = None

    def _settle(self, entries: tuple[BatchRecord, ...]) -> None:
        self._checkpoint = self._unsettled.settle(entries) or self._checkpoint

    def _filtered(self, entries: list[BatchRecord]) -> list[BatchRecord]:
        """The records that match the filter criteria; all others are settled."""
        filters = self._settings.filters
        if filters is None:
            return entries
        matching: list[BatchRecord] = []
        others: list[BatchRecord] = []
        for entry in entries:
            data = entry.json if filters.whole_record else entry.data
            (matching if filters.match(data) else others).append(entry)
        self._settle(tuple(others))
        return matching

    def _lane_of(self, entry: BatchRecord) -> int:
        """The lane of a key. Aggregated records contain records of many keys: all use one lane."""
        if entry.data.startswith(AGGREGATED_MAGIC):
            return 0
        lanes = len(self._lanes)
        return zlib.crc32(entry.partition_key.encode()) % lanes if lanes > 1 else 0

    @property
    def _may_read(self) -> bool:
        """Whether to read more records: this limits the memory.

        It also limits how far other lanes get ahead of a lane that is stuck.
        """
        lanes, unsettled = len(self._lanes), self._unsettled
        return (
            len(unsettled) < lanes * self._read_records and unsettled.bytes < lanes * PAYLOAD_BYTES
        )

    @property
    def _lifetime(self) -> float:
        age = self._settings.age_seconds
        return self.retention if age is None else min(age, self.retention)


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after a failure that follows `failures` others: exponential, with jitter."""
    # The exponent is limited: 2.0**5000 overflows.
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))
    return pause * (1 + JITTER * (2 * chance - 1))
