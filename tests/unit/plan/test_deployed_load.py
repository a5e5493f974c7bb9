"""The load of a deployed stack, from answers of AWS in the form of botocore's models."""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from lockstep.stack.stack import Endpoints
from lockstep.stack.use_cases.load import LOAD_DAYS, NoLoadError, deployed_load
from shared.clock import Clock
from tests.builders import deployed_stack

DAY = 86_400
HOUR = 3600
END = 1_796_004_000  # 02:00 UTC
SINCE = END - LOAD_DAYS * DAY
API = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com"
METRICS = (
    ("AWS/Kinesis", "IncomingRecords", "StreamName", "s"),
    ("AWS/Kinesis", "IncomingBytes", "StreamName", "s"),
    ("AWS/ApiGateway", "Count", "ApiId", "a1b2c3"),
)


class Account:
    """Clients of boto3 that get recorded answers. Each must be asked for."""

    def __init__(self, search: str | None = API) -> None:
        session = boto3.Session("id", "secret", region_name="eu-central-1")
        made: dict[str, Any] = {
            name: session.client(name) for name in ("cloudwatch", "cloudformation", "dynamodb")
        }
        self.stubs = {name: Stubber(client) for name, client in made.items()}
        endpoints = Endpoints(None, None, "https://o", None, search=search)
        # The metrics of the last minutes are not complete.
        clock = Clock(lambda: END + 400.0, lambda: 0.0, lambda _: None, lambda: 0.0)
        self.clients: Any = SimpleNamespace(
            stack=deployed_stack(endpoints=endpoints, table="ttt"), clock=clock, **made
        )

    def metrics(self, period: int, *series: Mapping[int, float]) -> None:
        """The next answer of CloudWatch: data points, one series for each metric asked for."""
        results = [
            {
                "Id": f"m{at}",
                "Timestamps": [dt.datetime.fromtimestamp(one, dt.UTC) for one in points],
                "Values": list(points.values()),
            }
            for at, points in enumerate(series)
        ]
        asked = {
            "MetricDataQueries": [
                {
                    "Id": f"m{at}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": namespace,
                            "MetricName": name,
                            "Dimensions": [{"Name": dimension, "Value": value}],
                        },
                        "Period": period,
                        "Stat": "Sum",
                    },
                }
                for at, (namespace, name, dimension, value) in enumerate(METRICS[: len(series)])
            ],
            "StartTime": dt.datetime.fromtimestamp(SINCE, dt.UTC),
            "EndTime": dt.datetime.fromtimestamp(END, dt.UTC),
            "ScanBy": "TimestampAscending",
        }
        self.stubs["cloudwatch"].add_response(
            "get_metric_data", {"MetricDataResults": results}, asked
        )

    def described(self, items: int, **parameters: str) -> None:
        """What CloudFormation and DynamoDB answer."""
        self.stubs["dynamodb"].add_response(
            "describe_table", {"Table": {"ItemCount": items}}, {"TableName": "ttt"}
        )
        stack = {
            "StackName": "museum",
            "CreationTime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "StackStatus": "UPDATE_COMPLETE",
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        }
        self.stubs["cloudformation"].add_response(
            "describe_stacks", {"Stacks": [stack]}, {"StackName": "museum"}
        )


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    with ExitStack() as all_of:
        for stub in made.stubs.values():
            all_of.enter_context(stub)
        yield made
        for stub in made.stubs.values():
            stub.assert_no_pending_responses()


def test_the_load_is_that_of_the_last_two_weeks(account: Account) -> None:
    # Each day 36,000 events from 09:00 to 10:00, and on the last one twice as many.
    nine = [start for start in range(SINCE, END, HOUR) if start % DAY == 9 * HOUR]
    records = dict.fromkeys(nine, 36000.0) | {nine[-1]: 72_000.0}
    account.metrics(
        HOUR,
        records,
        {start: count * 700 for start, count in records.items()},
        {SINCE: 1_209_600.0},
    )
    account.metrics(60, {nine[-1] + 300: 3_000.0, nine[-1] + 360: 2_400.0})
    account.described(12_345, RetentionDays="14", ShardCount="2")
    load = deployed_load(account.clients, "museum")
    assert len(nine) == 14
    # From the first hour with events on: 15 days touch 09:00 only 14 times.
    at_nine = 15 * 36_000 / 14 / 3600
    assert load.events_by_hour == pytest.approx([0.0] * 9 + [at_nine] + [0.0] * 14)
    assert load.peak_events_per_second == 50
    assert load.event_bytes == 700
    assert load.images == 12_345
    assert load.searches_per_second == pytest.approx(1_209_600 / (END - nine[0]))
    assert load.parameters == {"RetentionDays": "14", "ShardCount": "2"}


def test_a_stack_of_a_few_hours_has_the_mean_in_the_hours_it_did_not_see(account: Account) -> None:
    account.metrics(HOUR, {END - 2 * HOUR: 7200.0}, {END - 2 * HOUR: 7200.0 * 585}, {})
    account.metrics(60, {})
    account.described(0)
    load = deployed_load(account.clients, "museum")
    # It was 00:00 and 01:00.
    assert load.events_by_hour == [2.0, 0.0] + [1.0] * 22
    assert load.peak_events_per_second == 2.0
    assert load.images == 1
    assert load.searches_per_second == 0


def test_a_stack_without_events_has_no_load(account: Account) -> None:
    account.metrics(HOUR, {}, {}, {})
    with pytest.raises(NoLoadError, match="museum got no events in the last 14 days: give"):
        deployed_load(account.clients, "museum")


def test_a_search_api_of_another_address_is_not_asked_for() -> None:
    account = Account(search="http://127.0.0.1:1")
    with account.stubs["cloudwatch"], account.stubs["dynamodb"], account.stubs["cloudformation"]:
        account.metrics(HOUR, {END - HOUR: 3600.0}, {END - HOUR: 3600.0})
        account.metrics(60, {})
        account.described(1)
        assert deployed_load(account.clients, "museum").searches_per_second == 0
