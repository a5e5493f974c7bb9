"""The alarms of the templates, as data and as the tables of docs/runbook/README.md.

`make generated` writes the tables.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tools.template.metrics import METRICS
from tools.template.played import BY_NAME_ONLY
from tools.template.rendering import Resources, Template, render
from tools.template.updates import TEMPLATE, TEMPLATES

RUNBOOK = TEMPLATE.parent / "docs" / "runbook"
DOCUMENT = RUNBOOK / "README.md"

# With these parameters, the stack has each alarm.
EVERY_ALARM = {
    "AlarmEmail": "somebody@example.com",
    "OpenSearchInstanceCount": "3",
    "Pictures": "yes",
}

_DESCRIPTION = re.compile(r"(page|ticket|none): (.+\.) docs/runbook/([a-z-]+\.md)")
_RULE_VALUE = re.compile(r"INSIGHT_RULE_METRIC\('([^']+)', '(\w+)'\)")
_SIGNS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}
_GUIDES = "../guides"
_INTRODUCTION = f"""\
# The alarms, and what to do

Each alarm of a deployed stack, with its page. [The guide]({_GUIDES}/alarms.md) says how to turn
them on, how to plan work, and what they cost. `make generated` writes this page from
`template.yaml` and `template-tablestore.yaml`, with the default values of all parameters, and with
pictures.

- *page*: somebody must get up. These alarms tell nobody by themselves: [outage](outage.md) does.
- *ticket*: it can wait until the morning.
- *missing*: what a period without a data point counts as.
- *played*: a test causes the trouble on a local stack, sees the alarm go on, plays the commands of
  its page, and sees the alarm go off (`tests/flow/test_alarms.py`). The other alarms have no
  counterpart on one machine. A test holds the name, the dimensions and the unit of their metrics
  against AWS's list, no more.
- The name of an alarm begins with the name of its stack: `STACK-lags-table`."""
_HEAD = """\

| alarm | severity | what it says | it is on if | missing | page | played |
| --- | --- | --- | --- | --- | --- | --- |"""
_OF_REPLICA = f"""\

## The stack of a replica

The stack of [a replica in Table Store]({_GUIDES}/tablestore.md) has alarms of its own, and
`outage` and `planned-work` as above."""
# It has them as each stack has, so its table leaves them out.
_AS_ABOVE = frozenset({"outage", "planned-work"})


class MetricOfAlarm(NamedTuple):
    """A metric that an alarm reads; `dimensions` are name and value, as the template has them."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, Any], ...]
    statistic: str
    period: int
    unit: str | None = None


class RuleValueOfAlarm(NamedTuple):
    """A value of a rule of Contributor Insights that an alarm reads."""

    rule: str
    value: str
    period: int


class TemplateAlarm(NamedTuple):
    """An alarm on metrics, or on values of a rule of Contributor Insights.

    Both are by id; with a plain metric, the id is `value` and there is no `expression`.
    `name` is without the name of the stack.
    """

    logical_id: str
    name: str
    severity: str
    says: str
    page: str
    metrics: Mapping[str, MetricOfAlarm]
    rule_values: Mapping[str, RuleValueOfAlarm]
    expression: str | None
    periods: int
    to_alarm: int
    comparison: str
    threshold: float
    missing: str
    actions: tuple[Any, ...]
    ok_actions: tuple[Any, ...]


def alarms(resources: Resources) -> list[TemplateAlarm]:
    """The alarms on metrics among rendered resources."""
    return [
        _alarm(logical_id, resource["Properties"])
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]


def described(properties: Mapping[str, Any]) -> tuple[str, str, str]:
    """Severity, meaning and page of an alarm.

    Raises:
        ValueError: the description does not have this form.
    """
    found = _DESCRIPTION.fullmatch(properties["AlarmDescription"])
    if found is None:
        raise ValueError(properties["AlarmDescription"])
    return found[1], found[2], found[3]


def short_name(properties: Mapping[str, Any]) -> str:
    """The name of an alarm without the name of its stack."""
    said = properties["AlarmName"]
    text: str = said["Fn::Sub"] if isinstance(said, dict) else said
    return text.removeprefix("${AWS::StackName}-")


def _alarm(logical_id: str, its: Mapping[str, Any]) -> TemplateAlarm:
    severity, says, page = described(its)
    expressions = [
        one["Expression"]
        for one in its.get("Metrics", [])
        if "Expression" in one and one.get("ReturnData", True)
    ]
    return TemplateAlarm(
        logical_id=logical_id,
        name=short_name(its),
        severity=severity,
        says=says,
        page=page,
        metrics=dict(_metrics(its)),
        rule_values=dict(_rule_values(its)),
        expression=expressions[0] if expressions else None,
        periods=its["EvaluationPeriods"],
        to_alarm=its.get("DatapointsToAlarm", its["EvaluationPeriods"]),
        comparison=its["ComparisonOperator"],
        threshold=float(its["Threshold"]),
        missing=its.get("TreatMissingData", "missing"),
        actions=tuple(its.get("AlarmActions", ())),
        ok_actions=tuple(its.get("OKActions", ())),
    )


