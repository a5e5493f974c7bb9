"""The warning about a stream that keeps records for longer than tombstones allow for."""

from collections.abc import Sequence

from lockstep.stack.clients import Clients
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from shared.horizon import LONGEST_RETENTION

_SECONDS_A_DAY = 86_400


def retention_warnings(clients: Clients) -> Sequence[str]:
    """A line if the stream keeps records for too long, or does not say how long; else none."""
    stream = clients.stack.stream
    longest = LONGEST_RETENTION.days
    try:
        seconds = KinesisStream(clients.kinesis, stream).retention()
    except StreamUnavailableError as error:
        return [f"the retention of stream {stream} is unknown: {error}"]
    if seconds <= LONGEST_RETENTION.total_seconds():
        return []
    days = seconds / _SECONDS_A_DAY
    line = (
        f"stream {stream} keeps records for {days:g} days, more than {longest}: a replay of such "
        f"old records can bring a deleted image back; set its retention to at most "
        f"{longest * 24} hours"
    )
    return [line]
