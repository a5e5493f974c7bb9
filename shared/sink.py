"""The sink: what a store must offer so that `deliver` can keep it in step."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from shared.change import Change
from shared.outcome import Failed, Outcome, Refused


class SinkError(Exception):
    """A request, as a whole, did not do its work. The message names the cause."""


class RequestFailedError(SinkError):
    """Not this time (throttling, timeout, 5xx, connection loss, an answer we do not know).

    The request may have been applied all the same: the guard makes sending it again safe.
    """


class RequestRefusedError(SinkError):
    """The store refuses the request as it stands, and wrote none of it.

    One bad change condemns its neighbours: cut the request, down to single changes.
    """


class MisconfiguredError(SinkError):
    """The deployment is broken: no right to write, no table, no alias, a schema not ours.

    Nothing may be acknowledged or quarantined for it: the stream must stop and wait.
    """


class Sink(Protocol):
    """One store, written under the guard: a strictly higher version wins."""

    @property
    def longest_send(self) -> float:
        """Seconds that one `send` or `check` can take at most, retries and reads included."""
        ...

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Cut the changes, in order, into what fits one request each."""
        ...

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write one request's worth of changes, of different images; one outcome for each.

        Raises:
            RequestFailedError: the whole request failed for now.
            RequestRefusedError: the whole request was refused, nothing of it is written.
            MisconfiguredError: no request can work until the deployment is mended.
        """
        ...

    def check(self) -> None:
        """Read the live schema once, to tell a bad event from a broken deployment.

        Raises:
            MisconfiguredError: the store's schema is not ours.
            RequestFailedError: the schema could not be read for now.
        """
        ...


def outcomes_of(
    request: Sequence[Change], send: Callable[[Sequence[Change]], Sequence[Outcome]]
) -> Sequence[Outcome]:
    """Send a request; what the store refuses as a whole is cut, down to single changes.

    Args:
        request: changes of different images.
        send: a sink's, or what stands before it.

    Raises:
        MisconfiguredError: no request can work until the deployment is mended.
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
