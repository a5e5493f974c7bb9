"""The tumbling windows: which window a record belongs to, and the state that goes through it.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
"""

import datetime as dt
from collections.abc import Sequence

import msgspec

from lockstep.local.mapping.batch import STATE_BYTES, Entry, payload

_EMPTY = b"{}"


class View(msgspec.Struct, frozen=True):
    """What an invocation sees of its window: `start` and `end` in seconds since 1970.

    `state` is the JSON that the invocation before returned. `final`: the window's last invocation,
    without records. `early`: because the state became too large.
    """

    start: int
    end: int
    state: bytes
    final: bool
    early: bool


class Windows:
    """One shard's windows, one after the other, and the state of the open one.

    A record belongs to the window in which it arrived at the stream, and to the open one if it
    comes later than that: a window has one end.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._start: int | None = None
        self._not_before = 0  # where no window may start: those before have ended
        self._state = _EMPTY
        self._early = False

    @property
    def open(self) -> bool:
        """Whether a window has begun and not ended."""
        return self._start is not None

    @property
    def end(self) -> float:
        """When the open window ends, in seconds since 1970."""
        return float("inf") if self._start is None else self._start + self._seconds

    def begin(self, arrived_at: float) -> None:
        """See that a window is open, this record's if none is."""
        if self._start is None:
            start = int(arrived_at // self._seconds) * self._seconds
            self._start = max(start, self._not_before)

    def view(self, *, final: bool) -> View:
        """What the next invocation sees."""
        if self._start is None:
            raise RuntimeError("no window is open")
        end = self._start + self._seconds
        return View(self._start, end, self._state, final, final and self._early)

    def take(self, state: bytes) -> bool:
        """Keep the state that was returned; says whether the window must end early for it."""
        self._state = state
        self._early = len(state) > STATE_BYTES
        return self._early

    def close(self) -> None:
        """The final invocation is done, or given up. After an early end, the same window again."""
        if self._start is None:
            raise RuntimeError("no window is open")
        self._not_before = self._start if self._early else self._start + self._seconds
        self._start, self._state, self._early = None, _EMPTY, False


def returned_state(response: bytes) -> bytes | None:
    """The state in a function's response, None if it has none: then the invocation failed."""
    try:
        return msgspec.json.encode(msgspec.json.decode(response, type=_Response).state)
    except (msgspec.DecodeError, RecursionError):
        return None


def windowed(entries: Sequence[Entry], view: View, *, shard_id: str, stream_arn: str) -> bytes:
    """The invocation's JSON: a Kinesis event, and what is said of the window."""
    event = _Event(
        window=_Bounds(_timestamp(view.start), _timestamp(view.end)),
        state=msgspec.Raw(view.state),
        shard_id=shard_id,
        stream_arn=stream_arn,
        final=view.final,
        early=view.early,
    )
    return payload(entries)[:-1] + b"," + msgspec.json.encode(event)[1:]


class _Response(msgspec.Struct):
    state: dict[str, msgspec.Raw]


class _Bounds(msgspec.Struct):
    start: str
    end: str


class _Event(
    msgspec.Struct,
    rename={
        "shard_id": "shardId",
        "stream_arn": "eventSourceARN",
        "final": "isFinalInvokeForWindow",
        "early": "isWindowTerminatedEarly",
    },
):
    window: _Bounds
    state: msgspec.Raw
    shard_id: str
    stream_arn: str
    final: bool
    early: bool


def _timestamp(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace("+00:00", "Z")
