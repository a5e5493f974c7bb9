"""The failure document: its shape in docs/internals/facts.md, Event source mapping."""

import datetime as dt
from typing import Any, NoReturn

import msgspec
import pytest

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.failure import (
    BucketDestination,
    Destination,
    DestinationError,
    QueueDestination,
    TopicDestination,
    failure_document,
)
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.settings import SnsTopic, SqsQueue
from lockstep.local.mapping.steps import Discard
from tests.builders import STREAM_ARN, TABLE_STREAM_ARN

AT = dt.datetime(2026, 11, 21, 8, 0, 1, 250_000, tzinfo=dt.UTC)
ARRIVED = AT.timestamp() - 1.25
PLACE = EventSource(STREAM_ARN, "shardId-000000000003", "us-east-1", "arn:function", "arn:role")
ENTRIES = (
    BatchRecord("10", "a", ARRIVED, b'{"kinesis":{"data":"eA=="}}'),
    BatchRecord("12", "b", ARRIVED + 0.5, b'{"kinesis":{"data":"eQ=="}}'),
)
TRIED_OUT = Discard(ENTRIES, "RetryAttemptsExhausted", 4, "request-4", None)


def written(discard: Discard, place: EventSource = PLACE) -> Any:
    document = failure_document(discard, place, at=AT, new_id=lambda: "new-id")
    return msgspec.json.decode(msgspec.json.encode(document))


def test_it_says_what_was_tried_and_keeps_the_payload() -> None:
    """S3 gets the whole document, with the payload.

    Rule: OnFailure, S3.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    assert written(TRIED_OUT) == {
        "requestContext": {
            "requestId": "request-4",
            "functionArn": "arn:function",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 4,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": None,
        },
        "version": "1.0",
        "timestamp": "2026-11-21T08:00:01.250Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000003",
            "startSequenceNumber": "10",
            "endSequenceNumber": "12",
            "approximateArrivalOfFirstRecord": "2026-11-21T08:00:00.000Z",
            "approximateArrivalOfLastRecord": "2026-11-21T08:00:00.500Z",
            "batchSize": 2,
            "streamArn": STREAM_ARN,
        },
        "payload": {"Records": [{"kinesis": {"data": "eA=="}}, {"kinesis": {"data": "eQ=="}}]},
    }


def test_a_batch_of_a_tables_stream_has_another_name_and_times_in_seconds() -> None:
    """Recorded by LocalStack: ..._mapping_with_on_failure_destination_config.

    Rule: OnFailure, table.
    Source: recorded from real AWS
    """
    document = written(TRIED_OUT, msgspec.structs.replace(PLACE, stream_arn=TABLE_STREAM_ARN))
    assert document["DDBStreamBatchInfo"] == {
        **written(TRIED_OUT)["KinesisBatchInfo"],
        "streamArn": TABLE_STREAM_ARN,
        "approximateArrivalOfFirstRecord": "2026-11-21T08:00:00Z",
        "approximateArrivalOfLastRecord": "2026-11-21T08:00:00Z",
    }
    assert document["timestamp"] == "2026-11-21T08:00:01.250Z"
    assert document.keys() - written(TRIED_OUT).keys() == {"DDBStreamBatchInfo"}
    assert "KinesisBatchInfo" not in document


def test_records_that_grew_too_old_have_no_response() -> None:
    """(4) It has no responseContext.

    Rule: RecordAgeExceeded.
    Source: recorded from real AWS
    """
    document = written(Discard(ENTRIES, "RecordAgeExceeded", 0, None, None))

    assert "responseContext" not in document
    assert document["requestContext"] == {
        "requestId": "new-id",
        "functionArn": "arn:function",
        "condition": "RecordAgeExceeded",
        "approximateInvokeCount": 1,
    }


@pytest.mark.parametrize(("invocations", "count"), [(0, 1), (7, 8)])
def test_the_attempt_that_finds_expired_records_counts(invocations: int, count: int) -> None:
    """Recorded by LocalStack, test_kinesis_maximum_record_age_exceeded: 1 for a record that expires
    before it was tried, 8 for one that is retried. The 7 invocations are derived from both.

    Rule: approximateInvokeCount.
    Source: recorded from real AWS
    """
    expired = Discard(ENTRIES, "RecordAgeExceeded", invocations, None, None)

    assert written(expired)["requestContext"]["approximateInvokeCount"] == count


def test_an_exception_is_told_as_unhandled() -> None:
    raised = msgspec.structs.replace(TRIED_OUT, function_error="Unhandled")

    assert written(raised)["responseContext"]["functionError"] == "Unhandled"


def test_the_bucket_gets_it_under_lambdas_key() -> None:
    """aws/lambda/MAPPING-UUID/SHARD/YYYY/MM/DD/....

    Rule: OnFailure, S3 key.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    put: list[dict[str, Any]] = []

    def put_object(**request: Any) -> dict[str, Any]:
        put.append(request)
        return {"ETag": '"e"'}

    destination = BucketDestination(put_object, "set-aside", mapping_uuid="m", new_id=lambda: "n")
    document = failure_document(TRIED_OUT, PLACE, at=AT, new_id=str)

    place = destination.write(document, AT)

    key = "aws/lambda/m/shardId-000000000003/2026/11/21/2026-11-21T08.00.01-n"
    assert place == f"s3://set-aside/{key}"
    (request,) = put
    assert (request["Bucket"], request["Key"]) == ("set-aside", key)
    assert msgspec.json.decode(request["Body"]) == written(TRIED_OUT)


def test_a_bucket_that_does_not_take_it_is_an_error() -> None:
    def refuse(**_: object) -> NoReturn:
        raise OSError("no such bucket")

    destination = BucketDestination(refuse, "set-aside", mapping_uuid="m", new_id=lambda: "n")
    document = failure_document(TRIED_OUT, PLACE, at=AT, new_id=str)

    with pytest.raises(DestinationError, match=r"s3://set-aside/.*: no such bucket"):
        destination.write(document, AT)


def test_a_truncated_response_is_an_error() -> None:
    """As botocore gives it out: empty (tests/contract/clients). The document may not be there."""

    def cut_off(**_: object) -> dict[str, Any]:
        return {}

    def found(**_: object) -> dict[str, Any]:
        return {"QueueUrl": "url"}

    document = failure_document(TRIED_OUT, PLACE, at=AT, new_id=str)
    destinations: list[tuple[Destination, str]] = [
        (BucketDestination(cut_off, "b", mapping_uuid="m", new_id=lambda: "n"), "ETag"),
        (QueueDestination(found, cut_off, SqsQueue("arn", "123", "q")), "MessageId"),
        (TopicDestination(cut_off, SnsTopic("arn")), "MessageId"),
    ]
    for destination, lacking in destinations:
        with pytest.raises(DestinationError, match=f": the response has no {lacking}$"):
            destination.write(document, AT)
