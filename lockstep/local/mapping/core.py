"""The pure core of the event source mapping: given the time, what to do next with one shard.

No clock, thread, socket or sleep: whoever drives a `Shard` asks it for the next step, does that,
and says how it went. So the same code runs behind real processes and in virtual time.
"""

import math
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import takewhile
from typing import Literal

import msgspec

from lockstep.local.mapping.batch import PAYLOAD_BYTES, Buffer, Entry
from lockstep.local.mapping.response import (
    Errored,
    Failed,
    Returned,
    Stopped,
    Succeeded,
    Throttled,
    judge,
)
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.windows import View, Windows, returned_state
from shared.event import AGGREGATED_MAGIC

# Doubling from here makes 8 invocations of a batch that fails for 60 s, as recorded from AWS.
FIRST_PAUSE_SECONDS = 0.35
# An outage should not be over for long before the shard moves again.
LONGEST_PAUSE_SECONDS = 30.0
# Enough that shards do not knock in step, too little to change the number of invocations.
JITTER = 0.1
# A shard allows five reads a second to all its readers together: two mappings stay below.
IDLE_READ_SECONDS = 0.5
GAP_READ_SECONDS = 0.2
# One read brings several small batches; what GetRecords gives at once is also capped at 10 MiB.
READ_RECORDS = 1_000

type Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


class Read(msgspec.Struct, frozen=True):
    """Read at most so many records, then say `took` or `unread`."""

    limit: int


class Invoke(msgspec.Struct, frozen=True):
    """Invoke the function with these records, then say `answered` for this lane.

    Other lanes' steps may be done while the invocation runs. `view` is there in tumbling windows.
    """

    entries: tuple[Entry, ...]
    lane: int = 0
    view: View | None = None


class Discard(msgspec.Struct, frozen=True):
    """Give these records up: write the failure document, if anybody wants it; say `discarded`.

    Other lanes' steps may be done while it is written. If it cannot be, say `unwritten`: it comes
    again.
    `invocations` counts those of the last quota. `request_id` is the last invocation's, None when
    the records were never tried. Without records it is a tumbling window's final invocation that
    is given up: nothing of the stream is lost by it.
    """

    entries: tuple[Entry, ...]
    condition: Condition
    invocations: int
    request_id: str | None
    function_error: str | None
    lane: int = 0


class Advance(msgspec.Struct, frozen=True):
    """Everything up to this sequence number is settled: keep that, durably, then say `advanced`."""

    sequence_number: str


class Wait(msgspec.Struct, frozen=True):
    """Ask again at this time, in the clock's seconds, or when something that runs has ended.

    `until` is infinite when nothing can be done before that.
    """

    until: float


_FOR_OTHERS = Wait(math.inf)


class Finished(msgspec.Struct, frozen=True):
    """The shard is closed, read to its end, and all of it is settled."""


type Step = Read | Invoke | Discard | Advance | Wait | Finished


class Settled(msgspec.Struct, frozen=True):
    """The whole batch is done."""


class Progressed(msgspec.Struct, frozen=True):
    """The first `done` records are done; the other `left` go on at once with a new quota."""

    cause: str
    done: int
    left: int


class Halved(msgspec.Struct, frozen=True):
    """The batch goes on as two halves, which costs no retry."""

    cause: str
    records: int


class Retrying(msgspec.Struct, frozen=True):
    """The same records again, after `pause` seconds."""

    cause: str
    records: int
    pause: float


class GaveUp(msgspec.Struct, frozen=True):
    """No retry is left."""

    cause: str
    records: int


type Turn = Settled | Progressed | Halved | Retrying | GaveUp


class _Piece(msgspec.Struct):
    """Records that are invoked together, and what was tried with them."""

    entries: tuple[Entry, ...]
    invocations: int = 0  # that count towards the quota
    request_id: str | None = None  # of the last invocation
    final: bool = False  # a tumbling window's last invocation, without records


class _Tail(msgspec.Struct, frozen=True):
    """What is known of the shard behind what was read."""

    more: bool  # the next read brings records at once
    ended: bool  # no read brings any
    caught_up_at: float  # when a read last left nothing behind


