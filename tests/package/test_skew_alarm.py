"""The alarm on skew, evaluated over lines of the log as the consumer of the table writes them."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.alarm_evaluator import Names, state_of
from tests.builders import image_event, kinesis_records
from tests.emitted import consumed, logging_as
from tests.insight_rules import counted
from tests.memory_sink import MemorySink
from tools.template.alarms import EVERY_ALARM, TemplateAlarm, alarms
from tools.template.rendering import Resources, render
from tools.template.updates import TEMPLATE

type Template = Mapping[str, Any]
type Line = Mapping[str, Any]

GUIDE = TEMPLATE.parent / "docs" / "guides" / "alarms.md"
STACK = "museum"
NOW = 1_795_248_000
PERIOD = 300
BATCH = 500
# Of five minutes: half of what a shard takes.
HALF = 150_000


@pytest.fixture(scope="module")
def resources(template: Template) -> Resources:
    return render(template, EVERY_ALARM)


@pytest.fixture(scope="module")
def line() -> Line:
    with logging_as("write_to_dynamodb") as (logger, written):
        consumed(kinesis_records(image_event("A1")), MemorySink, logger)
    (found,) = [one for one in written.lines if one["message"] == "batch"]
    return found


def lines_of(line: Line, periods: Sequence[Sequence[int]]) -> Iterator[Line]:
    """The lines of batches, of so many records for each shard, period by period until now."""
    for back, shards in enumerate(reversed(periods)):
        at = NOW - PERIOD * (back + 1)
        for shard, records in enumerate(shards):
            for first in range(0, records, BATCH):
                yield {
                    **line,
                    "timestamp": dt.datetime.fromtimestamp(at, dt.UTC).isoformat(),
                    "shard_id": f"shardId-{shard:012}",
                    "records": min(BATCH, records - first),
                }


def skew(resources: Resources) -> TemplateAlarm:
    (found,) = [one for one in alarms(resources) if one.name == "skewed"]
    return found


def state(resources: Resources, line: Line, *periods: Sequence[int]) -> str:
    rule = resources["ShardRule"]["Properties"]
    name = rule["RuleName"]["Fn::Sub"].replace("${AWS::StackName}", STACK)
    lines = [*lines_of(line, periods), {**line, "message": "another line", "records": 10 * HALF}]
    points = list(counted(name, rule["RuleBody"]["Fn::Sub"], lines))
    return state_of(skew(resources), points, Names({}, STACK), at=NOW)


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        ((HALF + 1, 100, 100, 100), "ALARM"),
        # of three shards with records, not twice the mean
        ((2 * HALF, HALF, HALF, 0), "OK"),
        ((2 * HALF, HALF, HALF // 4, HALF // 4), "ALARM"),
        # not more than half of what a shard takes
        ((HALF, 100, 100, 100), "OK"),
        # full, but all are
        ((2 * HALF, 2 * HALF, 2 * HALF, 2 * HALF), "OK"),
        # of two shards, none has twice the mean
        ((2 * HALF, 1), "OK"),
        ((2 * HALF,), "OK"),
    ],
)
def test_a_shard_is_skewed_with_half_of_its_room_and_twice_the_mean(
    resources: Resources, line: Line, shards: Sequence[int], expected: str
) -> None:
    assert state(resources, line, shards, shards, shards) == expected


def test_a_skew_that_ends_within_a_quarter_of_an_hour_is_no_alarm(
    resources: Resources, line: Line
) -> None:
    hot, even = (2 * HALF, 100, 100, 100), (HALF, HALF, HALF, HALF)
    assert state(resources, line, even, hot, hot) == "OK"
    assert state(resources, line, even, hot, hot, hot) == "ALARM"
    assert state(resources, line, hot, hot, hot, even) == "OK"


def test_a_stream_without_records_is_not_skewed(resources: Resources, line: Line) -> None:
    assert state(resources, line) == "OK"


def test_the_alarm_reads_the_rule_of_its_own_stack_in_periods_of_one_length(
    resources: Resources,
) -> None:
    rule = resources["ShardRule"]["Properties"]["RuleName"]["Fn::Sub"]
    said = resources["Skewed"]["Properties"]["Metrics"]
    assert {one.rule for one in skew(resources).rule_values.values()} == {rule}
    assert {one["Period"] for one in said} == {PERIOD}
    assert [one.get("ReturnData", True) for one in said] == [True, False, False, False]


def test_the_guide_says_what_the_alarms_of_a_stack_cost(template: Template) -> None:
    """A metric 0.10 dollars, a value of a rule as much, the composite alarm 0.50."""
    found = alarms(
        render(template, {"AlarmEmail": "a@example.com", "OpenSearchInstanceCount": "3"})
    )
    read = sum(len(one.metrics) + len(one.rule_values) for one in found)
    assert f"about {read * 0.10 + 0.50:.2f} dollars" in " ".join(GUIDE.read_text().split())
