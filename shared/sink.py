"""The sink: what a store must offer so that `deliver` can write to it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from shared.change import Change
from shared.outcome import Failed, Outcome, Refused
from shared.shortened import BriefError

# How long a program without a deadline waits for the answer to one change.
PATIENCE_SECONDS = 60.0


class SinkError(BriefError):
    """A whole request failed. The message names the cause."""


class RequestFailedError(SinkError):
    """A transient failure: throttling, timeout, 5xx, connection loss or an unknown answer.

    The store may have applied the request nevertheless. The version check makes a retry safe.
    """


class RequestTimedOutError(RequestFailedError):
    """The request did not end in its time. A smaller one may: split it, down to single changes."""


class RequestRefusedError(SinkError):
    """The store refused the whole request and wrote none of it.

    One bad change can be the cause. Split the request, down to single changes.
    """


class RequestTooLargeError(RequestRefusedError):
    """The request is too large as a whole. One change never is: then a limit is misconfigured."""


class MisconfiguredError(SinkError):
    """The deployment is broken: missing permissions, no table, no alias or a wrong schema.

    No record may be acknowledged or quarantined: the stream must stop until it is corrected.
    """


class SinkOf[C](Protocol):
    """One store, written with a version check: a strictly higher version wins.

    `C` is the type of its changes.
    """

    @property
    def longest_send(self) -> float:
        """The longest time of one `send` or `check` in seconds, with its retries and reads."""
        ...

    def requests(self, changes: Sequence[C]) -> Iterable[Sequence[C]]:
        """Split the changes, in order, into requests.

        Each request is cut when the iterator gets to it: smaller after a timeout.
        """
        ...

    def send(self, changes: Sequence[C], within: float | None = None) -> Sequence[Outcome]:
        """Write one request: changes of different images. Returns one outcome for each.

        Args:
            changes: the changes.
            within: the seconds that it may take, at least `longest_send`, which is the default.

        Raises:
            RequestTimedOutError: the whole request did not end in its time.
            RequestFailedError: the whole request failed this time.
            RequestRefusedError: the whole request was refused; nothing is written.
            MisconfiguredError: no request can succeed until the deployment is corrected.
        """
        ...

    def check(self) -> None:
        """Compare the schema of the store with ours, to find out whether the deployment is broken.

        Call it once after refusals: it is about all of them since the last call.

        Raises:
            MisconfiguredError: the schema of the store is not ours.
            RequestFailedError: the schema could not be read this time.
        """
        ...


type Sink = SinkOf[Change]
"""A store of images."""


def outcomes_of[T](
    request: Sequence[T], send: Callable[[Sequence[T]], Sequence[Outcome]]
) -> Sequence[Outcome]:
    """Send a request. If the store refuses all of it, or it timed out, send it in halves.

    After a timeout, the first change is sent alone before the halves: the store may still work on
    the request, and then the answer comes when it has finished. What it wrote is `Duplicate`.

    Args:
        request: changes of different images.
        send: a sink's `send`, or a function that calls it.

    Raises:
        MisconfiguredError: no request can succeed until the deployment is corrected, or one change
            alone is too large for the store.
    """
    try:
        return send(request)
    except RequestRefusedError as error:
        if len(request) == 1:
            if isinstance(error, RequestTooLargeError):
                raise MisconfiguredError(
                    f"{error}: one change alone is never too large: raise the limit of the store, "
                    "or of a proxy before it"
                ) from error
            return [Refused(str(error))]
        alone = 0
    except RequestTimedOutError as error:
        if len(request) == 1:
            return [Failed(str(error))]
        alone = 1
    except RequestFailedError as error:
        return [Failed(str(error))] * len(request)
    middle = (alone + len(request)) // 2
    parts = request[:alone], request[alone:middle], request[middle:]
    return [outcome for part in parts if part for outcome in outcomes_of(part, send)]


def write_all[C](changes: Sequence[C], sink: SinkOf[C]) -> Sequence[Outcome]:
    """Write changes of different keys, for a program without a deadline.

    Raises:
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    send = patient(sink.send)
    return [outcome for request in sink.requests(changes) for outcome in outcomes_of(request, send)]


def patient[T](
    send: Callable[[Sequence[T], float | None], Sequence[Outcome]],
) -> Callable[[Sequence[T]], Sequence[Outcome]]:
    """A function that sends a request; after a timeout of one change, again with patience.

    If that times out, too, the store hangs: all later requests fail at once.

    Args:
        send: takes the changes, and the seconds that the request may take; None: the usual time.
    """
    hangs: RequestTimedOutError | None = None

    def sent(request: Sequence[T]) -> Sequence[Outcome]:
        nonlocal hangs
        if hangs is not None:
            raise RequestFailedError(str(hangs))
        try:
            return send(request, None)
        except RequestTimedOutError:
            if len(request) > 1:
                raise
        try:
            return send(request, PATIENCE_SECONDS)
        except RequestTimedOutError as error:
            hangs = error
            raise

    return sent
