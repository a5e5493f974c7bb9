"""Tumbling windows: which window a record belongs to, and the state of the window.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
"""

import datetime as dt
from collections.abc import Sequence

import msgspec

from lockstep.local.mapping.batch import STATE_BYTES, BatchRecord, payload
from shared.nesting import nests_too_deep
from shared.rfc3339 import rfc3339

_EMPTY = b"{}"


class WindowView(msgspec.Struct, frozen=True):
    """The window of an invocation; `start` and `end` are in seconds since 1970.

    `state` is the JSON that the previous invocation returned. `final`: the window's last
    invocation, without records. `early`: the window ends early because its state is too large.
    """

    start: int
    end: int
    state: bytes
    final: bool
    early: bool


class Windows:
    """The windows of one shard, one after the other, and the state of the open window.

    A record belongs to the window in which it arrived at the stream, or to the open window if that
    window has already ended.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._start: int | None = None
        self._not_before = 0  # earlier windows have ended
        self._state = _EMPTY
        self._early = False

    @property
    def open(self) -> bool:
        """Whether a window is open."""
        return self._start is not None

    @property
    def end(self) -> float:
        """The end of the open window, in seconds since 1970."""
        return float("inf") if self._start is None else self._start + self._seconds

    def begin(self, arrived_at: float) -> None:
        """Open the window of a record, unless a window is open."""
        if self._start is None:
            start = int(arrived_at // self._seconds) * self._seconds
            self._start = max(start, self._not_before)

    def view(self, *, final: bool) -> WindowView:
        """The window of the next invocation."""
        if self._start is None:
            raise RuntimeError("no window is open")
        end = self._start + self._seconds
        return WindowView(self._start, end, self._state, final, final and self._early)

    def take(self, state: bytes) -> bool:
        """Keep the state that was returned; return whether the window must end early."""
        self._state = state
        self._early = len(state) > STATE_BYTES
        return self._early

    def close(self) -> None:
        """Close the window after its final invocation; after an early end it may open again."""
        if self._start is None:
            raise RuntimeError("no window is open")
        self._not_before = self._start if self._early else self._start + self._seconds
        self._start, self._state, self._early = None, _EMPTY, False


def returned_state(response: bytes) -> bytes | None:
    """The state in a function's response; None if it has none, so that the invocation failed."""
    if nests_too_deep(response):
        return None
    try:
        return msgspec.json.encode(msgspec.json.decode(response, type=_Response).state)
    except msgspec.DecodeError:
        return None


def windowed(
    entries: Sequence[BatchRecord], view: WindowView, *, shard_id: str, stream_arn: str
) -> bytes:
    """The payload of an invocation: a Kinesis event with its window."""
    event = _WindowFields(
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


class _WindowFields(
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
    return rfc3339(dt.datetime.fromtimestamp(seconds, dt.UTC))
