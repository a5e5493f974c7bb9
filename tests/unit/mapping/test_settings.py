"""docs/internals/facts.md, Event source mapping: every row of the table."""

from typing import Any

import pytest

from lockstep.local.mapping.filters import FilterCriteria
from lockstep.local.mapping.settings import (
    OnFailure,
    S3Bucket,
    Settings,
    SettingsError,
    SnsTopic,
    SqsQueue,
    settings_from,
)
from tests.builders import TABLE_STREAM_ARN

REQUIRED: dict[str, Any] = {"StartingPosition": "TRIM_HORIZON"}
BUCKET = {"OnFailure": {"Destination": "arn:aws:s3:::set-aside"}}

QUEUE = "arn:aws:sqs:us-east-1:000000000000:given-up"
TOPIC = "arn:aws:sns:us-east-1:000000000000:given-up"


def test_a_missing_property_has_lambdas_default() -> None:
    """What is not said has Lambda's default.

    Rule: defaults.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    assert settings_from(REQUIRED) == Settings(
        starting_position="TRIM_HORIZON",
        starting_timestamp=None,
        batch_size=100,
        window_seconds=0,
        parallelization_factor=1,
        retries=None,
        age_seconds=None,
        bisect=False,
        reports_item_failures=False,
        filters=None,
        tumbling_seconds=0,
        on_failure=None,
        enabled=True,
    )


def test_a_property_may_be_a_number_or_text() -> None:
    said = {
        "BatchSize": "500",
        "BisectBatchOnFunctionError": "true",
        "DestinationConfig": BUCKET,
        "Enabled": False,
        "FilterCriteria": {"Filters": [{"Pattern": '{"data":{"a":[1]}}'}]},
        "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
        "FunctionName": "f",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumBatchingWindowInSeconds": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "MaximumRetryAttempts": "0",
        "ParallelizationFactor": 10,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": "2026-11-21T08:00:00Z",
        "TumblingWindowInSeconds": 0,
    }

    assert settings_from(said) == Settings(
        starting_position="AT_TIMESTAMP",
        starting_timestamp=1_795_248_000.0,
        batch_size=500,
        window_seconds=5,
        parallelization_factor=10,
        retries=0,
        age_seconds=3600,
        bisect=True,
        reports_item_failures=True,
        filters=FilterCriteria(({"a": [1]},)),
        on_failure=S3Bucket("set-aside"),
        enabled=False,
    )


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("BatchSize", 1, 10_000),
        ("MaximumBatchingWindowInSeconds", 0, 300),
        ("ParallelizationFactor", 1, 10),
        ("TumblingWindowInSeconds", 0, 900),
        ("MaximumRetryAttempts", -1, 10_000),
        ("MaximumRecordAgeInSeconds", 60, 604_800),
    ],
)
def test_a_range_holds_its_ends_and_nothing_beyond(name: str, lowest: int, highest: int) -> None:
    """Each number has its range, ends included.

    Rule: ranges.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    settings_from(REQUIRED | {name: lowest})
    settings_from(REQUIRED | {name: highest})
    for beyond in (lowest - 1, highest + 1):
        with pytest.raises(SettingsError, match=f"^{name}: is {beyond}, must be"):
            settings_from(REQUIRED | {name: beyond})


@pytest.mark.parametrize(
    ("arn", "destination"),
    [
        ("arn:aws:s3:::set-aside", S3Bucket("set-aside")),
        (QUEUE, SqsQueue(QUEUE, "000000000000", "given-up")),
        (TOPIC, SnsTopic(TOPIC)),
    ],
)
def test_a_destination_is_known_by_its_arn(arn: str, destination: OnFailure) -> None:
    said = {"DestinationConfig": {"OnFailure": {"Destination": arn}}}

    assert settings_from(REQUIRED | said).on_failure == destination


def test_a_kafka_topic_is_no_destination_here() -> None:
    """Lambda would take it; here is none, so it is refused with what would do.

    Rule: OnFailure, Kafka topic.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    said = {"DestinationConfig": {"OnFailure": {"Destination": "kafka://topic"}}}

    message = r"OnFailure: is 'kafka://topic', must be the ARN of a bucket, or of a standard SQS"
    with pytest.raises(SettingsError, match=message):
        settings_from(REQUIRED | said)


def test_tumbling_windows_require_one_lane() -> None:
    said = {"TumblingWindowInSeconds": 900}

    assert settings_from(REQUIRED | said).tumbling_seconds == 900
    with pytest.raises(SettingsError, match="TumblingWindowInSeconds: needs"):
        settings_from(REQUIRED | said | {"ParallelizationFactor": 2})


def test_minus_one_means_until_the_records_expire() -> None:
    said = {"MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1}

    assert settings_from(REQUIRED | said) == settings_from(REQUIRED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BatchSize", "many"),
        ("BatchSize", 1.5),
        ("BatchSize", True),
        ("BatchSise", 1),
        ("BisectBatchOnFunctionError", "perhaps"),
        ("DestinationConfig", {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:0:q"}}),
        ("DestinationConfig", {"OnFailure": {"Destination": f"{QUEUE}.fifo"}}),
        ("DestinationConfig", {"OnFailure": "arn:aws:s3:::set-aside"}),
        ("DestinationConfig", "arn:aws:s3:::set-aside"),
        ("FilterCriteria", {"Filters": [{"Pattern": "{}"}]}),
        ("FilterCriteria", "all"),
        ("FunctionResponseTypes", ["ReportEverything"]),
        ("MaximumRecordAgeInSeconds", 0),
        ("ParallelizationFactor", 0),
        ("ParallelizationFactor", 11),
        ("StartingPosition", None),
        ("StartingPosition", "EARLIEST"),
        ("StartingPosition", "AT_TIMESTAMP"),
        ("StartingPositionTimestamp", 1_795_248_000),
        ("TumblingWindowInSeconds", 901),
    ],
)
def test_an_error_names_the_property(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name.removesuffix("Timestamp")):
        settings_from(REQUIRED | {name: value})


def test_a_starting_time_needs_a_zone() -> None:
    said = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": "2026-11-21T08:00:00"}

    with pytest.raises(SettingsError, match="a time with a time zone"):
        settings_from(said)


TABLE_STREAM = REQUIRED | {"EventSourceArn": TABLE_STREAM_ARN}


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_a_tables_stream_has_two_starting_positions(position: str) -> None:
    """Unlike a Kinesis stream, it does not have AT_TIMESTAMP.

    Rule: StartingPosition, table.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
    """
    said = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_795_248_000}
    allowed = "StartingPosition: is 'AT_TIMESTAMP', must be one of TRIM_HORIZON, LATEST"

    with pytest.raises(SettingsError, match=allowed):
        settings_from(TABLE_STREAM | said)
    found = settings_from(TABLE_STREAM | {"StartingPosition": position})
    assert found.starting_position == position


def test_only_patterns_of_a_tables_stream_may_name_other_fields_than_data() -> None:
    patterns = {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName":["INSERT"]}'}]}}

    found = settings_from(TABLE_STREAM | patterns)

    assert found.filters
    assert found.filters.whole_record
    with pytest.raises(SettingsError, match="exactly one key, `data`"):
        settings_from(REQUIRED | patterns)
