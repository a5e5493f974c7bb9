"""The outbox: decide which records may be sent next, so that each image's events arrive in order.

PutRecords accepts some records and rejects others. A producer that resends the rejected ones can
therefore reverse the order of an image (docs/internals/facts.md, Kinesis). Here an image has at
most one record in flight; its next record waits until that one is accepted.

This module is pure: it has no client and no clock, and never waits. The loop that sends is in
producer.py; the simulation has its own.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

# Kinesis accepts 500 records and 10 MiB per request. The limit here is half of the bytes, so that a
# retry repeats less.
MAX_REQUEST_RECORDS = 500
MAX_REQUEST_BYTES = 5 * 1024 * 1024
# After a timeout, 64 requests that are answered restore the full size.
GROWTH_BYTES = MAX_REQUEST_BYTES // 64

# A throttled shard accepts records again within a second. During an outage, send few requests.
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """An encoded event to be sent; its image ID is the partition key."""

    image_id: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes that count in a request: data and partition key (image IDs are ASCII)."""
        return len(self.data) + len(self.image_id)


class Accepted(msgspec.Struct, frozen=True):
    """The record is on the stream, durably."""


class Deferred(msgspec.Struct, frozen=True):
    """The stream did not accept this record (throttled, or an error): it is sent again."""

    why: str


type Answer = Accepted | Deferred


class Bounds(msgspec.Struct, frozen=True):
    """How much an outbox holds: at most this many records, and at most this many bytes.

    While one image is throttled, others are read and sent up to these bounds. Then reading waits.
    """

    records: int = 10_000
    bytes: int = 32 * 1024 * 1024


class Outbox:
    """Takes records in order and gives requests; each image's records are accepted in order.

    All times are seconds of one monotonic clock. Call `settle` or `postpone` once for each request
    that was taken. Several requests may be in flight at the same time.
    """

    def __init__(self, *, chance: Callable[[], float], bounds: Bounds | None = None) -> None:
        """Set up an empty outbox; `chance` returns a number from 0 to 1, for the jitter."""
        self._chance = chance
        self._bounds = Bounds() if bounds is None else bounds
        self._images: dict[str, deque[Outgoing]] = {}  # not yet accepted, oldest first
        self._sends: dict[str, int] = {}  # how many times the oldest record of an image was sent
        self._ready: deque[str] = deque()  # images whose oldest record may be sent now
        self._ready_bytes = 0
        self._room = MAX_REQUEST_BYTES  # for the next request
        self._paused: list[
            tuple[float, int, str]
        ] = []  # images that wait; heap: due, tie-break, image
        self._ties = itertools.count()
        self._failures_in_a_row = 0
        self._open_again = -math.inf  # no request before this time
        self._held = 0
        self._held_bytes = 0
        self._resent = 0

    @property
    def held(self) -> int:
        """The number of records that are not accepted yet."""
        return self._held

    @property
    def resent(self) -> int:
        """How many times a record was sent again."""
        return self._resent

    @property
    def wants_more(self) -> bool:
        """Whether to add another record: no full request is ready, and there is room.

        A caller that asks before each `add` exceeds the bound on bytes by one record at most.
        """
        return (
            len(self._ready) < MAX_REQUEST_RECORDS
            and self._ready_bytes < MAX_REQUEST_BYTES
            and self._held < self._bounds.records
            and self._held_bytes < self._bounds.bytes
        )

    def add(self, record: Outgoing) -> None:
        """Queue a record after the older ones of its image."""
        self._held += 1
        size = record.size
        self._held_bytes += size
        older = self._images.get(record.image_id)
        if older is None:
            self._images[record.image_id] = deque((record,))
            self._ready.append(record.image_id)
            self._ready_bytes += size
        else:
            older.append(record)

    def wait(self, now: float) -> float:
        """Seconds until a request can be taken: 0 means now, infinity means never."""
        if self._ready:
            due = self._open_again
        elif self._paused:
            due = max(self._paused[0][0], self._open_again)
        else:
            return math.inf
        return max(0.0, due - now)

    def take(self, now: float) -> tuple[Outgoing, ...]:
        """The next request: at most one record per image, within the limits of Kinesis.

        After a timeout, requests are smaller; with each answer, they grow again. Empty while `wait`
        is above 0.
        """
        if self._open_again > now:
            return ()
        while self._paused and self._paused[0][0] <= now:
            _, _, image_id = heapq.heappop(self._paused)
            self._make_ready(self._images[image_id][0])
        request: list[Outgoing] = []
        room = self._room
        while self._ready and len(request) < MAX_REQUEST_RECORDS:
            record = self._images[self._ready[0]][0]
            size = record.size
            if request and size > room:
                break
            self._ready.popleft()
            self._ready_bytes -= size
            room -= size
            sends = self._sends.get(record.image_id, 0)
            self._sends[record.image_id] = sends + 1
            self._resent += sends > 0
            request.append(record)
        return tuple(request)

    def settle(self, request: Sequence[Outgoing], answers: Sequence[Answer], now: float) -> None:
        """Note the result of each record of a request, in the order of the request."""
        self._failures_in_a_row = 0
        self._room = min(MAX_REQUEST_BYTES, self._room + GROWTH_BYTES)
        for record, answer in zip(request, answers, strict=True):
            match answer:
                case Accepted():
                    self._remove_accepted(record)
                case Deferred():
                    pause = self._pause(self._sends[record.image_id])
                    rest = (now + pause, next(self._ties), record.image_id)
                    heapq.heappush(self._paused, rest)

    def postpone(self, request: Sequence[Outgoing], now: float, *, timed_out: bool = False) -> None:
        """Note that a request failed as a whole: all its records are sent again.

        All images then wait, longer after each failure in a row, because the failure does not
        depend on the image. If the request timed out, the next one has half its bytes.
        """
        if timed_out and len(request) > 1:
            self._room = sum(one.size for one in request) // 2
        self._failures_in_a_row += 1
        self._open_again = now + self._pause(self._failures_in_a_row)
        for record in reversed(request):
            self._ready.appendleft(record.image_id)
            self._ready_bytes += record.size

    def unsettled(self) -> Iterator[Outgoing]:
        """The records that are not known to be accepted, in order for each image."""
        return itertools.chain.from_iterable(self._images.values())

    def _remove_accepted(self, record: Outgoing) -> None:
        self._held -= 1
        self._held_bytes -= record.size
        del self._sends[record.image_id]
        queue = self._images[record.image_id]
        queue.popleft()
        if queue:
            self._make_ready(queue[0])
        else:
            del self._images[record.image_id]

    def _make_ready(self, record: Outgoing) -> None:
        self._ready.append(record.image_id)
        self._ready_bytes += record.size

    def _pause(self, failures: int) -> float:
        """Seconds to pause: exponential, with jitter in the upper half."""
        doubled: float = FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10)
        return min(LONGEST_PAUSE_SECONDS, doubled) * (1 + self._chance()) / 2
