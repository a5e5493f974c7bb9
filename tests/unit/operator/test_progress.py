"""The progress of deployed consumers, by metrics as CloudWatch answers them."""

import datetime as dt
from collections.abc import Mapping, Sequence

import boto3
import pytest
from botocore.stub import Stubber

from lockstep.stack.deployed import (
    DeployedMapping,
    Metric,
    incoming_records,
    iterator_age,
    polled_events,
)
from lockstep.stack.progress import (
    HIGHEST_AGE,
    METRICS_DELAY,
    Progress,
    deployed_progress,
    progress,
)

MINUTE = 60
# The minutes from 0 to 9 are complete.
COMPLETE = 10 * MINUTE


def minutes(**values: float) -> dict[int, float]:
    """A metric: `m3=7` is 7 in the fourth minute."""
    return {int(name[1:]) * MINUTE: value for name, value in values.items()}


@pytest.mark.parametrize(
    ("ages", "arrived", "expected"),
    [
        # Nothing ever came.
        ({}, {}, Progress(COMPLETE, 0, caught_up=True)),
        # Idle for minutes, with a low last age that is not older than the last arrival.
        (minutes(m4=1400), minutes(m2=3, m4=1), Progress(COMPLETE, 0, caught_up=True)),
        # An age of 0 records is no age; arrivals of 0 records are none.
        (minutes(m4=0), minutes(m4=1, m7=0), Progress(COMPLETE, 0, caught_up=True)),
        # Busy and healthy: the batching window alone is a second.
        (minutes(m9=1400), minutes(m9=5), Progress(COMPLETE - 1.4, 1400, caught_up=True)),
        # Busy and behind.
        (minutes(m9=90_000), minutes(m9=5), Progress(COMPLETE - 90, 90_000, caught_up=False)),
        # Stuck: each retry reports the age of the same batch.
        (
            minutes(m5=1000, m9=400_000),
            minutes(m3=1),
            Progress(COMPLETE - 400, 400_000, caught_up=False),
        ),
        # One minute of arrivals, and no invocation yet.
        ({}, minutes(m9=1), Progress(9 * MINUTE, 60_000, caught_up=False)),
        # It stopped before the last arrival, and its last age is low.
        (minutes(m4=900), minutes(m4=2, m6=1, m8=1), Progress(360, 240_000, caught_up=False)),
        # Given up: Lambda discarded the batch, and then read what came after it.
        (minutes(m5=500_000, m6=200), minutes(m5=1), Progress(COMPLETE, 0, caught_up=True)),
        # A high last age without an invocation since: the function may be throttled.
        (minutes(m4=60_000), minutes(m4=1), Progress(240, 60_000, caught_up=False)),
        # What is not complete yet does not count.
        (minutes(m4=0, m10=9e6), minutes(m4=1, m11=1), Progress(COMPLETE, 0, caught_up=True)),
    ],
)
def test_a_consumer_is_as_far_as_its_metrics_show(
    ages: Mapping[int, float], arrived: Mapping[int, float], expected: Progress
) -> None:
    assert progress(ages, arrived, complete=COMPLETE, period=MINUTE) == expected


@pytest.mark.parametrize(("age", "caught_up"), [(HIGHEST_AGE, True), (HIGHEST_AGE + 1, False)])
def test_an_age_is_low_up_to_a_limit(*, age: int, caught_up: bool) -> None:
    found = progress(minutes(m9=age), minutes(m9=1), complete=COMPLETE, period=MINUTE)
    assert found.caught_up is caught_up


def test_no_age_before_an_arrival_makes_the_arrival_wait() -> None:
    found = progress({}, minutes(m0=1), complete=COMPLETE, period=MINUTE)
    assert (found.processed_until, found.caught_up) == (0, False)


NOW = dt.datetime(2026, 11, 21, 8, 0, 30, tzinfo=dt.UTC)
READS = DeployedMapping("f1", "u1", "Enabled", NOW)
OFF = DeployedMapping("f2", "u2", "Disabled", NOW)


def _query(at: int, metric: Metric) -> dict[str, object]:
    named = {"Name": metric.dimension, "Value": metric.value}
    return {
        "Id": f"m{at}",
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [named],
            },
            "Period": 60,
            "Stat": metric.statistic,
        },
    }


def _asked(
    mappings: Mapping[str, DeployedMapping],
    arrivals: Mapping[str, Metric],
    *answers: tuple[Metric, Sequence[tuple[dt.datetime, float]]],
) -> dict[str, Progress]:
    client = boto3.client(
        "cloudwatch", "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    results = [
        {
            "Id": f"m{at}",
            "Timestamps": [time for time, _ in points],
            "Values": [value for _, value in points],
        }
        for at, (_, points) in enumerate(answers)
    ]
    request = {
        "MetricDataQueries": [_query(at, metric) for at, (metric, _) in enumerate(answers)],
        "StartTime": NOW - dt.timedelta(days=7, seconds=30),
        "EndTime": NOW,
        "ScanBy": "TimestampAscending",
    }
    with Stubber(client) as stub:
        if answers:
            stub.add_response("get_metric_data", {"MetricDataResults": results}, request)
        found = deployed_progress(client, mappings, arrivals, retention=7 * 86_400.0, now=NOW)
        stub.assert_no_pending_responses()
    return found


def test_both_consumers_are_asked_for_at_once_and_by_their_own_arrivals() -> None:
    index = DeployedMapping("f2", "u2", "Enabled", NOW)
    images, polled = incoming_records("images"), polled_events("u2")
    hour = NOW.replace(hour=7, second=0)
    found = _asked(
        {"write_to_dynamodb": READS, "write_to_es": index},
        {"write_to_dynamodb": images, "write_to_es": polled},
        (iterator_age("f1"), [(hour, 800.0)]),
        (iterator_age("f2"), [(hour, 1200.0)]),
        (images, [(hour, 3.0), (hour + dt.timedelta(minutes=1), 1.0)]),
        (polled, [(hour, 3.0)]),
    )
    complete = NOW.timestamp() - 30 - METRICS_DELAY
    assert found["write_to_dynamodb"].processed_until == hour.timestamp() + 60
    assert not found["write_to_dynamodb"].caught_up
    assert found["write_to_es"] == Progress(complete, 0, caught_up=True)


def test_a_consumer_that_does_not_read_is_not_asked_for() -> None:
    images = incoming_records("images")
    assert _asked({"write_to_es": OFF}, {"write_to_es": images}) == {}


def test_a_minute_that_ended_less_than_three_minutes_ago_does_not_count() -> None:
    """Its metrics may lack a record (docs/guides/deploying.md)."""
    images = incoming_records("images")
    minute = NOW.replace(hour=7, minute=57, second=0)
    found = _asked(
        {"write_to_dynamodb": READS},
        {"write_to_dynamodb": images},
        (iterator_age("f1"), [(minute, 0.0)]),
        (images, [(minute, 1.0)]),
    )
    assert found["write_to_dynamodb"].processed_until == minute.timestamp()
