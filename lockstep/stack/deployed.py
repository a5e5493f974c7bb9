"""What AWS tells about the consumers of a deployed stack: event source mappings, and metrics.

AWS shows no checkpoints. So a loss is derived from metrics, by the hour, which CloudWatch keeps for
455 days: `IncomingRecords` of the stream, `PolledEventCount` of the event source mapping (0 while
it is idle, missing while it is off), `IteratorAge` of the function.
"""

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from lockstep.stream.losses import Loss, StoppedConsumer

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

HOUR = 3600
# CloudWatch keeps data points of an hour so long, and those of a minute and of five minutes.
KEPT_DAYS = 455
_MINUTES_KEPT_SECONDS = 15 * 24 * HOUR
# A mapping in another state does not read, or will stop.
_READS = frozenset({"Creating", "Enabling", "Enabled", "Updating"})

# The value of a metric by the start of its period, in seconds since 1970.
type Series = Mapping[int, float]


class DeployedMapping(msgspec.Struct, frozen=True):
    """The event source mapping of a consumer; `uuid` is None if there is none.

    `lanes`: how many batches of a shard it delivers at the same time (`ParallelizationFactor`).
    """

    function: str
    uuid: str | None
    state: str
    modified_at: dt.datetime | None
    lanes: int = 1

    @property
    def reads(self) -> bool:
        """Whether it reads its stream."""
        return self.state in _READS


class Metric(NamedTuple):
    """A metric of CloudWatch with its one dimension, and a statistic of it."""

    namespace: str
    name: str
    dimension: str
    value: str
    statistic: Literal["Maximum", "Sum"]


class Window(NamedTuple):
    """From `start` up to but not including `end`, in seconds since 1970; `period` in seconds."""

    start: float
    end: float
    period: int


def read_mapping(lambda_: Any, function: str, source: str) -> DeployedMapping:
    """The event source mapping from a source to a function.

    Args:
        lambda_: a boto3 client of Lambda.
        function: the name of the function.
        source: what the ARN of the source contains: `:stream/NAME`, or `:table/NAME/stream/`.
    """
    pages = lambda_.get_paginator("list_event_source_mappings").paginate(FunctionName=function)
    found = [
        one
        for page in pages
        for one in page["EventSourceMappings"]
        if source in f"{one.get('EventSourceArn', '')}/"
    ]
    # If there are several, one that reads is enough.
    for one in sorted(found, key=lambda each: each["State"] not in _READS):
        modified, lanes = one.get("LastModified"), one.get("ParallelizationFactor", 1)
        return DeployedMapping(function, one["UUID"], one["State"], modified, lanes)
    return DeployedMapping(function, None, "missing", None)


def stopped(mappings: Mapping[str, DeployedMapping]) -> tuple[StoppedConsumer, ...]:
    """The consumers whose event source mapping does not read."""
    return tuple(
        StoppedConsumer(
            consumer,
            mapping.state.lower(),
            # In whole seconds, as people type it.
            mapping.modified_at and mapping.modified_at.replace(microsecond=0),
        )
        for consumer, mapping in mappings.items()
        if not mapping.reads
    )


def iterator_age(function: str) -> Metric:
    """The age of the last record of each batch, in milliseconds; its maximum."""
    return Metric("AWS/Lambda", "IteratorAge", "FunctionName", function, "Maximum")


def polled_events(uuid: str) -> Metric:
    """How many records an event source mapping has read; the sum."""
    return Metric("AWS/Lambda", "PolledEventCount", "EventSourceMappingUUID", uuid, "Sum")


def consumed_writes(table: str) -> Metric:
    """The write units that a table has used; the sum. None where nothing was written."""
    return Metric("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table, "Sum")


def incoming_records(stream: str) -> Metric:
    """How many records a stream has accepted; the sum."""
    return Metric("AWS/Kinesis", "IncomingRecords", "StreamName", stream, "Sum")


def read_series(
    cloudwatch: "CloudWatchClient", metrics: Iterable[Metric], window: Window
) -> dict[Metric, Series]:
    """The data points of some metrics; a period without a data point is missing."""
    by_id = {f"m{at}": metric for at, metric in enumerate(dict.fromkeys(metrics))}
    queries: list[MetricDataQueryTypeDef] = [
        {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": metric.dimension, "Value": metric.value}],
                },
                "Period": window.period,
                "Stat": metric.statistic,
            },
        }
        for identifier, metric in by_id.items()
    ]
    found: dict[Metric, dict[int, float]] = {metric: {} for metric in by_id.values()}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries,
        StartTime=dt.datetime.fromtimestamp(window.start, dt.UTC),
        EndTime=dt.datetime.fromtimestamp(window.end, dt.UTC),
        ScanBy="TimestampAscending",
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            times = (round(time.timestamp()) for time in result["Timestamps"])
            found[by_id[result["Id"]]].update(zip(times, result["Values"], strict=True))
    return dict(found)


def recent(retention: float, now: float) -> Window:
    """The window in which the last invocation of a consumer is searched: the retention."""
    period = 60 if retention < _MINUTES_KEPT_SECONDS else 300
    return Window((now - retention) // period * period, now, period)


def history(created: float, now: float) -> Window:
    """The whole hours that losses are searched in: since the stream was created, at most 455 days.

    The present hour is left out: it is not over.
    """
    oldest = now - KEPT_DAYS * 24 * HOUR
    return Window(max(created, oldest) // HOUR * HOUR, now // HOUR * HOUR, HOUR)


def metric_losses(
    consumer: str,
    *,
    polled: Series,
    ages: Series,
    incoming: Series,
    retention: float,
    window: Window,
) -> list[Loss]:
    """The losses that hourly metrics show.

    - The mapping did not read for longer than the retention, while records came. Any mapping of the
      function counts, for the iterator age is the function's: so what a predecessor has read is no
      loss. A mapping that is new with its stream has none either.
    - The iterator age reached the retention: what was older was removed.

    Args:
        consumer: the name of the consumer.
        polled: `PolledEventCount` of the present mapping, summed.
        ages: `IteratorAge` of the function in milliseconds, the maximum.
        incoming: `IncomingRecords` of the stream, summed.
        retention: of the stream, in seconds.
        window: where to search, from `history`.
    """
    keeps = math.floor(retention / HOUR) * HOUR

    def has_read(hour: int) -> bool:
        return hour in ages or (
            hour in polled and (polled[hour] > 0 or incoming.get(hour, 0.0) == 0)
        )

    hours = range(int(window.start), int(window.end), HOUR)
    found = []
    for begin, end in _runs(hour for hour in hours if not has_read(hour)):
        # What came in the hour before, and was not read in it, waited, too.
        before = begin - HOUR
        first = before if polled.get(before, math.inf) < incoming.get(before, 0.0) else begin
        lost = [at for at in range(first, end - keeps, HOUR) if incoming.get(at, 0.0) > 0]
        if lost:
            found.append(Loss(consumer, _moment(lost[0]), _moment(lost[-1] + HOUR)))
    too_old = (hour for hour in hours if ages.get(hour, 0.0) >= retention * 1000)
    for begin, end in _runs(too_old):
        found.append(Loss(consumer, _moment(begin - keeps), _moment(end - keeps)))
    return found


def _runs(hours: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Adjacent hours, as pairs: the first, and the one after the last."""
    for _, run in groupby(enumerate(hours), key=lambda each: each[1] - each[0] * HOUR):
        members = [hour for _, hour in run]
        yield members[0], members[-1] + HOUR


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
