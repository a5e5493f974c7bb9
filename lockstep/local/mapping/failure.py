"""The failure document of a discarded batch, and the on-failure destinations.

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from lockstep.local.mapping.batch import payload
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.settings import SnsTopic, SqsQueue
from lockstep.local.mapping.steps import Condition, Discard
from shared.rfc3339 import Precision, rfc3339
from shared.shortened import BriefError


class RequestContext(msgspec.Struct, frozen=True, rename="camel"):
    """The last invocation, and why the batch was discarded."""

    request_id: str
    function_arn: str
    condition: Condition
    approximate_invoke_count: int


class ResponseContext(msgspec.Struct, frozen=True, rename="camel"):
    """The result of the last invocation; a batch that expired has none."""

    status_code: int
    executed_version: str
    function_error: str | None


class BatchInfo(msgspec.Struct, frozen=True, rename="camel"):
    """The records of the batch; both sequence numbers are inclusive."""

    shard_id: str
    start_sequence_number: str
    end_sequence_number: str
    approximate_arrival_of_first_record: str
    approximate_arrival_of_last_record: str
    batch_size: int
    stream_arn: str


class FailureDocument(
    msgspec.Struct,
    frozen=True,
    rename={"batch": "KinesisBatchInfo"}
    | {"request_context": "requestContext", "response_context": "responseContext"},
):
    """What Lambda sends to an on-failure destination.

    `payload` is the event that the function got. Only S3 gets it. For SQS and SNS the document is a
    pointer into the stream, which is useless when the records have expired.
    """

    request_context: RequestContext
    response_context: ResponseContext | UnsetType
    version: Literal["1.0"]
    timestamp: str
    batch: BatchInfo
    payload: msgspec.Raw | UnsetType

    @property
    def pointer(self) -> bytes:
        """The document for SQS and SNS."""
        return msgspec.json.encode(msgspec.structs.replace(self, payload=UNSET))


class TableFailureDocument(FailureDocument, frozen=True, rename={"batch": "DDBStreamBatchInfo"}):
    """The failure document of a batch of a table's stream: `batch` has another name."""

    batch: BatchInfo


class DestinationError(BriefError):
    """The failure document is not known to be durable: the checkpoint must not move."""


class Destination(Protocol):
    """An on-failure destination."""

    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        """Write the document durably; return its address.

        Raises:
            DestinationError: it may not be durable.
        """
        ...


class BucketDestination:
    """Writes failure documents to an S3 bucket, under the keys that Lambda uses.

    `put_object` is an S3 client's method; `new_id` returns a new UUID, so that no document replaces
    another.
    """

    def __init__(
        self,
        put_object: Callable[..., Mapping[str, Any]],
        bucket: str,
        *,
        mapping_uuid: str,
        new_id: Callable[[], str],
    ) -> None:
        self._put_object = put_object
        self._bucket = bucket
        self._mapping_uuid = mapping_uuid
        self._new_id = new_id

    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        """Put the document as an object.

        Raises:
            DestinationError: the client raised, or the response was truncated.
        """
        folder = f"aws/lambda/{self._mapping_uuid}/{document.batch.shard_id}/{at:%Y/%m/%d}"
        key = f"{folder}/{at:%Y-%m-%dT%H.%M.%S}-{self._new_id()}"
        place = f"s3://{self._bucket}/{key}"
        try:
            answer = self._put_object(
                Bucket=self._bucket,
                Key=key,
                Body=msgspec.json.encode(document),
                ContentType="application/json",
            )
        except Exception as error:
            raise DestinationError(f"{place}: {error}") from error
        _require("ETag", answer, place)
        return place


class QueueDestination:
    """Sends pointers to discarded batches to an SQS queue.

    `get_queue_url` and `send_message` are an SQS client's methods.
    """

    def __init__(
        self,
        get_queue_url: Callable[..., Mapping[str, Any]],
        send_message: Callable[..., Mapping[str, Any]],
        queue: SqsQueue,
    ) -> None:
        self._get_queue_url = get_queue_url
        self._send_message = send_message
        self._queue = queue

    def write(self, document: FailureDocument, at: dt.datetime) -> str:  # noqa: ARG002  # Protocol
        """Send the pointer as one message.

        Raises:
            DestinationError: the client raised, or the response was truncated.
        """
        queue = self._queue
        try:
            found = self._get_queue_url(QueueName=queue.name, QueueOwnerAWSAccountId=queue.account)
            answer = self._send_message(
                QueueUrl=found["QueueUrl"], MessageBody=document.pointer.decode()
            )
        except Exception as error:
            raise DestinationError(f"{queue.arn}: {error}") from error
        _require("MessageId", answer, queue.arn)
        return queue.arn


class TopicDestination:
    """Publishes pointers to discarded batches on an SNS topic; `publish` is an SNS client's."""

    def __init__(self, publish: Callable[..., Mapping[str, Any]], topic: SnsTopic) -> None:
        self._publish = publish
        self._topic = topic

    def write(self, document: FailureDocument, at: dt.datetime) -> str:  # noqa: ARG002  # Protocol
        """Publish the pointer as one message.

        Raises:
            DestinationError: the client raised, or the response was truncated.
        """
        arn = self._topic.arn
        try:
            answer = self._publish(TopicArn=arn, Message=document.pointer.decode())
        except Exception as error:
            raise DestinationError(f"{arn}: {error}") from error
        _require("MessageId", answer, arn)
        return arn


def _require(member: str, answer: Mapping[str, Any], place: str) -> None:
    """Botocore treats a truncated response as an empty success: check that it is complete."""
    if member not in answer:
        raise DestinationError(f"{place}: the response has no {member}")


def failure_document(
    discard: Discard, source: EventSource, *, at: dt.datetime, new_id: Callable[[], str]
) -> FailureDocument:
    """The document about discarded records; `new_id` names an invocation that never ran."""
    first, last = discard.entries[0], discard.entries[-1]
    of_table = ":dynamodb:" in source.stream_arn
    kind = TableFailureDocument if of_table else FailureDocument
    precision: Precision = "seconds" if of_table else "milliseconds"
    retries_exhausted = discard.condition == "RetryAttemptsExhausted"
    return kind(
        request_context=RequestContext(
            request_id=discard.request_id or new_id(),
            function_arn=source.function_arn,
            condition=discard.condition,
            # Lambda counts the attempt that finds expired records, although it invokes nothing.
            approximate_invoke_count=discard.invocations + (0 if retries_exhausted else 1),
        ),
        response_context=ResponseContext(200, "$LATEST", discard.function_error)
        if retries_exhausted
        else UNSET,
        version="1.0",
        timestamp=_timestamp(at.timestamp(), "milliseconds"),
        batch=BatchInfo(
            shard_id=source.shard_id,
            start_sequence_number=first.sequence_number,
            end_sequence_number=last.sequence_number,
            approximate_arrival_of_first_record=_timestamp(first.arrived_at, precision),
            approximate_arrival_of_last_record=_timestamp(last.arrived_at, precision),
            batch_size=len(discard.entries),
            stream_arn=source.stream_arn,
        ),
        payload=msgspec.Raw(payload(discard.entries)),
    )


def _timestamp(seconds: float, precision: Precision) -> str:
    return rfc3339(dt.datetime.fromtimestamp(seconds, dt.UTC), precision)
