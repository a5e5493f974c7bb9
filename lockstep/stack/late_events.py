"""Counts the late events that a stack took in the last day, as the table's consumer tells them."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lockstep.stack.deployed import Metric, Window, read_series
from shared.quarantine import TABLE_CONSUMER
from shared.stamps import LATE_EVENT

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

_HOUR, _DAY = 3_600, 86_400
# The log of the function, in the folder of a local stack.
_LOG = Path("logs") / f"{TABLE_CONSUMER}.log"


class _LogLine(msgspec.Struct, frozen=True):
    message: str
    timestamp: str


def deployed_late_events(cloudwatch: "CloudWatchClient", namespace: str, now: float) -> int:
    """The number of late events by the consumer's metric.

    Args:
        cloudwatch: the client.
        namespace: of the functions' metrics.
        now: in seconds since 1970.
    """
    # The dimension is as POWERTOOLS_SERVICE_NAME in template.yaml.
    metric = Metric(namespace, "Late", "service", TABLE_CONSUMER, "Sum")
    window = Window(now // _HOUR * _HOUR - _DAY, now, _HOUR)
    return round(sum(read_series(cloudwatch, [metric], window)[metric].values()))


def local_late_events(state: Path, now: float) -> int:
    """The number of late events by the log of the local consumer.

    Args:
        state: the stack's folder.
        now: in seconds since 1970.
    """
    try:
        with (state / _LOG).open("rb") as log:
            return sum(now - at < _DAY for at in _times(log))
    except FileNotFoundError:
        return 0


def _times(log: Iterable[bytes]) -> Iterator[float]:
    """When the log tells of a late event, in seconds since 1970."""
    for line in log:
        if LATE_EVENT.encode() in line:
            # A process that ended may have left a part of a line.
            with suppress(msgspec.MsgspecError, ValueError):
                told = msgspec.json.decode(line, type=_LogLine)
                if told.message == LATE_EVENT:
                    yield dt.datetime.fromisoformat(told.timestamp).timestamp()
