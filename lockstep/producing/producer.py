"""The producer: events onto the stream, in order per image.

As a library:

    producer = Producer(boto3.client("kinesis"), "lockstep-images")
    report = producer.put(events)

Give it a client that does not retry by itself (`retries={"total_max_attempts": 1}`): the producer
resends what failed, and knows better when.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from doors.clock import SYSTEM_CLOCK
from lockstep.console.errors import UserError
from lockstep.producing.outbox import Accepted, Answer, Bounds, Deferred, Outbox, Outgoing
from lockstep.stores.stamps import stamp_at
from shared import event
from shared.clock import Clock
from shared.event import Event, InvalidEventError
from shared.record import Record, event_in

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

PATIENCE_SECONDS = 60.0

# Client errors (4xx) that pass: everything else of that kind stays wrong however often it is sent.
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
_PASSING = frozenset(
    {
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestTimeout",
        "RequestTimeoutException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# No answer, or none that can be read: the records may be on the stream all the same.
_NO_ANSWER = (
    botocore.ConnectionError,
    botocore.HTTPClientError,
    ResponseParserError,
    msgspec.ValidationError,
)


class Stamp:
    """Versions by the clock: microseconds since 1970, each higher than the one before.

    Also when the clock stands still or goes back: one number, the last stamp, is all that has to
    be remembered for any number of images. Two stamps (two processes, two hosts) know nothing of
    each other: their events are ordered by their clocks.
    """

    def __init__(self, unix: Callable[[], float] = time.time) -> None:
        """Stamp by this clock, in seconds since 1970."""
        self.unix = unix
        self._last = 0

    def __call__(self) -> int:
        """The next version."""
        self._last = max(stamp_at(self.unix()), self._last + 1)
        return self._last


class Pause(msgspec.Struct, frozen=True):
    """A source's word that it has nothing for now: what was read before goes out at once."""


PAUSE = Pause()


class Progress(msgspec.Struct, frozen=True):
    """How far a `put` is: events accepted, records sent again, events read but not accepted yet.

    `trouble` says why the last request was not accepted whole; None when it was.
    """

    put: int
    resent: int
    held: int
    trouble: str | None


class PutReport(msgspec.Struct, frozen=True):
    """What a `put` did: events accepted by the stream, records sent again, seconds it took."""

    put: int
    resent: int
    seconds: float


class PutError(UserError):
    """Not everything is on the stream.

    `not_put` holds what was read and is not known to be there, each image's events in their order.
    Putting the same events again is harmless: they carry the same versions.
    """

    def __init__(self, why: str, report: PutReport, not_put: Sequence[Event]) -> None:
        named = ", ".join(f"{one.image_id} version {one.version}" for one in not_put[:3])
        more = f" and {len(not_put) - 3} more" if len(not_put) > 3 else ""  # noqa: PLR2004 - as named above
        super().__init__(
            f"{why}; {report.put} events are put, {len(not_put)} read events are not"
            f"{f' ({named}{more})' if not_put else ''}, nor is what was not read yet: "
            "mend the cause and put them again"
        )
        self.report = report
        self.not_put = not_put


class StreamRefusedError(PutError):
    """The stream refuses requests as they are: not there, no permission, not valid."""


class GaveUpError(PutError):
    """The stream accepted nothing for as long as patience allows."""


class KinesisStream(Protocol):
    """What is needed of a Kinesis client."""

    def put_records(
        self,
        *,
        StreamName: str,  # noqa: N803 - Kinesis's own name
        Records: Sequence["PutRecordsRequestEntryTypeDef"],  # noqa: N803 - Kinesis's own name
    ) -> Mapping[str, Any]:
        """Kinesis's PutRecords."""
        ...


