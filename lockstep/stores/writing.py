"""Writes to a store for a program without a deadline, until each change has its outcome."""

from collections.abc import Iterator, Sequence

from shared.clock import Clock
from shared.outcome import Failed, Outcome
from shared.sink import RequestFailedError, SinkOf, write_all

# Seconds without a successful write after which the program ends; it can be resumed.
PATIENCE_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0


def settled[C](changes: Sequence[C], sink: SinkOf[C], clock: Clock) -> Iterator[tuple[C, Outcome]]:
    """Write changes of different keys, and retry those that fail for now.

    Yields each change with its outcome, which is never `Failed`.

    Raises:
        RequestFailedError: writes failed for too long.
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    since, pause = clock.elapsed(), FIRST_PAUSE_SECONDS
    while changes:
        later, why = [], ""
        for change, outcome in zip(changes, write_all(changes, sink), strict=True):
            if isinstance(outcome, Failed):
                later.append(change)
                why = outcome.detail
            else:
                yield change, outcome
        if len(later) < len(changes):
            since, pause = clock.elapsed(), FIRST_PAUSE_SECONDS
        elif clock.elapsed() - since >= PATIENCE_SECONDS:
            raise RequestFailedError(why)
        changes = later
        if changes:
            clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
