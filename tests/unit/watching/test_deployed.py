"""A deployed stack: what its metrics, alarms and counts of shards say, and how little is asked."""

import datetime as dt
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec

from lockstep.stack.deployed import DeployedMapping, Metric, incoming_records, iterator_age
from lockstep.watching.deployed import MINUTE, DeployedStack, metrics_of
from lockstep.watching.seen import POINTS, AlarmOn, SeenAlarms, SeenShards
from shared.clock import Clock
from tests.builders import deployed_stack

NOW = 1_796_000_000.0
# Metrics of later minutes are not complete.
END = (round(NOW) - 180) // MINUTE * MINUTE
LAST = END - MINUTE
ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/s"


class Aws:
    """The answers of AWS about one stack. `asked` has the requests for metrics."""

    def __init__(self, **values: Mapping[int, float]) -> None:
        self.values = values
        self.states: list[Mapping[str, Any]] = []
        self.report: Mapping[str, Any] = {}
        self.state = "Enabled"
        self.asked: list[Mapping[str, Any]] = []

    def get_paginator(self, operation: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, f"_{operation}"))

    def _list_event_source_mappings(self, FunctionName: str) -> Any:  # noqa: N803 - boto3's name
        one = {"UUID": f"{FunctionName}-uuid", "State": self.state, "EventSourceArn": ARN}
        return [{"EventSourceMappings": [one]}]

    def _get_metric_data(self, **request: Any) -> Any:
        self.asked.append(request)
        for query in request["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            found = self.values.get(
                f"{metric['MetricName']}_{metric['Dimensions'][0]['Value']}".replace("-", "_"), {}
            )
            times = [dt.datetime.fromtimestamp(at, dt.UTC) for at in found]
            result = {"Id": query["Id"], "Timestamps": times, "Values": [*found.values()]}
            yield {"MetricDataResults": [result]}

    def _list_stack_resources(self, StackName: str) -> Any:  # noqa: N803 - boto3's name
        assert StackName == "lockstep"
        kind = "AWS::CloudWatch::Alarm"
        listed = [
            {"PhysicalResourceId": one["AlarmName"], "ResourceType": kind} for one in self.states
        ]
        return [{"StackResourceSummaries": listed}]

    def _describe_alarms(self, **request: Any) -> Any:
        assert request["AlarmNames"] == [one["AlarmName"] for one in self.states]
        return [{"MetricAlarms": self.states}]

    def get_insight_rule_report(self, **request: Any) -> Any:
        self.asked.append(request)
        return self.report

    def list_shards(self, **_: Any) -> Any:
        shard = {"ShardId": "shardId-000000000000", "HashKeyRange": {"StartingHashKey": "0"}}
        return {"Shards": [shard] * 3}


def watching(aws: Aws, **said: Any) -> DeployedStack:
    functions = {"write_to_dynamodb": "table", "write_to_es": "index"}
    made: Any = SimpleNamespace(
        stack=deployed_stack(functions=functions, **said),
        clock=Clock(lambda: NOW, lambda: 0.0, lambda _: None, lambda: 0.0),
        cloudwatch=aws,
        cloudformation=aws,
        lambda_=aws,
        kinesis=aws,
    )
    return DeployedStack(made, "lockstep")


def test_rates_and_lags_are_those_of_the_last_complete_minute() -> None:
    aws = Aws(
        IncomingRecords_s={LAST - MINUTE: 60.0, LAST: 600.0},
        PolledEventCount_table_uuid={LAST: 300.0},
        PolledEventCount_index_uuid={LAST: 0.0},
        IteratorAge_table={LAST: 1500.0},
        IteratorAge_index={LAST - MINUTE: 100.0},
    )
    seen = watching(aws).stream()
    assert (seen.until, seen.period, seen.arrivals_per_second) == (END, 60, 10.0)
    assert (seen.shards, seen.arrivals[-3:]) == (SeenShards(3), (0.0, 1.0, 10.0))
    table, index = seen.consumers["write_to_dynamodb"], seen.consumers["write_to_es"]
    assert (table.per_second, table.lag_ms, table.reads) == (5.0, 1500, True)
    assert (table.rates[-2:], table.lags[-2:]) == ((None, 5.0), (None, 1500.0))
    # It has not been invoked since the last records came, so they wait.
    assert (index.per_second, index.lag_ms) == (0.0, 60_000)
    assert len(seen.arrivals) == len(table.rates) == len(table.lags) == POINTS


def test_a_mapping_that_is_off_does_not_read() -> None:
    aws = Aws()
    aws.state = "Disabled"
    for one in watching(aws).stream().consumers.values():
        assert (one.reads, one.lag_ms, one.per_second) == (False, None, None)


def test_a_look_asks_for_few_metrics() -> None:
    """The guide says what they cost."""
    aws = Aws()
    watching(aws).stream()
    (request,) = aws.asked
    assert len(request["MetricDataQueries"]) == 5
    assert request["EndTime"].timestamp() == END
    apart = {
        "write_to_dynamodb": incoming_records("s"),
        "write_to_es": incoming_records("changes"),
    }
    mappings = {
        name: DeployedMapping(name, name, "Enabled", None)
        for name in ("write_to_dynamodb", "write_to_es")
    }
    assert len(metrics_of(mappings, apart)) == 6
    gone = msgspec.structs.replace(mappings["write_to_es"], uuid=None)
    wanted = metrics_of({"write_to_es": gone}, {"write_to_es": apart["write_to_es"]})
    assert wanted == [apart["write_to_es"], iterator_age("write_to_es")]
    assert all(isinstance(one, Metric) for one in wanted)


def test_the_bucket_is_listed_less_often_and_shards_are_counted_only_by_a_rule() -> None:
    def intervals(**said: Any) -> dict[str, float]:
        parts = watching(Aws(), **said).parts(60.0, lambda: 0.0)
        return {part.name: part.every for part in parts}

    usual = {"stream": 60.0, "alarms": 60.0, "quarantine": 300.0, "audit": 300.0}
    assert intervals() == usual
    assert intervals(shard_rule="rule") == usual | {"shards": 300.0}


def test_the_busiest_shard_is_that_of_the_rule() -> None:
    aws = Aws()
    stack = watching(aws, shard_rule="lockstep-shards")
    assert stack.busiest() is None
    found = {"Keys": ["shardId-000000000007"], "ApproximateAggregateValue": 30.0}
    aws.report = {"AggregateValue": 40.0, "Contributors": [found]}
    assert stack.busiest() == SeenShards(0, "shardId-000000000007", 0.75)
    (request, _) = aws.asked
    assert request["RuleName"] == "lockstep-shards"
    assert (request["EndTime"] - request["StartTime"]).total_seconds() == request["Period"] == 300


def alarm(name: str, state: str) -> Mapping[str, Any]:
    return {
        "AlarmName": name,
        "StateValue": state,
        "AlarmDescription": "page: It lags. docs/runbook/lags.md",
        "StateTransitionedTimestamp": dt.datetime(2026, 11, 30, tzinfo=dt.UTC),
        "ActionsEnabled": True,
    }


def test_the_alarms_that_are_on_are_told_and_the_others_counted() -> None:
    aws = Aws()
    aws.states = [
        alarm("lockstep-lags-table", "ALARM"),
        alarm("lockstep-lags-index", "OK"),
        alarm("lockstep-outage", "INSUFFICIENT_DATA"),
    ]
    since = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
    on = AlarmOn("lags-table", "page: It lags.", since)
    assert watching(aws).alarms() == SeenAlarms((on,), off=1, unknown=1)
    aws.states = []
    assert watching(aws).alarms() == SeenAlarms((), 0)