class Producer:
    """Puts events onto one stream: every one of them, and each image's in the order given.

    At most one record of an image is in flight, whatever fails; other images go on meanwhile.
    After a lost answer a record is sent again and may be on the stream twice, with the same
    version: harmless. Use one producer from one thread.
    """

    def __init__(
        self,
        client: KinesisStream,
        stream: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        bounds: Bounds | None = None,
        patience: float = PATIENCE_SECONDS,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Prepare to put.

        Args:
            client: a Kinesis client without retries of its own.
            stream: the stream's name.
            clock: time and chance.
            bounds: how much is read ahead while records wait, 10,000 or 32 MiB if not said.
            patience: seconds of trying, without one record accepted, after which to give up.
            on_progress: called after each request.
        """
        self._client = client
        self._stream = stream
        self._clock = clock
        self._bounds = bounds
        self._patience = patience
        self._on_progress = on_progress

    def put(self, events: Iterable[Event | Outgoing | Pause]) -> PutReport:
        """Put all events; returns when the stream has accepted every one.

        One that is encoded already goes byte for byte as it is.

        Reads on only while there is room, and never holds all. Each event is judged before it is
        sent, as the consumers will judge it. When the source raises, or an event is not valid,
        what was read before is put first; then that error is raised.

        Raises:
            StreamRefusedError: sending again cannot help.
            GaveUpError: patience is at its end.
            InvalidEventError: an event that no consumer would accept.
        """
        return _Put(
            client=self._client,
            stream=self._stream,
            clock=self._clock,
            outbox=Outbox(chance=self._clock.chance, bounds=self._bounds),
            patience=self._patience,
            on_progress=self._on_progress,
        ).run(iter(events))


class _Put:
    """One `put` on its way."""

    def __init__(
        self,
        *,
        client: KinesisStream,
        stream: str,
        clock: Clock,
        outbox: Outbox,
        patience: float,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._client = client
        self._stream = stream
        self._clock = clock
        self._outbox = outbox
        self._patience = patience
        self._on_progress = on_progress
        self._started = clock.elapsed()
        self._put = 0
        self._fruitless = 0.0  # seconds of sending and pausing since a record was accepted

    def run(self, source: Iterator[Event | Outgoing | Pause]) -> PutReport:
        ended: Exception | None = None
        while ended is None or self._outbox.held:
            if ended is None:
                ended = self._read(source)
            if self._outbox.held:
                self._send()
        if not isinstance(ended, StopIteration):
            raise ended
        return self._report()

    def _read(self, source: Iterator[Event | Outgoing | Pause]) -> Exception | None:
        """Fill the outbox, as far as it wants; returns how the source ended, if it did."""
        while self._outbox.wants_more:
            try:
                match next(source):
                    case Pause():
                        return None
                    case read:
                        self._outbox.add(outgoing(read, self._clock.now()))
            except Exception as error:  # noqa: BLE001 - any end of the source: raised by `run`
                return error
        return None

    def _send(self) -> None:
        """Send the next request, after the pause it may need, and take note of the answer."""
        began = self._clock.elapsed()
        pause = self._outbox.wait(began)
        if pause > 0:
            self._clock.sleep(pause)
        request = self._outbox.take(self._clock.elapsed())
        if not request:  # slept a little short
            return
        accepted, trouble = self._ask(request)
        self._put += accepted
        self._fruitless = 0 if accepted else self._fruitless + self._clock.elapsed() - began
        self._on_progress(Progress(self._put, self._outbox.resent, self._outbox.held, trouble))
        if trouble is not None and self._fruitless > self._patience:
            why = f"gave up after {self._fruitless:.0f} s without progress ({trouble})"
            raise GaveUpError(why, self._report(), self._not_put())

    def _ask(self, request: Sequence[Outgoing]) -> tuple[int, str | None]:
        """One PutRecords: how many records were accepted, and what was wrong with the others."""
        try:
            answers = _answers(
                self._client.put_records(
                    StreamName=self._stream,
                    Records=[{"Data": one.data, "PartitionKey": one.image_id} for one in request],
                ),
                expected=len(request),
            )
        except _NO_ANSWER as error:
            return self._postpone(request, f"{type(error).__name__}: {error}")
        except botocore.ClientError as error:
            why = f"{error.response['Error'].get('Code')}: {error.response['Error'].get('Message')}"
            if not _passes(error):
                raise self._refused(why) from error
            return self._postpone(request, why)
        except botocore.BotoCoreError as error:  # no credentials, no region
            raise self._refused(f"{type(error).__name__}: {error}") from error
        self._outbox.settle(request, answers, self._clock.elapsed())
        whys = [one.why for one in answers if isinstance(one, Deferred)]
        return len(request) - len(whys), whys[0] if whys else None

    def _postpone(self, request: Sequence[Outgoing], why: str) -> tuple[int, str]:
        self._outbox.postpone(request, self._clock.elapsed())
        return 0, why

    def _refused(self, why: str) -> StreamRefusedError:
        why = f"stream {self._stream} refuses: {why}"
        return StreamRefusedError(why, self._report(), self._not_put())

    def _report(self) -> PutReport:
        seconds = self._clock.elapsed() - self._started
        return PutReport(self._put, self._outbox.resent, seconds)

    def _not_put(self) -> tuple[Event, ...]:
        return tuple(event.decode(one.data) for one in self._outbox.unsettled())


def outgoing(one: Event | Outgoing, unix: float) -> Outgoing:
    """The event as it goes onto the stream at this time (seconds since 1970).

    One that is encoded already stays as it is.

    Raises:
        InvalidEventError: the consumers would refuse it, by the very rules that say so here.
    """
    ready = one if isinstance(one, Outgoing) else Outgoing(one.image_id, _encoded(one))
    record = Record(
        stream="",
        shard_id="",
        sequence_number="",
        partition_key=ready.image_id,
        arrived_at=int(unix * 1000),
        data=ready.data,
    )
    event_in(record)
    return ready


def _encoded(one: Event) -> bytes:
    try:
        return event.encode(one)
    except UnicodeEncodeError as error:
        detail = f"a lone surrogate is no text: {error.reason}"
        raise InvalidEventError("schema", detail) from None


class _Entry(msgspec.Struct, rename="pascal"):
    """One record's part of PutRecords's answer: accepted if it has a sequence number."""

    sequence_number: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class _Answered(msgspec.Struct, rename="pascal"):
    records: list[_Entry]


_ACCEPTED = Accepted()


def _answers(response: Mapping[str, Any], *, expected: int) -> Sequence[Answer]:
    """Each record's fate, in the request's order.

    Raises:
        msgspec.ValidationError: that is no answer to this request; nothing is known.
    """
    entries = msgspec.convert(response, _Answered).records
    if len(entries) != expected:
        message = f"{len(entries)} answers to {expected} records"
        raise msgspec.ValidationError(message)
    return [
        _ACCEPTED
        if one.sequence_number is not None and one.error_code is None
        else Deferred(f"{one.error_code}: {one.error_message}")
        for one in entries
    ]


def _passes(error: botocore.ClientError) -> bool:
    """Whether the same request may be accepted later."""
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return status >= 500 or error.response["Error"].get("Code") in _PASSING  # noqa: PLR2004 - HTTP's server errors
