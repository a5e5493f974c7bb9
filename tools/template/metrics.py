"""The metrics that alarms and dashboard may use: of AWS as its pages list them, and our own.

`python -m pytest tests/package/test_alarms.py` holds our own against what the functions emit.
"""

from collections.abc import Mapping
from typing import NamedTuple

OWN_NAMESPACE = "Lockstep/${AWS::StackName}"
"""The namespace of a stack's own metrics."""

_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
_DYNAMODB = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html"
)
_KINESIS = "https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html"
_DOMAIN = (
    "https://docs.aws.amazon.com/opensearch-service/latest/developerguide/"
    "managedomains-cloudwatchmetrics.html"
)
_HTTP_API = "https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html"
_SQS = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "sqs-available-cloudwatch-metrics.html"
)
_PLANNED = "docs/runbook/planned-work.md"
_FUNCTIONS = "doors/stream.py"


class KnownMetric(NamedTuple):
    """What emits a metric: its unit, the names of its dimensions, and where that is written."""

    unit: str
    dimensions: tuple[str, ...]
    source: str


_OF_FUNCTION = KnownMetric("Count", ("FunctionName",), _LAMBDA)
_OF_MAPPING = KnownMetric("Count", ("EventSourceMappingUUID",), _LAMBDA)
_OF_TABLE = KnownMetric("Count", ("TableName",), _DYNAMODB)
_OF_STREAM = KnownMetric("Count", ("StreamName",), _KINESIS)
_OF_QUEUE = KnownMetric("Count", ("QueueName",), _SQS)
_OF_DOMAIN = ("ClientId", "DomainName")
_OF_API = ("ApiId", "Stage")
_OF_WATCHER = KnownMetric("Count", ("service",), "functions/write_to_es/watcher.py")
_OF_AUDIT = KnownMetric("Count", ("service",), "lockstep/nightly/piece.py")
_OWN = KnownMetric("Count", ("service",), _FUNCTIONS)

METRICS: Mapping[tuple[str, str], KnownMetric] = {
    ("AWS/Lambda", "IteratorAge"): _OF_FUNCTION._replace(unit="Milliseconds"),
    ("AWS/Lambda", "DestinationDeliveryFailures"): _OF_FUNCTION,
    ("AWS/Lambda", "Errors"): _OF_FUNCTION,
    ("AWS/Lambda", "Throttles"): _OF_FUNCTION,
    ("AWS/Lambda", "PolledEventCount"): _OF_MAPPING,
    ("AWS/Lambda", "DroppedEventCount"): _OF_MAPPING,
    ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount"): _OF_MAPPING,
    ("AWS/DynamoDB", "ReadThrottleEvents"): _OF_TABLE,
    ("AWS/DynamoDB", "WriteThrottleEvents"): _OF_TABLE,
    ("AWS/Kinesis", "IncomingRecords"): _OF_STREAM,
    ("AWS/Kinesis", "ReadProvisionedThroughputExceeded"): _OF_STREAM,
    ("AWS/Kinesis", "WriteProvisionedThroughputExceeded"): _OF_STREAM,
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): _OF_QUEUE._replace(unit="Seconds"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): _OF_QUEUE,
    ("AWS/ES", "ClusterStatus.red"): KnownMetric("Count", _OF_DOMAIN, _DOMAIN),
    ("AWS/ES", "ClusterStatus.yellow"): KnownMetric("Count", _OF_DOMAIN, _DOMAIN),
    ("AWS/ES", "ClusterIndexWritesBlocked"): KnownMetric("Count", _OF_DOMAIN, _DOMAIN),
    ("AWS/ES", "FreeStorageSpace"): KnownMetric("Megabytes", _OF_DOMAIN, _DOMAIN),
    ("AWS/ES", "CPUUtilization"): KnownMetric("Percent", _OF_DOMAIN, _DOMAIN),
    ("AWS/ES", "JVMMemoryPressure"): KnownMetric("Percent", _OF_DOMAIN, _DOMAIN),
    ("AWS/ApiGateway", "5xx"): KnownMetric("Count", _OF_API, _HTTP_API),
    ("AWS/ApiGateway", "Count"): KnownMetric("Count", _OF_API, _HTTP_API),
    ("AWS/ApiGateway", "Latency"): KnownMetric("Milliseconds", _OF_API, _HTTP_API),
    (OWN_NAMESPACE, "Applied"): _OWN,
    (OWN_NAMESPACE, "Duplicate"): _OWN,
    (OWN_NAMESPACE, "Stale"): _OWN,
    (OWN_NAMESPACE, "Failed"): _OWN,
    (OWN_NAMESPACE, "Quarantined"): _OWN,
    (OWN_NAMESPACE, "Outrun"): _OWN,
    (OWN_NAMESPACE, "Late"): _OWN,
    (OWN_NAMESPACE, "OutOfOrder"): _OWN,
    (OWN_NAMESPACE, "Lag"): _OWN._replace(unit="Milliseconds"),
    (OWN_NAMESPACE, "AliasProblems"): _OF_WATCHER,
    (OWN_NAMESPACE, "IndexEmpty"): _OF_WATCHER,
    (OWN_NAMESPACE, "QuarantinedObjects"): _OF_WATCHER,
    (OWN_NAMESPACE, "FailureDocuments"): _OF_WATCHER,
    (OWN_NAMESPACE, "OldestQuarantined"): _OF_WATCHER._replace(unit="Seconds"),
    (OWN_NAMESPACE, "Watched"): _OF_WATCHER,
    (OWN_NAMESPACE, "Different"): _OF_AUDIT,
    (OWN_NAMESPACE, "Unknown"): _OF_AUDIT,
    (OWN_NAMESPACE, "AuditedImages"): _OF_AUDIT,
    (OWN_NAMESPACE, "PlannedWork"): KnownMetric("None", (), _PLANNED),
}
"""By namespace and name."""
