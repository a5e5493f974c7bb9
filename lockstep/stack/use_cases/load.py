"""The load and the settings of a deployed stack, for a plan that starts from them."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from lockstep.stack.clients import Clients
from lockstep.stack.deployed import HOUR, Metric, Series, Window, incoming_records, read_series
from lockstep.stack.progress import METRICS_DELAY
from lockstep.stack.stack import StackNotFoundError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

LOAD_DAYS = 14
"""The load is that of so many days. CloudWatch keeps data points of a minute for 15."""
_MINUTE = 60
_DAY = 24 * HOUR
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-publish.html
_API = re.compile(r"https?://([a-z0-9]+)\.execute-api\.")


class NoLoadError(StackNotFoundError):
    """A stack has no metrics from which its load follows."""


class DeployedLoad(msgspec.Struct, frozen=True):
    """What a stack had to do in the last days, by its own metrics.

    Attributes:
        events_by_hour: events a second in each hour of a day (UTC), the mean of the days.
        peak_events_per_second: events a second in the busiest minute.
        event_bytes: size of an event on the stream.
        images: items of the table, tombstones included, as AWS counts them about every six hours.
        searches_per_second: requests of the search API a second, over these days.
        parameters: the value of each parameter of the template.
    """

    events_by_hour: Sequence[float]
    peak_events_per_second: float
    event_bytes: float
    images: float
    searches_per_second: float
    parameters: Mapping[str, str]


def deployed_load(clients: Clients, name: str) -> DeployedLoad:
    """The load and the parameters of a deployed stack.

    Args:
        clients: the stack's.
        name: the name of the stack.

    Raises:
        NoLoadError: no event arrived in the last days.
        StackNotFoundError: CloudFormation does not describe the stack.
        ClientError, BotoCoreError: AWS does not answer, or not to this caller.
    """
    stack = clients.stack
    end = (clients.clock.now() - METRICS_DELAY) // HOUR * HOUR
    records, sizes = incoming_records(stack.stream), _incoming_bytes(stack.stream)
    searches = _searches(stack.endpoints.search)
    asked = [records, sizes, *([] if searches is None else [searches])]
    of_hours = read_series(clients.cloudwatch, asked, Window(end - LOAD_DAYS * _DAY, end, HOUR))
    total = sum(of_hours[records].values())
    if total == 0:
        raise NoLoadError(
            f"stack {name} got no events in the last {LOAD_DAYS} days: give --events and --images"
        )
    of_minutes = read_series(
        clients.cloudwatch, [records], Window(end - LOAD_DAYS * _DAY, end, _MINUTE)
    )[records]
    hours = _by_hour(of_hours[records], int(end))
    table = clients.dynamodb.describe_table(TableName=stack.table)["Table"]
    first = min(of_hours[records])
    return DeployedLoad(
        events_by_hour=hours,
        # Rounding must not lift the busiest hour above the busiest minute.
        peak_events_per_second=max(max(of_minutes.values(), default=0.0) / _MINUTE, *hours),
        event_bytes=max(1.0, sum(of_hours[sizes].values()) / total),
        images=max(1, table.get("ItemCount", 0)),
        searches_per_second=(
            0.0 if searches is None else sum(of_hours[searches].values()) / (end - first)
        ),
        parameters=_parameters(clients.cloudformation, name),
    )


def _by_hour(records: Series, end: int) -> Sequence[float]:
    """Events a second in each hour of a day, from the first hour with events on.

    An hour without a data point had no events.
    """
    starts = range(min(records), end, HOUR)
    mean = sum(records.values()) / len(starts) / HOUR
    found: list[float] = []
    for hour in range(24):
        same = [records.get(start, 0.0) for start in starts if start % _DAY == hour * HOUR]
        # Of a stack that is younger than a day, some hours are not known.
        found.append(sum(same) / len(same) / HOUR if same else mean)
    return found


def _parameters(cloudformation: "CloudFormationClient", name: str) -> Mapping[str, str]:
    try:
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        raise StackNotFoundError(f"stack {name!r}: {error.response['Error']['Message']}") from error
    return {
        one["ParameterKey"]: one.get("ParameterValue", "")
        for one in described.get("Parameters", [])
    }


def _incoming_bytes(stream: str) -> Metric:
    """How many bytes a stream has accepted; the sum."""
    return Metric("AWS/Kinesis", "IncomingBytes", "StreamName", stream, "Sum")


def _searches(api: str | None) -> Metric | None:
    """The requests of the search API; the sum. None if its address is not one of AWS."""
    found = _API.match(api or "")
    return None if found is None else Metric("AWS/ApiGateway", "Count", "ApiId", found[1], "Sum")
