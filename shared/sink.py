"""The sink: what a store must offer so that `deliver` can write to it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from shared.change import Change
from shared.outcome import Failed, Outcome, Refused


class SinkError(Exception):
    """A whole request failed. The message names the cause."""


class RequestFailedError(SinkError):
    """A transient failure: throttling, timeout, 5xx, connection loss or an unknown answer.

    The store may have applied the request nevertheless. The version check makes a retry safe.
    """


class RequestRefusedError(SinkError):
    """The store refused the whole request and wrote none of it.

    One bad change can be the cause. Split the request, down to single changes.
    """


class MisconfiguredError(SinkError):
    """The deployment is broken: missing permissions, no table, no alias or a wrong schema.

    No record may be acknowledged or quarantined: the stream must stop until it is corrected.
    """


class Sink(Protocol):
    """One store, written with a version check: a strictly higher version wins."""

    @property
    def longest_send(self) -> float:
        """The longest time of one `send` or `check` in seconds, with its retries and reads."""
        ...

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Split the changes, in order, into requests."""
        ...

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write one request: changes of different images. Returns one outcome for each.

        Raises:
            RequestFailedError: the whole request failed this time.
            RequestRefusedError: the whole request was refused; nothing is written.
            MisconfiguredError: no request can succeed until the deployment is corrected.
        """
        ...

    def check(self) -> None:
        """Compare the schema of the store with ours, to find out whether the deployment is broken.

        Raises:
            MisconfiguredError: the schema of the store is not ours.
            RequestFailedError: the schema could not be read this time.
        """
        ...


def outcomes_of(
    request: Sequence[Change], send: Callable[[Sequence[Change]], Sequence[Outcome]]
) -> Sequence[Outcome]:
    """Send a request. If the store refuses all of it, split it, down to single changes.

    Args:
        request: changes of different images.
        send: a sink's `send`, or a function that calls it.

    Raises:
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    try:
        return send(request)
    except RequestFailedError as error:
        return [Failed(str(error))] * len(request)
    except RequestRefusedError as error:
        if len(request) == 1:
            return [Refused(str(error))]
        middle = len(request) // 2
        return [*outcomes_of(request[:middle], send), *outcomes_of(request[middle:], send)]
