"""What a rule of Contributor Insights counts, from the lines of a log.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContributorInsights-RuleSyntax.html
Only what the rule of template.yaml uses is known here; anything else is refused.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lockstep.local.metrics import MINUTE, EmittedMetric, MetricPoint

_NAMESPACE = "rule of Contributor Insights"
_CONTRIBUTOR = "contributor"


def counted(name: str, body: str, lines: Iterable[Mapping[str, Any]]) -> Iterator[MetricPoint]:
    """What a rule counts of these lines, as data points, one for each line that counts.

    Args:
        name: the name of the rule.
        body: its `RuleBody`.
        lines: the lines of its log groups.
    """
    rule = msgspec.json.decode(body)
    if rule["LogFormat"] != "JSON" or rule["AggregateOn"] != "Sum":
        raise NotImplementedError(body)
    counts = rule["Contribution"]
    (key,), (match,) = counts["Keys"], counts["Filters"]
    for line in lines:
        if _field(line, match["Match"]) not in match["In"]:
            continue
        moment = dt.datetime.fromisoformat(line["timestamp"])
        contributor = (_CONTRIBUTOR, str(_field(line, key)))
        yield MetricPoint(
            EmittedMetric(_NAMESPACE, name, (contributor,)),
            int(moment.timestamp()) // MINUTE * MINUTE,
            float(_field(line, counts["ValueOf"])),
            1,
        )


def contributors(points: Iterable[MetricPoint], rule: str) -> Mapping[str, float]:
    """The value of each contributor of a rule, among these points."""
    found = Counter[str]()
    for one in points:
        if (one.metric.namespace, one.metric.name) == (_NAMESPACE, rule):
            ((_, contributor),) = one.metric.dimensions
            found[contributor] += one.value * one.times  # type: ignore[assignment]
    return found


def _field(line: Mapping[str, Any], path: str) -> Any:
    if not path.startswith("$."):
        raise NotImplementedError(path)
    return line.get(path.removeprefix("$."))
