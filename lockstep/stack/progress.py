"""How far the consumers of a deployed stack are, by the metrics of AWS.

AWS shows no checkpoints. So progress is derived from what arrived on the stream of a consumer, and
from the iterator age that Lambda reports of each minute in which it invoked the function. Metrics
are late: only minutes that ended `METRICS_DELAY` ago count, and the last minutes are unknown.
"""

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from lockstep.stack.deployed import (
    DeployedMapping,
    Metric,
    Series,
    iterator_age,
    read_series,
    recent,
)

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

# In seconds: the metrics of a minute are complete so long after it (docs/guides/deploying.md says
# that this is not verified on AWS).
METRICS_DELAY = 180
# In milliseconds: a consumer with a higher age lags. Lambda polls once a second, and the table's
# consumer waits one second more for a batch.
HIGHEST_AGE = 5_000


class Progress(msgspec.Struct, frozen=True):
    """How far one consumer is.

    All that arrived before `processed_until`, in seconds since 1970, is in its store or its
    quarantine. `age` is the age of what it reads now, in milliseconds; 0 if it has nothing to read.
    """

    processed_until: float
    age: int
    caught_up: bool


def progress(ages: Series, arrived: Series, *, complete: float, period: int) -> Progress:
    """The progress by the metrics of a consumer.

    - What arrived in a later period than that of the last age waits: a consumer that stopped before
      has a low last age, too.
    - Otherwise the last age counts. Without any age and arrival, there was nothing to read.

    Args:
        ages: the highest iterator age of each period, in milliseconds.
        arrived: how many records arrived in each period.
        complete: the end of the last period whose metrics are complete, in seconds since 1970.
        period: of both metrics, in seconds.
    """
    last = max((at for at in ages if at < complete), default=-math.inf)
    came = [at for at, count in arrived.items() if count and at < complete]
    waiting = min((at for at in came if at > last), default=None)
    if waiting is not None:
        return Progress(waiting, round((complete - waiting) * 1000), caught_up=False)
    if last == -math.inf:
        return Progress(complete, 0, caught_up=True)
    age = round(ages[int(last)])
    # After a period without an invocation, nothing waits.
    idle = last + period < complete
    caught_up = age <= HIGHEST_AGE
    until = complete if idle and caught_up else last + period - age / 1000
    return Progress(until, 0 if idle and caught_up else age, caught_up=caught_up)


def deployed_progress(
    cloudwatch: "CloudWatchClient",
    mappings: Mapping[str, DeployedMapping],
    arrivals: Mapping[str, Metric],
    *,
    retention: float,
    now: dt.datetime,
) -> dict[str, Progress]:
    """The progress of each consumer whose event source mapping reads.

    Args:
        cloudwatch: the client.
        mappings: the event source mapping of each consumer.
        arrivals: how many records arrived for each consumer.
        retention: of the image stream, in seconds.
        now: the time.
    """
    window = recent(retention, now.timestamp())
    reading = {name: mapping for name, mapping in mappings.items() if mapping.reads}
    if not reading:
        return {}
    ages = {name: iterator_age(mapping.function) for name, mapping in reading.items()}
    wanted = [*ages.values(), *(arrivals[name] for name in reading)]
    series = read_series(cloudwatch, wanted, window)
    complete = (now.timestamp() - METRICS_DELAY) // window.period * window.period
    return {
        name: progress(
            series[ages[name]], series[arrivals[name]], complete=complete, period=window.period
        )
        for name in reading
    }
