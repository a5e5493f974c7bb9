"""The pure core of the event source mapping: given the time, what to do next with one shard.

No clock, thread, socket or sleep: whoever drives a `Shard` asks it for the next step, does that,
and says how it went. So the same code runs behind real processes and in virtual time.
"""

from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec

from lockstep.local.mapping.batch import Buffer, Entry
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
    """Read at most so many records, then say `took`."""

    limit: int


class Invoke(msgspec.Struct, frozen=True):
    """Invoke the function with these records, then say `answered`."""

    entries: tuple[Entry, ...]


class Discard(msgspec.Struct, frozen=True):
    """Give these records up: write the failure document, if anybody wants it; say `discarded`.

    `invocations` counts those of the last quota. `request_id` is the last invocation's, None when
    the records were never tried.
    """

    entries: tuple[Entry, ...]
    condition: Condition
    invocations: int
    request_id: str | None
    function_error: str | None


class Advance(msgspec.Struct, frozen=True):
    """Everything up to this sequence number is settled: keep that, durably, then say `advanced`."""

    sequence_number: str


class Wait(msgspec.Struct, frozen=True):
    """Ask again at this time, in the clock's seconds."""

    until: float


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


class _Lane:
    """One batch at a time, on its way to being settled, its records in order.

    A shard has one; with a parallelization factor it would have several, each with its own keys.
    """

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._chance = chance
        self._pieces: deque[_Piece] = deque()
        self._giving_up: Discard | None = None
        self._failures = 0  # in a row; they set the pause, the piece's own set the quota
        self._not_before = float("-inf")

    @property
    def idle(self) -> bool:
        return not self._pieces

    def take(self, batch: tuple[Entry, ...]) -> None:
        self._pieces.append(_Piece(batch))

    def next(self, now: float, *, oldest: float) -> Invoke | Discard | Wait:
        """What to do with the first piece; `oldest`: when the oldest valid record arrived."""
        if self._giving_up is None and now < self._not_before:
            return Wait(self._not_before)
        piece = self._pieces[0]
        if self._giving_up is None:
            self._giving_up = _expired(piece, oldest)
        return self._giving_up or Invoke(piece.entries)

    def answered(
        self, answer: Returned | Errored | Throttled, request_id: str, now: float
    ) -> tuple[Turn, tuple[Entry, ...]]:
        """What becomes of the first piece, and the records that are settled by this."""
        piece = self._pieces[0]
        if isinstance(answer, Throttled):
            return self._retry("throttled", piece, now), ()
        piece.request_id = request_id
        batch, reports = piece.entries, self._settings.reports_item_failures
        match judge(answer, batch, reports=reports):
            case Succeeded():
                self._pieces.popleft()
                self._moved()
                return Settled(), batch
            case Stopped(position, cause) if position > 0:
                done, left = batch[:position], batch[position:]
                self._pieces[0] = _Piece(left, request_id=request_id)
                self._moved()
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
        gone, self._giving_up = self._giving_up.entries, None
        piece = self._pieces[0]
        piece.entries = piece.entries[len(gone) :]
        if not piece.entries:
            self._pieces.popleft()
            self._moved()
        return gone

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


class Shard:
    """One shard on its way through the function: read, cut, invoke, retry, give up, advance.

    The driver does each `next` step and answers it with the method that the step names, before it
    asks again. The checkpoint follows what is settled and nothing else: a batch that succeeded, or
    one whose failure document is written.

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
        self._buffer = Buffer(settings)
        self._lane = _Lane(settings, chance)
        self._settled: str | None = None  # not yet advanced to
        self._window_opened: float | None = None
        self._read_at = float("-inf")
        self._more_at_once = False  # the last read left records behind
        self._ended = False

    def next(self, now: float) -> Step:
        """What to do at this time, in seconds since 1970."""
        if self._settled is not None:
            return Advance(self._settled)
        if self._lane.idle and self._due(now):
            self._lane.take(self._buffer.cut())
        if not self._lane.idle:
            return self._lane.next(now, oldest=now - self._lifetime)
        if self._ended:
            return Finished()
        if now < self._read_at:
            return Wait(min(self._read_at, self._window_ends) if self._buffer else self._read_at)
        return Read(max(self._settings.batch_size, READ_RECORDS))

    def took(self, entries: list[Entry], *, behind: bool, ended: bool, now: float) -> None:
        """The read brought these; `behind`: more are there; `ended`: none will ever come."""
        self._buffer.add(entries)
        self._ended = ended
        self._more_at_once = behind and bool(entries)
        if self._more_at_once:
            self._read_at = now
        else:
            self._read_at = now + (GAP_READ_SECONDS if behind else IDLE_READ_SECONDS)

    def answered(
        self, answer: Returned | Errored | Throttled, *, request_id: str, now: float
    ) -> Turn:
        """The invocation ended like this."""
        turn, settled = self._lane.answered(answer, request_id, now)
        self._settle(settled)
        self._window_opened = now
        return turn

    def discarded(self) -> None:
        """The failure document is durable, or nobody wants one."""
        self._settle(self._lane.discarded())

    def advanced(self) -> None:
        """The checkpoint is durable."""
        self._settled = None

    def _settle(self, entries: tuple[Entry, ...]) -> None:
        if entries:
            self._settled = entries[-1].sequence_number

    def _due(self, now: float) -> bool:
        """Whether a batch is to be cut: full, or nothing more comes before its window ends."""
        if self._window_opened is None or (not self._buffer and now >= self._window_ends):
            self._window_opened = now
        if not self._buffer:
            return False
        waited = not self._more_at_once and now >= self._window_ends
        return self._buffer.full or self._ended or waited

    @property
    def _window_ends(self) -> float:
        opened = float("-inf") if self._window_opened is None else self._window_opened
        return opened + self._settings.window_seconds

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


def _expired(piece: _Piece, oldest: float) -> Discard | None:
    """The records at the head of the piece that are too old: given up alone, ahead of the rest."""
    count = 0
    for entry in piece.entries:
        if entry.arrived_at >= oldest:
            break
        count += 1
    if not count:
        return None
    gone = piece.entries[:count]
    return Discard(gone, "RecordAgeExceeded", piece.invocations, piece.request_id, None)