class _Lane:
    """One batch at a time, on its way to being settled, its records in order.

    A shard has as many as its parallelization factor says, each with its own keys: so many batches
    run at once, and yet no two of one key.
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
        self._running = False  # an invocation of the first piece, or what gives it up
        self._giving_up: Discard | None = None
        self._failures = 0  # in a row; they set the pause, the piece's own set the quota
        self._not_before = float("-inf")

    @property
    def idle(self) -> bool:
        """Whether it has no batch; records for a next one may be there."""
        return not self._pieces

    @property
    def empty(self) -> bool:
        """Whether it has nothing at all."""
        return self.idle and not self._buffer and not self.holds_back

    @property
    def holds_back(self) -> bool:
        """Whether the checkpoint must wait for a tumbling window's end.

        Its state is kept nowhere else: after a restart the window's records make it anew.
        """
        return self._windows is not None and self._windows.open

    def add(self, entries: list[Entry]) -> None:
        """Records for it, in the shard's order."""
        self._buffer.add(entries)

    def next(self, now: float, *, oldest: float, tail: _Tail) -> Invoke | Discard | Wait:
        """What to do with the first piece, or until when to wait.

        `oldest`: when the oldest valid record arrived.
        """
        if not self._pieces:
            self._begin_batch(now, tail)
            if not self._pieces:
                waits = self._buffer and not tail.more
                return Wait(self._window_ends) if waits else _FOR_OTHERS
        if self._running:
            return _FOR_OTHERS
        if now < self._not_before:
            return Wait(self._not_before)
        piece = self._pieces[0]
        if self._giving_up is None:
            self._giving_up = self._expired(piece, oldest)
        self._running = True
        if self._giving_up is not None:
            return self._giving_up
        view = None
        if self._windows is not None:
            if not piece.final:
                self._windows.begin(piece.entries[0].arrived_at)
            view = self._windows.view(final=piece.final)
        return Invoke(piece.entries, self._number, view)

    def answered(
        self, answer: Returned | Errored | Throttled, request_id: str, now: float
    ) -> tuple[Turn, tuple[Entry, ...]]:
        """What becomes of the first piece, and the records that are settled by this."""
        if not self._running or self._giving_up is not None:
            raise RuntimeError("nothing was invoked")
        self._running = False
        # The next batch's window opens when the invocation ends.
        self._window_opened = now
        piece = self._pieces[0]
        if isinstance(answer, Throttled):
            return self._retry("throttled", piece, now), ()
        piece.request_id = request_id
        batch, reports = piece.entries, self._settings.reports_item_failures
        judgement = judge(answer, batch, reports=reports)
        state = None if self._windows is None else self._returned(answer)
        if self._windows and state is None and not isinstance(judgement, Failed):
            judgement = Failed("the response has no state", None)
        match judgement:
            case Succeeded():
                self._pieces.popleft()
                self._moved()
                self._keep(state, final=piece.final)
                return Settled(), batch
            case Stopped(position, cause) if position > 0:
                done, left = batch[:position], batch[position:]
                self._pieces[0] = _Piece(left, request_id=request_id)
                self._moved()
                self._keep(state, final=False)
                return Progressed(cause, len(done), len(left)), done
            case Stopped(_, cause):
                return self._count(cause, piece, None, now), ()
            case Failed(cause, function_error):
                if self._settings.bisect and len(batch) > 1:
                    return self._halve(cause, piece), ()
                return self._count(cause, piece, function_error, now), ()

    def discarded(self) -> tuple[Entry, ...]:
        """The records given up are settled; the piece goes on with what is left of it."""
        if self._giving_up is None:
            raise RuntimeError("nothing was to be discarded")
        gone, self._giving_up, self._running = self._giving_up.entries, None, False
        piece = self._pieces[0]
        piece.entries = piece.entries[len(gone) :]
        if not piece.entries:
            self._pieces.popleft()
            self._moved()
            if self._windows and piece.final:
                self._windows.close()
        return gone

    def unwritten(self, again: float) -> None:
        """The records given up stay, and are to be given up again at this time."""
        if self._giving_up is None:
            raise RuntimeError("nothing was to be discarded")
        self._running = False
        self._not_before = again

    def _returned(self, answer: Returned | Errored) -> bytes | None:
        return returned_state(answer.payload) if isinstance(answer, Returned) else None

    def _keep(self, state: bytes | None, *, final: bool) -> None:
        """A tumbling window's state for the next invocation, or its end."""
        if self._windows is None or state is None:
            return
        if final:
            self._windows.close()
        elif self._windows.take(state):
            self._pieces.appendleft(_Piece((), final=True))

    def _begin_batch(self, now: float, tail: _Tail) -> None:
        """Cut a batch if it is time, or end the tumbling window if its time is over."""
        windows, due = self._windows, self._due(now, tail)
        if windows is None:
            if due:
                self._pieces.append(_Piece(self._buffer.cut()))
            return
        if self._buffer:
            windows.begin(self._buffer.first.arrived_at)
            over = self._buffer.first.arrived_at >= windows.end
        else:
            over = windows.open and (tail.ended or tail.caught_up_at >= windows.end)
        if over:
            self._pieces.append(_Piece((), final=True))
        elif self._buffer and (self._buffer.reaches(windows.end) or due):
            self._pieces.append(_Piece(self._buffer.cut(before=windows.end)))

    def _count(self, cause: str, piece: _Piece, function_error: str | None, now: float) -> Turn:
        """A failed invocation that counts: one retry less."""
        piece.invocations += 1
        retries = self._settings.retries
        if retries is None or piece.invocations <= retries:
            return self._retry(cause, piece, now)
        self._giving_up = Discard(
            piece.entries,
            "RetryAttemptsExhausted",
            piece.invocations,
            piece.request_id,
            function_error,
            self._number,
        )
        return GaveUp(cause, len(piece.entries))

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

    def _moved(self) -> None:
        self._failures = 0

    def _expired(self, piece: _Piece, oldest: float) -> Discard | None:
        """The records at the head of the piece that are too old: given up ahead of the rest."""
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
        """Whether a batch is to be cut: full, or nothing more comes before its window ends."""
        empty = not self._buffer
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
    """What was read and is not behind the checkpoint yet, in the shard's order."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._settled: set[str] = set()
        self.bytes = 0  # of those that are not settled

    def __len__(self) -> int:
        return len(self._order)

    def add(self, entries: list[Entry]) -> None:
        self._order.extend(entry.sequence_number for entry in entries)
        self.bytes += sum(len(entry.json) for entry in entries)

    def settle(self, entries: tuple[Entry, ...]) -> str | None:
        """These are settled; says the last number up to which all are, if that moved."""
        self._settled.update(entry.sequence_number for entry in entries)
        self.bytes -= sum(len(entry.json) for entry in entries)
        last = None
        while self._order and self._order[0] in self._settled:
            last = self._order.popleft()
            self._settled.remove(last)
        return last


class Shard:
    """One shard on its way through the function: read, cut, invoke, retry, give up, advance.

    The driver does each `next` step and answers it with the method that the step names, before it
    asks again; only an invocation and a failure document's writing may still run when it asks, and
    are answered for when they ended.
    The checkpoint follows what is settled and nothing else: a batch that succeeded, or one whose
    failure document is written; and never passes a record that is not, in whichever lane.

    Args:
        settings: the mapping's.
        retention: how long the stream keeps a record, in seconds: older ones are expired, whatever
            the settings say.
        chance: random numbers, 0 to 1, for the jitter.
    """

    def __init__(
        self, settings: Settings, *, retention: float, chance: Callable[[], float]
    ) -> None:
        self.retention = retention
        self._settings = settings
        self._lanes = [
            _Lane(number, settings, chance) for number in range(settings.parallelization_factor)
        ]
        self._unsettled = _Unsettled()
        self._checkpoint: str | None = None  # not yet advanced to
        self._read_at = float("-inf")
        self._more_at_once = False  # the last read left records behind
        self._caught_up_at = float("-inf")
        self._ended = False

    def next(self, now: float) -> Step:
        """What to do at this time, in seconds since 1970."""
        if self._checkpoint is not None and not any(lane.holds_back for lane in self._lanes):
            return Advance(self._checkpoint)
        oldest = now - self._lifetime
        tail = _Tail(self._more_at_once and self._room, self._ended, self._caught_up_at)
        until = math.inf
        for lane in self._lanes:
            step = lane.next(now, oldest=oldest, tail=tail)
            if step is _FOR_OTHERS:
                continue
            if not isinstance(step, Wait):
                return step
            until = min(until, step.until)
        if self._ended:
            return Finished() if all(lane.empty for lane in self._lanes) else Wait(until)
        if self._room and any(lane.idle for lane in self._lanes):
            if now >= self._read_at:
                return Read(max(self._settings.batch_size, READ_RECORDS))
            until = min(until, self._read_at)
        return Wait(until)

    def took(self, entries: list[Entry], *, behind: bool, ended: bool, now: float) -> None:
        """The read brought these; `behind`: more are there; `ended`: none will ever come."""
        self._unsettled.add(entries)
        entries, brought = self._filtered(entries), bool(entries)
        by_lane: dict[int, list[Entry]] = {}
        for entry in entries:
            by_lane.setdefault(self._lane_of(entry), []).append(entry)
        for number, its in by_lane.items():
            self._lanes[number].add(its)
        self._ended = ended
        if not behind:
            self._caught_up_at = now
        self._more_at_once = behind and brought
        if self._more_at_once:
            self._read_at = now
        else:
            self._read_at = now + (GAP_READ_SECONDS if behind else IDLE_READ_SECONDS)

    def unread(self, *, again: float) -> None:
        """The read failed, and is to be tried again at this time; what is there goes on."""
        self._more_at_once = False
        self._read_at = again

    def answered(
        self, answer: Returned | Errored | Throttled, *, request_id: str, now: float, lane: int = 0
    ) -> Turn:
        """The invocation of this lane ended like this."""
        turn, settled = self._lanes[lane].answered(answer, request_id, now)
        self._settle(settled)
        return turn

    def discarded(self, *, lane: int = 0) -> None:
        """The lane's failure document is durable, or nobody wants one."""
        self._settle(self._lanes[lane].discarded())

    def unwritten(self, *, again: float, lane: int) -> None:
        """The lane's failure document could not be written: to be tried again at this time."""
        self._lanes[lane].unwritten(again)

    def advanced(self) -> None:
        """The checkpoint is durable."""
        self._checkpoint = None

    def _settle(self, entries: tuple[Entry, ...]) -> None:
        self._checkpoint = self._unsettled.settle(entries) or self._checkpoint

    def _filtered(self, entries: list[Entry]) -> list[Entry]:
        """What is for the function; the rest is settled by this."""
        filters = self._settings.filters
        if filters is None:
            return entries
        passed: list[Entry] = []
        dropped: list[Entry] = []
        for entry in entries:
            (passed if filters.match(entry.data) else dropped).append(entry)
        self._settle(tuple(dropped))
        return passed

    def _lane_of(self, entry: Entry) -> int:
        """One lane for a key. Aggregated records hold other keys than their own: all go in one."""
        if entry.data.startswith(AGGREGATED_MAGIC):
            return 0
        lanes = len(self._lanes)
        return zlib.crc32(entry.partition_key.encode()) % lanes if lanes > 1 else 0

    @property
    def _room(self) -> bool:
        """Whether to read on: what is read must not fill the memory.

        Nor must a lane that does not move let the others run away from the checkpoint.
        """
        records = len(self._lanes) * max(self._settings.batch_size, READ_RECORDS)
        size = len(self._lanes) * PAYLOAD_BYTES
        return len(self._unsettled) < records and self._unsettled.bytes < size

    @property
    def _lifetime(self) -> float:
        age = self._settings.age_seconds
        return self.retention if age is None else min(age, self.retention)


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures before this one: growing, with a little jitter."""
    # The exponent is capped too: a float has no 2**5000.
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))
    return pause * (1 + JITTER * (2 * chance - 1))


def startable(parents: Mapping[str, AbstractSet[str]], *, ended: AbstractSet[str]) -> list[str]:
    """The shards that may be read, of those that the stream lists with their parents.

    A child waits until its parents are read to the end, so that a key's records keep their order
    over a split or merge; a parent that the stream has forgotten has nothing left to wait for.
    """
    return [
        shard
        for shard, above in parents.items()
        if shard not in ended and all(parent in ended or parent not in parents for parent in above)
    ]
