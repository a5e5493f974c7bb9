"""What AWS tells about a deployed stack's consumers, in answers of the shape that its API has.

No test calls AWS: the answers are those that botocore's service model permits.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from lockstep.stack.deployed import (
    HOUR,
    DeployedMapping,
    Window,
    history,
    incoming_records,
    iterator_age,
    metric_losses,
    polled_events,
    read_mapping,
    read_series,
    recent,
    stopped,
)
from lockstep.stream.losses import Loss, StoppedConsumer

ARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/images"
CREATED = 1_795_248_000  # a whole hour
DAY, RETENTION = 24 * HOUR, 7 * 24 * HOUR
NOW = dt.datetime(2026, 11, 21, 8, 0, 0, 250_000, tzinfo=dt.UTC)


def client(service: Any) -> Any:
    return boto3.client(
        service, "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )


def mapping(uuid: str, state: str, arn: str = ARN) -> dict[str, Any]:
    return {"UUID": uuid * 36, "State": state, "EventSourceArn": arn, "LastModified": NOW}


def found_mapping(*pages: list[dict[str, Any]]) -> DeployedMapping:
    lambda_ = client("lambda")
    with Stubber(lambda_) as stub:
        for at, page in enumerate(pages):
            more = {"NextMarker": str(at)} if at + 1 < len(pages) else {}
            stub.add_response("list_event_source_mappings", {"EventSourceMappings": page, **more})
        return read_mapping(lambda_, "f", ":stream/images/")


def test_the_mapping_of_a_consumer_is_the_one_of_its_source() -> None:
    others = [mapping("a", "Enabled", f"{ARN}-changes"), mapping("b", "Enabled", f"{ARN}2")]
    assert found_mapping(others, [mapping("c", "Disabled")]) == DeployedMapping(
        "f", "c" * 36, "Disabled", NOW
    )
    assert found_mapping(others) == DeployedMapping("f", None, "missing", None)


def test_of_two_mappings_one_that_reads_is_enough() -> None:
    both = [mapping("a", "Disabled"), mapping("b", "Enabled")]
    assert found_mapping(both).uuid == "b" * 36


@pytest.mark.parametrize(
    ("state", "reads"),
    [
        ("Creating", True),
        ("Enabling", True),
        ("Enabled", True),
        ("Updating", True),
        ("Disabling", False),
        ("Disabled", False),
        ("Deleting", False),
    ],
)
def test_only_a_mapping_that_is_on_reads(state: str, *, reads: bool) -> None:
    assert found_mapping([mapping("c", state)]).reads is reads


def test_a_consumer_without_a_mapping_that_reads_has_stopped() -> None:
    since = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)
    assert stopped(
        {
            "write_to_dynamodb": DeployedMapping("f", "a", "Disabled", NOW),
            "write_to_es": DeployedMapping("g", None, "missing", None),
        }
    ) == (
        StoppedConsumer("write_to_dynamodb", "disabled", since),
        StoppedConsumer("write_to_es", "missing", None),
    )
    assert stopped({"write_to_es": DeployedMapping("g", "a", "Enabled", NOW)}) == ()


def test_the_data_points_of_several_metrics_are_read_page_by_page() -> None:
    cloudwatch = client("cloudwatch")
    ages, polled = iterator_age("f"), polled_events("uuid")
    start, end = dt.datetime.fromtimestamp(CREATED, dt.UTC), NOW
    query = {
        "MetricDataQueries": [
            {
                "Id": identifier,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/Lambda",
                        "MetricName": name,
                        "Dimensions": [{"Name": dimension, "Value": value}],
                    },
                    "Period": HOUR,
                    "Stat": statistic,
                },
            }
            for identifier, name, dimension, value, statistic in (
                ("m0", "IteratorAge", "FunctionName", "f", "Maximum"),
                ("m1", "PolledEventCount", "EventSourceMappingUUID", "uuid", "Sum"),
            )
        ],
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }

    def result(identifier: str, *points: tuple[int, float]) -> dict[str, Any]:
        times = [dt.datetime.fromtimestamp(at, dt.UTC) for at, _ in points]
        return {"Id": identifier, "Timestamps": times, "Values": [value for _, value in points]}

    with Stubber(cloudwatch) as stub:
        first = [result("m0", (CREATED, 5.0)), result("m1")]
        answer = {"MetricDataResults": first, "NextToken": "more"}
        stub.add_response("get_metric_data", answer, query)
        second = [result("m0", (CREATED + HOUR, 6.0)), result("m1", (CREATED, 0.0))]
        stub.add_response(
            "get_metric_data", {"MetricDataResults": second}, {**query, "NextToken": "more"}
        )
        series = read_series(cloudwatch, [ages, polled], Window(CREATED, end.timestamp(), HOUR))

    assert series == {ages: {CREATED: 5.0, CREATED + HOUR: 6.0}, polled: {CREATED: 0.0}}


def test_incoming_records_are_a_metric_of_the_stream() -> None:
    assert incoming_records("images") == (
        "AWS/Kinesis",
        "IncomingRecords",
        "StreamName",
        "images",
        "Sum",
    )


def test_a_window_begins_with_the_stream_and_at_most_455_days_ago() -> None:
    now = CREATED + 30 * DAY + 100
    assert history(CREATED + 100, now) == (CREATED, CREATED + 30 * DAY, HOUR)
    assert history(CREATED - 1000 * DAY, now).start == CREATED - 425 * DAY
    assert recent(RETENTION, now) == ((now - RETENTION) // 60 * 60, now, 60)
    # CloudWatch keeps minutes for 15 days.
    assert recent(30 * DAY, now).period == 300


def hours(begin: int, end: int, value: float) -> dict[int, float]:
    """One value for each hour of these days."""
    return dict.fromkeys(range(CREATED + begin * DAY, CREATED + end * DAY, HOUR), value)


def losses(
    *,
    polled: Mapping[int, float] = {},
    ages: Mapping[int, float] = {},
    incoming: Mapping[int, float],
    days: int = 40,
    created: int = CREATED,
) -> list[tuple[int, int]]:
    """The losses, in whole hours since the stream was created."""
    found: Iterable[Loss] = metric_losses(
        "write_to_es",
        polled=polled,
        ages=ages,
        incoming=incoming,
        retention=RETENTION,
        window=history(created, CREATED + days * DAY),
    )
    assert all(loss.consumer == "write_to_es" and loss.records is None for loss in found)
    times = [(loss.since.timestamp(), loss.until.timestamp()) for loss in found]
    return [(round(a - CREATED) // HOUR, round(b - CREATED) // HOUR) for a, b in times]


def test_a_busy_and_an_idle_consumer_lose_nothing() -> None:
    """While a mapping is idle, its metric is 0."""
    busy = hours(0, 40, 5.0)
    assert losses(polled=busy, ages=hours(0, 40, 900.0), incoming=busy) == []
    idle = hours(0, 10, 5.0) | hours(10, 40, 0.0)
    assert losses(polled=idle, ages=hours(0, 10, 9.0), incoming=hours(0, 10, 5.0)) == []


def test_a_mapping_that_was_off_for_longer_than_the_retention_has_lost_what_came_first() -> None:
    on = hours(0, 10, 5.0) | hours(20, 40, 5.0)
    came = hours(0, 40, 5.0)
    assert losses(polled=on, incoming=came) == [(10 * 24, 13 * 24)]
    shorter = hours(0, 10, 5.0) | hours(17, 40, 5.0)
    assert losses(polled=shorter, incoming=came) == []
    longer = hours(0, 10, 5.0) | hours(18, 40, 5.0)
    assert losses(polled=longer, incoming=came) == [(10 * 24, 11 * 24)]


def test_a_mapping_that_was_off_while_nothing_came_has_lost_nothing() -> None:
    on = hours(0, 10, 5.0) | hours(20, 40, 0.0)
    assert losses(polled=on, incoming=hours(0, 10, 5.0)) == []


def test_what_came_late_in_the_last_hour_before_it_was_off_is_lost_too() -> None:
    last = CREATED + 10 * DAY - HOUR
    on = hours(0, 10, 5.0) | hours(20, 40, 0.0) | {last: 3.0}
    assert losses(polled=on, incoming=hours(0, 10, 5.0)) == [(239, 240)]


def test_a_mapping_that_is_still_off_loses_more_with_each_hour() -> None:
    on, came = hours(0, 10, 5.0), hours(0, 40, 5.0)
    assert losses(polled=on, incoming=came, days=17) == []
    assert losses(polled=on, incoming=came, days=18) == [(240, 264)]
    assert losses(polled=on, incoming=came, days=20) == [(240, 312)]


def test_a_mapping_that_reads_nothing_although_records_come_is_as_good_as_off() -> None:
    """It may not read the stream, for example: its role or the key denies it."""
    reads_nothing = hours(0, 10, 5.0) | hours(10, 20, 0.0) | hours(20, 40, 5.0)
    assert losses(polled=reads_nothing, incoming=hours(0, 40, 5.0)) == [(240, 312)]


def test_a_mapping_that_is_new_with_its_stream_has_lost_nothing() -> None:
    assert losses(polled=hours(1, 40, 5.0), incoming=hours(1, 40, 5.0)) == []


def test_a_mapping_that_came_long_after_its_stream_has_lost_the_beginning() -> None:
    assert losses(polled=hours(9, 40, 5.0), incoming=hours(0, 40, 5.0)) == [(0, 48)]


def test_what_a_predecessor_has_read_is_no_loss() -> None:
    """The iterator age is the function's, whichever mapping invoked it."""
    new = hours(20, 40, 5.0)
    assert losses(polled=new, ages=hours(0, 20, 9.0), incoming=hours(0, 40, 5.0)) == []
    # It was idle before it was replaced.
    assert losses(polled=new, ages=hours(0, 5, 9.0), incoming=hours(0, 5, 5.0)) == []


def test_an_iterator_age_that_reaches_the_retention_is_a_loss() -> None:
    came = hours(0, 40, 5.0)
    ages = hours(0, 40, 60_000.0)
    below, reached = RETENTION * 1000 - 1.0, RETENTION * 1000.0
    at = CREATED + 30 * DAY
    assert losses(polled=came, ages=ages | {at: below}, incoming=came) == []
    assert losses(polled=came, ages=ages | {at: reached}, incoming=came) == [(23 * 24, 553)]
    two = {at: reached, at + HOUR: reached + 1, at + 5 * HOUR: reached}
    assert losses(polled=came, ages=ages | two, incoming=came) == [(552, 554), (557, 558)]
