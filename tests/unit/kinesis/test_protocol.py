"""Requests are checked against the service's own model, and refused as the service does."""

import pytest

from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations import OPERATIONS
from lockstep.local.kinesis.protocol import kinesis_requests
from lockstep.local.kinesis.wire import JSON
from tests.unit.kinesis.client import Kinesis, answer_of


def refusal(operation: str, body: bytes) -> KinesisError:
    with pytest.raises(KinesisError) as caught:
        kinesis_requests(JSON).decode(operation, body)
    return caught.value


def test_blobs_come_as_bytes_and_nulls_and_unknown_members_are_left_out() -> None:
    body = b'{"StreamName": "s", "Data": "/zE=", "PartitionKey": "k", "StreamARN": null, "New": 1}'
    assert kinesis_requests(JSON).decode("PutRecord", body) == {
        "StreamName": "s",
        "Data": b"\xff1",
        "PartitionKey": "k",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"StreamName": 1, "Data": "", "PartitionKey": "k"}',
        b'{"StreamName": "s", "Data": "no base64!", "PartitionKey": "k"}',
        b'{"StreamName": "s", "Data": "YQ", "PartitionKey": "k"}',
        b'{"StreamName": "s", "Data": "\\u00e9", "PartitionKey": "k"}',
        b'{"StreamName": "s", "Data": "", "PartitionKey": "\\ud800 k"}',
        b'{"StreamName": "s", "Data": "", "PartitionKey": ["k"]}',
        b'{"StreamName": "s", "Data": "", "PartitionKey": "k", "DryRun": "true"}',
    ],
)
def test_what_is_of_the_wrong_form_is_a_serialization_exception(body: bytes) -> None:
    assert refusal("PutRecord", body).name == "SerializationException"


@pytest.mark.parametrize("time", [b"1e308", b"-1e308", b"253402300800", b"true", b'"now"'])
def test_a_timestamp_must_be_one_that_a_calendar_has(time: bytes) -> None:
    body = b'{"StreamName": "s", "StreamCreationTimestamp": ' + time + b"}"
    assert refusal("ListShards", body).name == "SerializationException"


def test_a_refusal_shows_no_half_character() -> None:
    body = f'{{"StreamName": ["{"é" * 100}"]}}'.encode()
    refused = refusal("DeleteStream", body)
    assert str(refused) == f'expected a string, found ["{"é" * 49}'


@pytest.mark.parametrize("count", [b"1.0", b"true", b'"1"', b"1e30", b"[1]"])
def test_a_number_must_be_a_whole_one(count: bytes) -> None:
    body = b'{"StreamName": "s", "ShardCount": ' + count + b"}"
    assert refusal("CreateStream", body).name == "SerializationException"


@pytest.mark.parametrize(
    ("operation", "body", "says"),
    [
        ("PutRecord", b'{"StreamName": "s"}', "Value null at 'data' failed"),
        ("DeleteStream", b'{"StreamName": "a b"}', "pattern: [a-zA-Z0-9_.-]+"),
        ("DeleteStream", b'{"StreamName": ""}', "length greater than or equal to 1"),
        ("DeleteStream", b'{"StreamName": "' + b"x" * 129 + b'"}', "less than or equal to 128"),
        ("DeleteStream", b'{"StreamARN": "arn:aws:s3:::b"}', "at 'streamARN' failed"),
        ("CreateStream", b'{"StreamName": "s", "ShardCount": 0}', "'0' at 'shardCount'"),
        ("CreateStream", b'{"StreamName": "s", "Tags": {"": "v"}}', "at 'tags.."),
        ("GetRecords", b'{"ShardIterator": "i", "Limit": 10001}', "less than or equal to 10000"),
        (
            "UpdateShardCount",
            b'{"TargetShardCount": 1, "ScalingType": "x"}',
            "enum value set: [UNIFORM_SCALING]",
        ),
        ("PutRecords", b'{"Records": []}', "Value of 0 members at 'records'"),
        (
            "PutRecords",
            b'{"Records": [{"Data": "", "PartitionKey": "k"}, {"Data": "", "PartitionKey": ""}]}',
            "at 'records.2.member.partitionKey'",
        ),
        (
            "PutRecord",
            b'{"StreamName": "s", "Data": "", "PartitionKey": "k", "ExplicitHashKey": "01"}',
            "at 'explicitHashKey'",
        ),
        (
            "CreateStream",
            b'{"StreamName": "s", "StreamModeDetails": {}}',
            "Value null at 'streamModeDetails.streamMode'",
        ),
    ],
)
def test_what_breaks_the_model_is_a_validation_exception(
    operation: str, body: bytes, says: str
) -> None:
    refused = refusal(operation, body)
    assert refused.name == "ValidationException"
    assert says in str(refused)


def test_every_violation_is_counted_and_named() -> None:
    refused = refusal("GetShardIterator", b'{"StreamName": "a b", "ShardIteratorType": "NOW"}')
    assert str(refused).startswith("3 validation errors detected: ")
    assert all(at in str(refused) for at in ("'streamName'", "'shardId'", "'shardIteratorType'"))


def test_501_records_are_too_many() -> None:
    records = b",".join([b'{"Data": "", "PartitionKey": "k"}'] * 501)
    refused = refusal("PutRecords", b'{"StreamName": "s", "Records": [' + records + b"]}")
    assert "less than or equal to 500" in str(refused)


def test_every_operation_has_a_request_in_the_model() -> None:
    for operation in OPERATIONS:
        try:
            kinesis_requests(JSON).decode(operation, b"{}")
        except KinesisError as error:
            assert error.name == "ValidationException"  # noqa: PT017 (or it is valid)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "UnknownOperationException"),
        ({"x-amz-target": "DynamoDB_20120810.ListTables"}, "UnknownOperationException"),
        ({"x-amz-target": "Kinesis_20131202.Drain"}, "UnknownOperationException"),
        ({"x-amz-target": "Kinesis_20131202.CreateQueue"}, "UnknownOperationException"),
        (
            {
                "x-amz-target": "Kinesis_20131202.ListStreams",
                "content-type": "application/json",
            },
            "SerializationException",
        ),
    ],
)
def test_what_names_no_operation_of_ours_is_refused(
    kinesis: Kinesis, headers: dict[str, str], name: str
) -> None:
    answer = answer_of(kinesis.endpoint, headers, b"{}")
    assert answer.status == 400
    assert f'"__type":"{name}"'.encode() in answer.body
