"""The producer: put events onto the stream, in order for each image.

Use as a library:

    client = boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}))
    report = Producer(client, "lockstep-images").put(events)

The client must not retry by itself: the producer resends failed records, in the right order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from doors.aws_timeouts import timed_out
from doors.clock import SYSTEM_CLOCK
from lockstep.console.errors import UserError
from lockstep.producing.answers import results
from lockstep.producing.checked import CheckedEvent, outgoing
from lockstep.producing.outbox import Bounds, Deferred, Outbox, Outgoing
from shared import event
from shared.clock import Clock
from shared.event import Event
from shared.stamps import stamp_at

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

PATIENCE_SECONDS = 60.0

# Client errors (4xx) that are transient: a retry after any other client error fails again.
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
_TRANSIENT = frozenset(
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
# No response, or an unreadable one: the records may be on the stream.
_NO_ANSWER = (
    botocore.ConnectionError,
    botocore.HTTPClientError,
    ResponseParserError,
    msgspec.ValidationError,
)


class Stamp:
    """Gives versions from the clock: microseconds since 1970, each higher than the one before.

    This also holds when the clock stands still or goes back. One `Stamp` serves any number of
    images. Two `Stamp` objects, in two processes or on two hosts, are not coordinated: the clocks
    decide which of their events is newer.
    """

    def __init__(self, unix: Callable[[], float] = SYSTEM_CLOCK.now) -> None:
        """Take the time from `unix`, in seconds since 1970."""
        self.unix = unix
        self._last = 0

    def __call__(self) -> int:
        """Return the next version."""
        self._last = max(stamp_at(self.unix()), self._last + 1)
        return self._last


class Pause(msgspec.Struct, frozen=True):
    """A source yields this when it has no event now: the events read so far are sent at once."""


PAUSE = Pause()


class PutProgress(msgspec.Struct, frozen=True):
    """The progress of a `put`.

    Attributes:
        put: events that the stream accepted.
        resent: how many times a record was sent again.
        held: events that were read and are not accepted yet.
        trouble: why the last request was not accepted completely; None if it was.
    """

    put: int
    resent: int
    held: int
    trouble: str | None


class PutReport(msgspec.Struct, frozen=True):
    """The result of a `put`.

    Attributes:
        put: events that the stream accepted.
        resent: how many times a record was sent again.
        seconds: how long it took.
    """

    put: int
    resent: int
    seconds: float


class PutError(UserError):
    """Some events are not on the stream.

    `not_put` holds the events that were read and are not known to be on the stream, in order for
    each image. It is safe to put the same events again: they have the same versions.
    """

    def __init__(self, why: str, report: PutReport, not_put: Sequence[Event]) -> None:
        super().__init__(why, report, not_put)
        self.why = why
        self.report = report
        self.not_put = not_put

    def __str__(self) -> str:
        held = self.not_put
        named = ", ".join(f"{one.image_id} version {one.version}" for one in held[:3])
        more = f" and {len(held) - 3} more" if len(held) > 3 else ""  # noqa: PLR2004 - as named above
        return (
            f"{self.why}; {self.report.put} events are put, {len(held)} events that were read are "
            f"not{f' ({named}{more})' if held else ''}: correct the cause, then put these and all "
            "later events again"
        )


class StreamRefusedError(PutError):
    """The stream refuses the requests: it does not exist, denies access, or finds them invalid."""


class GaveUpError(PutError):
    """The stream accepted no record for `patience` seconds."""


class PutRecordsClient(Protocol):
    """The part of a Kinesis client that the producer uses."""

    def put_records(
        self,
        *,
        StreamName: str,  # noqa: N803 - the name that Kinesis uses
        Records: Sequence["PutRecordsRequestEntryTypeDef"],  # noqa: N803 - the name that Kinesis uses
    ) -> Mapping[str, Any]:
        """Call PutRecords of Kinesis."""
        ...


class Producer:
    """Puts every event onto one stream; the events of each image arrive in the given order.

    At most one record of an image is in flight, whatever fails; other images continue meanwhile.
    When a response is lost, the record is sent again and may be on the stream twice, with the same
    version; the consumers count the second as a duplicate. Use a producer from one thread only.
    """

    def __init__(
        self,
        client: PutRecordsClient,
        stream: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        bounds: Bounds | None = None,
        patience: float = PATIENCE_SECONDS,
        on_progress: Callable[[PutProgress], None] = lambda _: None,
    ) -> None:
        """Set up a producer.

        Args:
            client: a Kinesis client that does not retry by itself.
            stream: the stream's name.
            clock: gives the time and random numbers.
            bounds: how much to read ahead; 10,000 records or 32 MiB by default.
            patience: seconds of sending and pausing without an accepted record before an error.
            on_progress: called after each request.
        """
        self._client = client
        self._stream = stream
        self._clock = clock
        self._bounds = bounds
        self._patience = patience
        self._on_progress = on_progress

    def put(self, events: Iterable[Event | CheckedEvent | Outgoing | Pause]) -> PutReport:
        """Put all events; return when the stream has accepted every one.

        An `Outgoing` is sent byte for byte. Each event is validated before it is sent, by the rules
        of the consumers; a `CheckedEvent` already is. Events are read only while there is room for
        them, so `events` may be endless. When the source raises, or an event is invalid, the events
        before it are put first; then that error is raised.

        Raises:
            StreamRefusedError: a retry cannot succeed.
            GaveUpError: the stream accepted no record for `patience` seconds.
            InvalidEventError: the consumers would refuse an event.
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
    """One call of `put`."""

    def __init__(
        self,
        *,
        client: PutRecordsClient,
        stream: str,
        clock: Clock,
        outbox: Outbox,
        patience: float,
        on_progress: Callable[[PutProgress], None],
    ) -> None:
        self._client = client
        self._stream = stream
        self._clock = clock
        self._outbox = outbox
        self._patience = patience
        self._on_progress = on_progress
        self._started = clock.elapsed()
        self._put = 0
        self._without_progress = (
            0.0  # seconds of sending and pausing since the last accepted record
        )

    def run(self, source: Iterator[Event | CheckedEvent | Outgoing | Pause]) -> PutReport:
        ended: Exception | None = None
        while ended is None or self._outbox.held:
            if ended is None:
                ended = self._read(source)
            if self._outbox.held:
                self._send()
        if not isinstance(ended, StopIteration):
            raise ended
        return self._report()

    def _read(self, source: Iterator[Event | CheckedEvent | Outgoing | Pause]) -> Exception | None:
        """Fill the outbox; return the exception that ended the source, None if it did not end."""
        while self._outbox.wants_more:
            try:
                read = next(source)
                if isinstance(read, Pause):
                    return None
                self._outbox.add(outgoing(read, self._clock.now()))
            except Exception as error:  # noqa: BLE001 - `run` raises it
                return error
        return None

    def _send(self) -> None:
        """Wait as long as the outbox says, send a request, and note the response."""
        began = self._clock.elapsed()
        pause = self._outbox.wait(began)
        if pause > 0:
            self._clock.sleep(pause)
        request = self._outbox.take(self._clock.elapsed())
        if not request:  # the sleep ended slightly early
            return
        accepted, trouble = self._ask(request)
        self._put += accepted
        self._without_progress = (
            0 if accepted else self._without_progress + self._clock.elapsed() - began
        )
        self._on_progress(PutProgress(self._put, self._outbox.resent, self._outbox.held, trouble))
        if trouble is not None and self._without_progress > self._patience:
            why = f"gave up after {self._without_progress:.0f} s without progress ({trouble})"
            raise GaveUpError(why, self._report(), self._not_put())

    def _ask(self, request: Sequence[Outgoing]) -> tuple[int, str | None]:
        """Call PutRecords; return how many records were accepted, and why others were not."""
        try:
            answers = results(
                self._client.put_records(
                    StreamName=self._stream,
                    Records=[{"Data": one.data, "PartitionKey": one.image_id} for one in request],
                ),
                expected=len(request),
            )
        except _NO_ANSWER as error:
            late = isinstance(error, botocore.BotoCoreError) and timed_out(error)
            return self._postpone(request, f"{type(error).__name__}: {error}", timed_out=late)
        except botocore.ClientError as error:
            why = f"{error.response['Error'].get('Code')}: {error.response['Error'].get('Message')}"
            if not _is_transient(error):
                raise self._refused(why) from error
            return self._postpone(request, why)
        except botocore.BotoCoreError as error:  # no credentials, no region
            raise self._refused(f"{type(error).__name__}: {error}") from error
        self._outbox.settle(request, answers, self._clock.elapsed())
        whys = [one.why for one in answers if isinstance(one, Deferred)]
        return len(request) - len(whys), whys[0] if whys else None

    def _postpone(
        self, request: Sequence[Outgoing], why: str, *, timed_out: bool = False
    ) -> tuple[int, str]:
        self._outbox.postpone(request, self._clock.elapsed(), timed_out=timed_out)
        return 0, why

    def _refused(self, why: str) -> StreamRefusedError:
        why = f"stream {self._stream} refuses the request: {why}"
        return StreamRefusedError(why, self._report(), self._not_put())

    def _report(self) -> PutReport:
        seconds = self._clock.elapsed() - self._started
        return PutReport(self._put, self._outbox.resent, seconds)

    def _not_put(self) -> tuple[Event, ...]:
        return tuple(event.decode(one.data) for one in self._outbox.unsettled())


def _is_transient(error: botocore.ClientError) -> bool:
    """Whether the same request may succeed later."""
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return status >= 500 or error.response["Error"].get("Code") in _TRANSIENT  # noqa: PLR2004 - HTTP's server errors
