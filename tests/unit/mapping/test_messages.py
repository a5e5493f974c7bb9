"""Pointers to discarded batches, in SQS and SNS: OnFailure (docs/internals/facts.md)."""

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws

from lockstep.local.mapping.failure import (
    DestinationError,
    QueueDestination,
    TopicDestination,
    failure_document,
)
from lockstep.local.mapping.settings import OnFailure, SnsTopic, SqsQueue, settings_from
from tests.unit.mapping.test_failure import AT, PLACE, TRIED_OUT, written

DOCUMENT = failure_document(TRIED_OUT, PLACE, at=AT, new_id=str)


def destination(arn: str) -> OnFailure | None:
    config = {"OnFailure": {"Destination": arn}}
    return settings_from(
        {"StartingPosition": "TRIM_HORIZON", "DestinationConfig": config}
    ).on_failure


@pytest.fixture
def aws() -> Iterator[boto3.Session]:
    with mock_aws():
        yield boto3.Session("local", "local", region_name="us-east-1")


@pytest.fixture
def queue(aws: boto3.Session) -> tuple[Any, str, str]:
    """An SQS client, a queue's URL and its ARN."""
    sqs: Any = aws.client("sqs")
    url = sqs.create_queue(QueueName="given-up")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return sqs, url, attributes["Attributes"]["QueueArn"]


def received(sqs: Any, url: str) -> list[Any]:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [msgspec.json.decode(message["Body"]) for message in messages]


def test_a_queue_gets_the_document_without_the_payload(queue: tuple[Any, str, str]) -> None:
    """SQS gets the document without the payload.

    Rule: OnFailure, SQS.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    sqs, url, arn = queue
    found = destination(arn)
    assert isinstance(found, SqsQueue)

    place = QueueDestination(sqs.get_queue_url, sqs.send_message, found).write(DOCUMENT, AT)

    assert place == arn
    pointer = written(TRIED_OUT)
    del pointer["payload"]
    assert received(sqs, url) == [pointer]
    assert list(pointer) == [
        "requestContext",
        "responseContext",
        "version",
        "timestamp",
        "KinesisBatchInfo",
    ]


def test_a_topic_gets_the_same(aws: boto3.Session, queue: tuple[Any, str, str]) -> None:
    """SNS gets the document without the payload.

    Rule: OnFailure, SNS.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    sqs, url, queue_arn = queue
    sns: Any = aws.client("sns")
    arn = sns.create_topic(Name="given-up")["TopicArn"]
    sns.subscribe(
        TopicArn=arn,
        Protocol="sqs",
        Endpoint=queue_arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    found = destination(arn)
    assert isinstance(found, SnsTopic)

    place = TopicDestination(sns.publish, found).write(DOCUMENT, AT)

    assert place == arn
    pointer = written(TRIED_OUT)
    del pointer["payload"]
    assert received(sqs, url) == [pointer]


def test_a_queue_or_topic_that_is_not_there_is_an_error(aws: boto3.Session) -> None:
    sqs: Any = aws.client("sqs")
    sns: Any = aws.client("sns")
    where = "us-east-1:123456789012:nowhere"
    no_queue = SqsQueue(f"arn:aws:sqs:{where}", "123456789012", "nowhere")

    with pytest.raises(DestinationError, match=f"^{no_queue.arn}: .*NonExistentQueue"):
        QueueDestination(sqs.get_queue_url, sqs.send_message, no_queue).write(DOCUMENT, AT)
    with pytest.raises(DestinationError, match=f"^arn:aws:sns:{where}: .*NotFound"):
        TopicDestination(sns.publish, SnsTopic(f"arn:aws:sns:{where}")).write(DOCUMENT, AT)
