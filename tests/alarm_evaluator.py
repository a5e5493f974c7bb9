"""What CloudWatch would say of an alarm, from the data points that a local stack has emitted.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
Only what the alarms of template.yaml use is known here; anything else is refused.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lockstep.local.metrics import MINUTE, EmittedMetric, MetricPoint
from tests.insight_rules import contributors
from tools.template.alarms import MetricOfAlarm, RuleValueOfAlarm, TemplateAlarm

type State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

# CloudWatch looks at more periods than an alarm has: at two more in the examples of its page.
MORE_PERIODS = 2

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_TERM = re.compile(r'ALARM\("\$\{(\w+)\}"\)')
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
        dimensions = ((name, self._called(value)) for name, value in metric.dimensions)
        return EmittedMetric(
            self.in_stack(metric.namespace), metric.name, tuple(sorted(dimensions))
        )

    def _called(self, value: Any) -> str:
        match value:
            case {"Ref": str(resource)}:
                return self.resources[resource]
            case {"Fn::Sub": str(pattern)}:
                return self.in_stack(pattern)
            case str():
                return value
        raise NotImplementedError(value)

    def in_stack(self, text: str) -> str:
        """The text, with the name of the stack."""
        return text.replace("${AWS::StackName}", self.stack)


def state_of(
    alarm: TemplateAlarm, points: Iterable[MetricPoint], names: Names, *, at: float
) -> State:
    """The state of an alarm at a time, in seconds since 1970.

    Data points that are there count first, also from before the periods of the alarm; only the
    rest of its periods counts as `TreatMissingData` says.
    """
    kept = list(points)
    if alarm.missing == "ignore":
        return _maintained(alarm, kept, names, at)
    return _evaluated(alarm, kept, names, _minute(at))


def breaches_in(alarm: TemplateAlarm, points: Iterable[MetricPoint], names: Names) -> bool | None:
    """Whether a period with these points, whenever they are, breaches; None if it has no value."""
    kept = [one._replace(at=0) for one in points]
    (value,) = _values(alarm, kept, names, [0])
    return None if value is None else _COMPARE[alarm.comparison](value, alarm.threshold)


def period_of(alarm: TemplateAlarm) -> int:
    """The seconds of a period."""
    (period,) = {one.period for one in alarm.metrics.values()} | {
        one.period for one in alarm.rule_values.values()
    }
    return period


def _minute(at: float) -> int:
    """When the last period ends: an alarm is evaluated every minute, over a sliding window.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html
    """
    return int(at) // MINUTE * MINUTE


def _maintained(
    alarm: TemplateAlarm, points: Sequence[MetricPoint], names: Names, at: float
) -> State:
    """The state since the last period that has a value."""
    if alarm.periods != 1 or alarm.expression is not None:
        raise NotImplementedError("only an alarm of one period and one metric can ignore")
    (metric,) = alarm.metrics.values()
    emitted, ends = names.emitted(metric), _minute(at)
    last = max((one.at for one in points if one.metric == emitted and one.at < ends), default=None)
    if last is None:
        return "INSUFFICIENT_DATA"
    # As of the last minute in which the period has it.
    return _evaluated(alarm, points, names, min(ends, _minute(last) + period_of(alarm)))


def _evaluated(
    alarm: TemplateAlarm, points: Sequence[MetricPoint], names: Names, ends: int
) -> State:
    period, count = period_of(alarm), alarm.periods + MORE_PERIODS
    values = _values(alarm, points, names, [ends - back * period for back in range(count, 0, -1)])
    there = [value for value in values if value is not None][-alarm.periods :]
    compare = _COMPARE[alarm.comparison]
    breaching = [compare(value, alarm.threshold) for value in there]
    if len(breaching) < alarm.periods:
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


def _rule_value(
    points: Iterable[MetricPoint], names: Names, said: RuleValueOfAlarm, start: int
) -> float | None:
    """A value of a rule of Contributor Insights.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContributorInsights-GraphReportData.html
    """
    of_period = (one for one in points if start <= one.at < start + said.period)
    found = contributors(of_period, names.in_stack(said.rule))
    if not found:
        return None
    match said.value:
        case "MaxContributorValue":
            return max(found.values())
        case "Sum":
            return sum(found.values())
        case "UniqueContributors":
            return len(found)
    raise NotImplementedError(said.value)


def _values(
    alarm: TemplateAlarm, points: Sequence[MetricPoint], names: Names, starts: Sequence[int]
) -> Sequence[float | None]:
    """The value of each period that begins at these times."""
    period = period_of(alarm)
    series = {
        key: [
            _statistic(points, names.emitted(metric), metric.statistic, start, period)
            for start in starts
        ]
        for key, metric in alarm.metrics.items()
    }
    if alarm.expression is None:
        (only,) = series.values()
        return only
    series |= {
        key: [_rule_value(points, names, said, start) for start in starts]
        for key, said in alarm.rule_values.items()
    }
    body = ast.parse(alarm.expression.replace(" AND ", " and "), mode="eval").body
    return [
        _calculated(body, {key: values[at] for key, values in series.items()})
        for at in range(len(starts))
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
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _called(function, arguments, values)
        case ast.BoolOp(op=ast.And(), values=[one, other]):
            return _both(_calculated(one, values), _calculated(other, values), _and)
        case ast.Compare(left=left, ops=[ast.Gt()], comparators=[right]):
            return _both(_calculated(left, values), _calculated(right, values), operator.gt)
        case ast.BinOp(left=left, op=calculation, right=right):
            first, second = _calculated(left, values), _calculated(right, values)
            if isinstance(calculation, ast.Div) and second == 0:
                return None
            return _both(first, second, _CALCULATE[type(calculation)])
    raise NotImplementedError(ast.dump(node))


def _called(
    function: str, arguments: Sequence[Any], values: Mapping[str, float | None]
) -> float | None:
    first = _calculated(arguments[0], values)
    match function, arguments:
        case "FILL", [_, filler]:
            return _calculated(filler, values) if first is None else first
        case "IF", [_, chosen, otherwise]:
            return None if first is None else _calculated(chosen if first else otherwise, values)
    raise NotImplementedError(function)


def _and(first: float, second: float) -> bool:
    return bool(first) and bool(second)


def _both(
    first: float | None, second: float | None, calculate: Callable[[float, float], float]
) -> float | None:
    """The result if both have a value."""
    return None if first is None or second is None else calculate(first, second)


class OutageMoment(NamedTuple):
    """A composite alarm at a time: whether it is on, and whether its suppressor is."""

    at: float
    on: bool
    suppressed: bool


def composite_state(properties: Mapping[str, Any], on: Collection[str]) -> State:
    """The state of a composite alarm, while the alarms with these logical IDs are on."""
    separator, parts = properties["AlarmRule"]["Fn::Join"]
    rule = separator.join(part["Fn::Sub"] if isinstance(part, dict) else part for part in parts)
    terms = rule.split(" OR ")
    found = [_TERM.fullmatch(term) for term in terms if term != "FALSE"]
    if not all(found):
        raise NotImplementedError(rule)
    return "ALARM" if any(one and one[1] in on for one in found) else "OK"


def told_at(properties: Mapping[str, Any], history: Iterable[OutageMoment]) -> float | None:
    """When a composite alarm first tells that it is on; None if it does not.

    It waits for its suppressor to go on, and after it goes off for itself to go off, too:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm_Suppression.html
    """
    waits, extends = (
        properties[f"ActionsSuppressor{name}Period"] for name in ("Wait", "Extension")
    )
    due: float | None = None
    was_suppressed = False
    for at, on, suppressed in history:
        if not on or suppressed:
            due = None
        elif due is None:
            due = at + (extends if was_suppressed else waits)
        if due is not None and at >= due:
            return at
        was_suppressed = suppressed
    return None
