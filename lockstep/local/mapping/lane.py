"""One lane of a shard: it cuts batches, and decides what happens to each until it is settled."""

from collections import deque
from collections.abc import Callable
from itertools import takewhile

import msgspec

from lockstep.local.mapping.batch import BatchRecord, Buffer
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
from lockstep.local.mapping.steps import (
    BUSY,
    Discard,
    Halved,
    Invoke,
    Progressed,
    RetriesExhausted,
    Retrying,
    Settled,
    Turn,
    Wait,
)
from lockstep.local.mapping.windows import Windows, returned_state

# With doubling, a batch that fails for 60 s is invoked 7 times, whatever the jitter. The attempt
# after these finds the records expired: together 8, as recorded from AWS.
FIRST_PAUSE_SECONDS = 0.6
# After an outage a shard must continue soon.
LONGEST_PAUSE_SECONDS = 30.0
# Enough to spread the retries of shards, too little to change the number of invocations.
JITTER = 0.1


class _Piece(msgspec.Struct):
    """Records of one invocation, and its earlier attempts."""

    entries: tuple[BatchRecord, ...]
    invocations: int = 0  # those that count towards the quota
    request_id: str | None = None  # of the last invocation
    final: bool = False  # a tumbling window's last invocation, without records


class Tail(msgspec.Struct, frozen=True):
    """The state of the shard after the last record that was read."""

    more: bool  # the next read returns records at once
    ended: bool  # no read returns any
    caught_up_at: float  # when a read last reached the end of the stream


class Lane:
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

    def next(self, now: float, *, oldest: float, tail: Tail) -> Invoke | Discard | Wait:
        """The next step for the first piece, or the time to wait for.

        Records that arrived before `oldest` have expired.
        """
        if not self._pieces:
            self._begin_batch(now, tail)
            if not self._pieces:
                waits = self._buffer.entries and not tail.more
                return Wait(self._window_ends) if waits else BUSY
        if self._running:
            return BUSY
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

    def _begin_batch(self, now: float, tail: Tail) -> None:
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

    def _due(self, now: float, tail: Tail) -> bool:
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


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after a failure that follows `failures` others: exponential, with jitter."""
    # The exponent is limited: 2.0**5000 overflows.
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))
    return pause * (1 + JITTER * (2 * chance - 1))