def _metrics(its: Mapping[str, Any]) -> Iterator[tuple[str, MetricOfAlarm]]:
    if "MetricName" in its:
        statistic = its.get("Statistic") or its["ExtendedStatistic"]
        yield "value", _metric(its, statistic, its["Period"], its.get("Unit"))
    for one in its.get("Metrics", []):
        if "MetricStat" in one:
            said = one["MetricStat"]
            yield (
                one["Id"],
                _metric(said["Metric"], said["Stat"], said["Period"], said.get("Unit")),
            )


def _rule_values(its: Mapping[str, Any]) -> Iterator[tuple[str, RuleValueOfAlarm]]:
    for one in its.get("Metrics", []):
        match one.get("Expression"):
            case {"Fn::Sub": str(expression)}:
                found = _RULE_VALUE.fullmatch(expression)
                if found is None:
                    raise ValueError(expression)
                yield one["Id"], RuleValueOfAlarm(found[1], found[2], one["Period"])


def _metric(
    said: Mapping[str, Any], statistic: str, period: int, unit: str | None
) -> MetricOfAlarm:
    namespace = said["Namespace"]
    return MetricOfAlarm(
        namespace["Fn::Sub"] if isinstance(namespace, dict) else namespace,
        said["MetricName"],
        tuple((one["Name"], one["Value"]) for one in said.get("Dimensions", [])),
        statistic,
        period,
        unit,
    )


def document(template: Template, replica: Template) -> str:
    """The text of docs/runbook/README.md.

    Args:
        template: template.yaml as CloudFormation.
        replica: template-tablestore.yaml as CloudFormation.
    """
    of_replica = [row for name, row in _rows(replica).items() if name not in _AS_ABOVE]
    rows = [_INTRODUCTION, _HEAD, *_rows(template).values(), _OF_REPLICA, _HEAD, *of_replica]
    return "\n".join([*rows, ""])


def _rows(template: Template) -> Mapping[str, str]:
    """The row of each alarm, by its name."""
    resources = render(template, EVERY_ALARM)
    composites = (
        (short_name(its), described(its), "any of them is in the state ALARM", "")
        for resource in resources.values()
        if resource["Type"] == "AWS::CloudWatch::CompositeAlarm"
        for its in [resource["Properties"]]
    )
    plain = (
        (one.name, (one.severity, one.says, one.page), _condition(one), one.missing)
        for one in alarms(resources)
    )
    return {
        name: f"| `{name}` | {severity} | {says} | {condition} | {missing} | "
        f"[{page.removesuffix('.md')}]({page}) | {_played(name)} |"
        for name, (severity, says, page), condition, missing in (*composites, *plain)
    }


def _played(name: str) -> str:
    """Whether a test causes the trouble of this alarm."""
    return f"no: {BY_NAME_ONLY[name]}" if name in BY_NAME_ONLY else "yes"


def _condition(alarm: TemplateAlarm) -> str:
    """When the alarm is on, for people."""
    named = {key: one.name for key, one in alarm.metrics.items()}
    named |= {key: one.value for key, one in alarm.rule_values.items()}
    if alarm.expression is None:
        (metric,) = alarm.metrics.values()
        what, unit = f"`{metric.name}`", METRICS[metric.namespace, metric.name].unit
    else:
        what = alarm.expression
        for identifier, name in named.items():
            what = re.sub(rf"\b{identifier}\b", name, what)
        what, unit = f"`{what}`", "Percent" if "100 *" in alarm.expression else "Count"
    said = "" if unit in {"Count", "None"} else f" {unit.lower()}"
    return (
        f"{what} ({_statistic(alarm)} min) {_SIGNS[alarm.comparison]} "
        f"{alarm.threshold:,.0f}{said}, {alarm.to_alarm} of {alarm.periods}"
    )


def _statistic(alarm: TemplateAlarm) -> str:
    """What is read of each period, and the minutes of a period."""
    for metric in alarm.metrics.values():
        return f"{metric.statistic} of {metric.period // 60}"
    value, *_ = alarm.rule_values.values()
    return f"rule `{value.rule.removeprefix('${AWS::StackName}-')}` of {value.period // 60}"


def pages(folder: Path = RUNBOOK) -> set[str]:
    """The pages of the runbook."""
    return {file.name for file in folder.glob("*.md")} - {DOCUMENT.name}


if __name__ == "__main__":
    print(document(*(translated(file, LOCAL_REGION) for file in TEMPLATES)), end="")
