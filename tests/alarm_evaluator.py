"""What CloudWatch would say of an alarm, from the data points that a local stack has emitted.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
Only what the alarms of template.yaml use is known here; anything else is refused.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lockstep.local.metrics import EmittedMetric, MetricPoint
from tools.template.alarms import MetricOfAlarm, TemplateAlarm

type State = Literal["OK", "ALARM"]

# CloudWatch looks at more periods than an alarm has: at two more in the examples of its page.
MORE_PERIODS = 2

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_CALCULATE: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Names(NamedTuple):
    """What the references of the template are called in a local stack."""

    resources: Mapping[str, str]
    stack: str = "lockstep"

    def emitted(self, metric: MetricOfAlarm) -> EmittedMetric:
        """The metric, as the local stack emits it."""
        dimensions = (
            (name, self.resources[value["Ref"]] if isinstance(value, dict) else value)
            for name, value in metric.dimensions
        )
        return EmittedMetric(
            metric.namespace.replace("${AWS::StackName}", self.stack),
            metric.name,
            tuple(sorted(dimensions)),
        )


def state_of(
    alarm: TemplateAlarm, points: Iterable[MetricPoint], names: Names, *, at: float
) -> State:
    """The state of an alarm at a time, in seconds since 1970.

    Data points that are there count first, also from before the periods of the alarm; only the
    rest of its periods counts as `TreatMissingData` says.
    """
    (period,) = {metric.period for metric in alarm.metrics.values()}
    ends = int(at) // period * period
    count = alarm.periods + MORE_PERIODS
    kept = list(points)
    series = {
        key: [
            _statistic(kept, names.emitted(metric), metric.statistic, ends - back * period, period)
            for back in range(count, 0, -1)
        ]
        for key, metric in alarm.metrics.items()
    }
    values = _values(alarm, series, count)
    there = [value for value in values if value is not None][-alarm.periods :]
    compare = _COMPARE[alarm.comparison]
    breaching = [compare(value, alarm.threshold) for value in there]
    breaching += [_breaches(alarm)] * (alarm.periods - len(breaching))
    return "ALARM" if sum(breaching) >= alarm.to_alarm else "OK"


def _breaches(alarm: TemplateAlarm) -> bool:
    """What a missing data point counts as."""
    namespaces = {metric.namespace for metric in alarm.metrics.values()}
    if alarm.expression is None and "AWS/DynamoDB" in namespaces:
        raise NotImplementedError("an alarm on a metric of DynamoDB keeps its state")
    if alarm.missing not in {"breaching", "notBreaching"}:
        raise NotImplementedError(alarm.missing)
    return alarm.missing == "breaching"


def _statistic(
    points: Iterable[MetricPoint], metric: EmittedMetric, statistic: str, start: int, period: int
) -> float | None:
    found = [
        (one.value, one.times)
        for one in points
        if one.metric == metric and start <= one.at < start + period
    ]
    if not found:
        return None
    match statistic:
        case "Sum":
            return sum(value * times for value, times in found)
        case "Maximum":
            return max(value for value, _ in found)
        case "Minimum":
            return min(value for value, _ in found)
        case _ if statistic.startswith("p"):
            values = sorted(value for value, times in found for _ in range(times))
            return values[math.ceil(len(values) * float(statistic[1:]) / 100) - 1]
    raise NotImplementedError(statistic)


def _values(
    alarm: TemplateAlarm, series: Mapping[str, Sequence[float | None]], count: int
) -> Sequence[float | None]:
    if alarm.expression is None:
        (only,) = series.values()
        return only
    body = ast.parse(alarm.expression, mode="eval").body
    return [
        _calculated(body, {key: values[at] for key, values in series.items()})
        for at in range(count)
    ]


def _calculated(node: Any, values: Mapping[str, float | None]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = _calculated(operand, values)
            return None if found is None else -found
        case ast.Name(id=name):
            return values[name]
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, filler]):
            found = _calculated(filled, values)
            return _calculated(filler, values) if found is None else found
        case ast.BinOp(left=left, op=calculation, right=right):
            first, second = _calculated(left, values), _calculated(right, values)
            if first is None or second is None:
                return None
            if isinstance(calculation, ast.Div) and second == 0:
                return None
            return _CALCULATE[type(calculation)](first, second)
    raise NotImplementedError(ast.dump(node))
