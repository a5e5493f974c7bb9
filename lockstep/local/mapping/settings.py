"""The settings of an event source mapping: its checked properties, with their defaults."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from lockstep.local.mapping.filters import FilterCriteria, PatternError, filters_from
from shared.shortened import BriefError

StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]

_STARTING_POSITIONS: tuple[StartingPosition, ...] = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
_OF_TABLE: tuple[StartingPosition, ...] = ("TRIM_HORIZON", "LATEST")
_ENDLESS = -1
_YOUNGEST_AGE_SECONDS = 60
_DESTINATION = re.compile(
    r"arn:aws[\w-]*:(?:s3:::(?P<bucket>[^:/]+)"
    r"|(?P<service>sqs|sns):(?P<region>[\w-]+):(?P<account>\d{12}):(?P<name>[\w-]+))"
)
# Properties that do not affect how batches are cut and retried.
_OTHER_PROPERTIES = frozenset(
    {"EventSourceArn", "FunctionName", "KmsKeyArn", "MetricsConfig", "Tags"}
)
_PROPERTIES = _OTHER_PROPERTIES | {
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "FilterCriteria",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
    "TumblingWindowInSeconds",
}


class SettingsError(BriefError):
    """A property is invalid for Lambda, or not supported here; the message names it."""


class S3Bucket(msgspec.Struct, frozen=True):
    """An S3 bucket for failure documents: the only destination that gets the payload."""

    name: str


class SqsQueue(msgspec.Struct, frozen=True):
    """An SQS queue for pointers to discarded batches."""

    arn: str
    account: str
    name: str


class SnsTopic(msgspec.Struct, frozen=True):
    """An SNS topic for pointers to discarded batches."""

    arn: str


type OnFailure = S3Bucket | SqsQueue | SnsTopic


class Settings(msgspec.Struct, frozen=True):
    """One event source mapping's settings (docs/internals/facts.md, Event source mapping).

    `retries` and `age_seconds` are None for -1: until the records expire. `starting_timestamp`, in
    seconds since 1970, belongs to AT_TIMESTAMP. `on_failure` is the on-failure destination, None
    if there is none.
    """

    starting_position: StartingPosition = "TRIM_HORIZON"
    starting_timestamp: float | None = None
    batch_size: int = 100
    window_seconds: int = 0
    parallelization_factor: int = 1
    retries: int | None = None
    age_seconds: int | None = None
    bisect: bool = False
    reports_item_failures: bool = False
    filters: FilterCriteria | None = None
    tumbling_seconds: int = 0
    on_failure: OnFailure | None = None
    enabled: bool = True


def settings_from(properties: Mapping[str, Any]) -> Settings:
    """Read the properties of an AWS::Lambda::EventSourceMapping, with intrinsics resolved.

    If its `EventSourceArn` is that of a table's stream, the rules for such a stream hold. Numbers
    and booleans may be text, because CloudFormation's parameters are.

    Raises:
        SettingsError: a property is out of range, unknown or not supported here.
    """
    for name in properties:
        if name not in _PROPERTIES:
            raise SettingsError(f"{name}: not a property of a stream's event source mapping")
    of_table = ":dynamodb:" in str(properties.get("EventSourceArn"))
    retries = _number(properties, "MaximumRetryAttempts", _ENDLESS, _ENDLESS, 10_000)
    position, timestamp = _start(properties, of_table=of_table)
    return Settings(
        starting_position=position,
        starting_timestamp=timestamp,
        batch_size=_number(properties, "BatchSize", 100, 1, 10_000),
        window_seconds=_number(properties, "MaximumBatchingWindowInSeconds", 0, 0, 300),
        parallelization_factor=_number(properties, "ParallelizationFactor", 1, 1, 10),
        retries=None if retries == _ENDLESS else retries,
        age_seconds=_age(properties),
        bisect=_flag(properties, "BisectBatchOnFunctionError", default=False),
        reports_item_failures=_reports(properties),
        filters=_filters(properties, of_table=of_table),
        tumbling_seconds=_tumbling(properties),
        on_failure=_on_failure(properties),
        enabled=_flag(properties, "Enabled", default=True),
    )


def _tumbling(properties: Mapping[str, Any]) -> int:
    seconds = _number(properties, "TumblingWindowInSeconds", 0, 0, 900)
    if seconds and _number(properties, "ParallelizationFactor", 1, 1, 10) > 1:
        message = "needs ParallelizationFactor 1, because a shard has one window at a time"
        raise SettingsError(f"TumblingWindowInSeconds: {message}")
    return seconds


def _start(
    properties: Mapping[str, Any], *, of_table: bool
) -> tuple[StartingPosition, float | None]:
    value = properties.get("StartingPosition")
    positions = _OF_TABLE if of_table else _STARTING_POSITIONS
    for position in positions:
        if value == position:
            break
    else:
        allowed = ", ".join(positions)
        raise SettingsError(f"StartingPosition: is {value!r}, must be one of {allowed}")
    timestamp = properties.get("StartingPositionTimestamp")
    if (position == "AT_TIMESTAMP") != (timestamp is not None):
        raise SettingsError(
            "StartingPositionTimestamp: required with AT_TIMESTAMP, not allowed otherwise"
        )
    return position, None if timestamp is None else _timestamp(timestamp)


def _timestamp(value: object) -> float:
    """Read seconds since 1970, or an ISO 8601 time with a time zone."""
    try:
        return float(str(value))
    except ValueError:
        pass
    wrong = f"StartingPositionTimestamp: is {value!r}, must be seconds or a time with a time zone"
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise SettingsError(wrong) from None
    if moment.tzinfo is None:
        raise SettingsError(wrong)
    return moment.timestamp()


def _age(properties: Mapping[str, Any]) -> int | None:
    name, oldest = "MaximumRecordAgeInSeconds", 604_800
    age = _number(properties, name, _ENDLESS, _ENDLESS, oldest)
    if age == _ENDLESS:
        return None
    if age < _YOUNGEST_AGE_SECONDS:
        allowed = f"-1 or {_YOUNGEST_AGE_SECONDS} to {oldest}"
        raise SettingsError(f"{name}: is {age}, must be {allowed}")
    return age


def _reports(properties: Mapping[str, Any]) -> bool:
    types = properties.get("FunctionResponseTypes") or []
    if types not in ([], ["ReportBatchItemFailures"]):
        message = f"FunctionResponseTypes: is {types!r}, must be [ReportBatchItemFailures] or empty"
        raise SettingsError(message)
    return bool(types)


def _filters(properties: Mapping[str, Any], *, of_table: bool) -> FilterCriteria | None:
    try:
        return filters_from(properties.get("FilterCriteria") or {}, of_table=of_table)
    except PatternError as error:
        raise SettingsError(f"FilterCriteria: {error}") from None


def _on_failure(properties: Mapping[str, Any]) -> OnFailure | None:
    config = properties.get("DestinationConfig") or {}
    try:
        destination = config.get("OnFailure", {}).get("Destination")
    except AttributeError:
        raise SettingsError("DestinationConfig: must be {OnFailure: {Destination: ARN}}") from None
    if destination is None:
        return None
    arn = str(destination)
    match = _DESTINATION.fullmatch(arn)
    if match is None:
        # Lambda accepts no FIFO queue or topic. Kafka topics are not supported here.
        message = "must be the ARN of a bucket, or of a standard SQS queue or SNS topic"
        raise SettingsError(f"DestinationConfig.OnFailure: is {arn!r}, {message}")
    if match["bucket"]:
        return S3Bucket(match["bucket"])
    return (
        SqsQueue(arn, match["account"], match["name"])
        if match["service"] == "sqs"
        else SnsTopic(arn)
    )


def _number(
    properties: Mapping[str, Any], name: str, default: int, lowest: int, highest: int
) -> int:
    value = properties.get(name, default)
    try:
        number = int(str(value))
    except ValueError:
        raise SettingsError(f"{name}: is {value!r}, must be a whole number") from None
    if not lowest <= number <= highest:
        raise SettingsError(f"{name}: is {number}, must be {lowest} to {highest}")
    return number


def _flag(properties: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = str(properties.get(name, default)).lower()
    if value not in {"true", "false"}:
        raise SettingsError(f"{name}: is {value!r}, must be true or false")
    return value == "true"
