"""CBOR 1.1, which the SDK for Java speaks.

The SDK's own code is the source of its form: `SdkCborGenerator` writes a time as milliseconds with
tag 1, and `AwsCborProtocolFactory` reads times as milliseconds
(https://github.com/aws/aws-sdk-java-v2, core/protocols/aws-cbor-protocol). That the SDK reads the
answers is shown in `tests/contract/kinesis/test_languages.py`.
"""

from typing import Any

import cbor2
import msgspec
import pytest

from lockstep.local.kinesis.cbor import CBOR
from lockstep.local.kinesis.server import Reply
from tests.unit.kinesis.client import START, Kinesis, answer_of

TYPE = "application/x-amz-cbor-1.1"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/pictures"


def post(kinesis: Kinesis, operation: str, body: bytes) -> Reply:
    headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": TYPE}
    return answer_of(kinesis.endpoint, headers, body)


def ask(kinesis: Kinesis, operation: str, **request: Any) -> Any:
    answer = post(kinesis, operation, cbor2.dumps(request))
    assert (answer.status, answer.content_type) == (200, TYPE)
    # Tags stay visible.
    return cbor2.loads(answer.body, semantic_decoders={1: lambda value, _: cbor2.CBORTag(1, value)})


def refusal(kinesis: Kinesis, operation: str, body: bytes) -> dict[str, str]:
    answer = post(kinesis, operation, body)
    assert (answer.status, answer.content_type) == (400, TYPE)
    found: dict[str, str] = cbor2.loads(answer.body)
    return found


def test_records_and_times_go_both_ways(kinesis: Kinesis) -> None:
    kinesis.stream()
    put = ask(kinesis, "PutRecord", StreamName="pictures", PartitionKey="é", Data=b"\x00\xff")
    at = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": cbor2.CBORTag(1, START)}
    found = ask(
        kinesis, "GetShardIterator", StreamName="pictures", ShardId="shardId-000000000000", **at
    )
    read = ask(kinesis, "GetRecords", ShardIterator=found["ShardIterator"])
    assert read["Records"] == [
        {
            "SequenceNumber": put["SequenceNumber"],
            "ApproximateArrivalTimestamp": cbor2.CBORTag(1, START),
            "Data": b"\x00\xff",
            "PartitionKey": "é",
        }
    ]
    summary = ask(kinesis, "DescribeStreamSummary", StreamARN=ARN)["StreamDescriptionSummary"]
    assert summary["StreamCreationTimestamp"] == cbor2.CBORTag(1, START)


def test_a_time_without_its_tag_is_read_as_well(kinesis: Kinesis) -> None:
    kinesis.stream()
    listed = ask(kinesis, "ListShards", StreamName="pictures", StreamCreationTimestamp=START)
    assert len(listed["Shards"]) == 1


def test_an_operation_without_an_answer_has_an_empty_body(kinesis: Kinesis) -> None:
    answer = post(kinesis, "CreateStream", cbor2.dumps({"StreamName": "pictures", "ShardCount": 1}))
    assert (answer.status, answer.body, answer.content_type) == (200, b"", TYPE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{}",
        cbor2.dumps([]),
        cbor2.dumps(None),
        b"\x81" * 100_000,
        b"\x5b\x00\x00\x7f\xff\xff\xff\xff\xff",
        cbor2.dumps({"StreamName": 1, "PartitionKey": "k", "Data": b""}),
        cbor2.dumps({"StreamName": "s", "PartitionKey": "k", "Data": "YQ=="}),
        cbor2.dumps({"StreamName": "s", "PartitionKey": b"k", "Data": b""}),
        cbor2.dumps({"StreamName": cbor2.undefined, "PartitionKey": "k", "Data": b""}),
        cbor2.dumps({"StreamName": 1 << 99, "PartitionKey": "k", "Data": b""}),
        cbor2.dumps({"StreamName": cbor2.CBORTag(7, "s"), "PartitionKey": "k", "Data": b""}),
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that contains itself
        b"\xd8\x23\x61(",  # a regular expression that is none
        cbor2.dumps({("a",): 1}),
    ],
)
def test_what_is_of_the_wrong_form_is_refused_in_cbor(kinesis: Kinesis, body: bytes) -> None:
    refused = refusal(kinesis, "PutRecord", body)
    assert refused["__type"] == "SerializationException"
    assert refused["Message"]


@pytest.mark.parametrize("time", [cbor2.CBORTag(1, 1 << 62), cbor2.CBORTag(1, "now"), True, 2e308])
def test_a_timestamp_must_be_one_that_a_calendar_has(kinesis: Kinesis, time: Any) -> None:
    body = cbor2.dumps({"StreamName": "s", "StreamCreationTimestamp": time})
    assert refusal(kinesis, "ListShards", body)["__type"] == "SerializationException"


def test_other_refusals_come_in_cbor_too(kinesis: Kinesis) -> None:
    unknown = refusal(kinesis, "Drain", cbor2.dumps({}))
    assert unknown["__type"] == "UnknownOperationException"
    invalid = refusal(kinesis, "CreateStream", cbor2.dumps({"StreamName": "s", "ShardCount": 0}))
    assert invalid["__type"] == "ValidationException"
    assert "'0' at 'shardCount'" in invalid["message"]


def test_json_and_cbor_answers_have_the_same_members(kinesis: Kinesis) -> None:
    kinesis.stream(shards=2)
    kinesis.put(b"one")
    request: dict[str, Any] = {"ShardIterator": kinesis.iterator("TRIM_HORIZON", shard=1)}
    in_json = kinesis("GetRecords", **request)
    in_cbor = cbor2.loads(
        post(kinesis, "GetRecords", cbor2.dumps(request)).body,
        semantic_decoders={1: lambda value, _: value / 1000},
    )
    without = {"NextShardIterator": ""}
    assert msgspec.json.decode(msgspec.json.encode(in_cbor | without)) == in_json | without


def test_cbor_of_any_other_class_is_no_answer() -> None:
    with pytest.raises(cbor2.CBOREncodeError):
        CBOR.dump({"a": object()})
