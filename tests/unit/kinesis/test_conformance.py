"""What real Kinesis answered, as two projects recorded it with tests that also run on AWS.

- KINESALITE: https://github.com/mhart/kinesalite/tree/c76689d/test
- LOCALSTACK: https://github.com/localstack/localstack/tree/8b9a79f/tests/aws/services/kinesis

Only the texts of messages are our own. `docs/internals/facts.md` lists where the endpoint differs.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest

from lockstep.local.kinesis.server import application
from tests.unit.kinesis.client import Kinesis, answer_of

_LIMIT = "Member must have value less than or equal to"


@pytest.mark.parametrize("wrong", ["a;b", "a\tb", "a\nb", "a,b", "a%b"])
@pytest.mark.parametrize("operation", ["AddTagsToStream", "TagResource", "CreateStream"])
def test_a_tag_has_no_semicolon_tab_newline_comma_or_percent_sign(
    kinesis: Kinesis, operation: str, wrong: str
) -> None:
    """Source: KINESALITE addTagsToStream.js. Its recording wins over the documentation, which
    allows `%`: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Tag.html
    """
    name = kinesis.stream()
    named: dict[str, dict[str, Any]] = {
        "AddTagsToStream": {"StreamName": name},
        "TagResource": {"ResourceARN": kinesis.endpoint.arn(name)},
        "CreateStream": {"StreamName": "other", "ShardCount": 1},
    }

    for tags in ({wrong: "v"}, {"k": wrong}):
        refusal = kinesis.refusal(operation, **named[operation], Tags=tags)
        assert refusal.name == "InvalidArgumentException"
        assert "Valid characters: Unicode letters, digits, white space" in refusal.message
    assert kinesis("ListTagsForStream", StreamName=name)["Tags"] == []


@pytest.mark.parametrize("wrong", ["a;b", "a\tb", "a\nb", "a,b", "a%b", "aws:x"])
def test_a_tag_that_cannot_exist_is_not_removed(kinesis: Kinesis, wrong: str) -> None:
    """Source: KINESALITE removeTagsFromStream.js."""
    name = kinesis.stream()
    arn = kinesis.endpoint.arn(name)

    by_name = kinesis.refusal("RemoveTagsFromStream", StreamName=name, TagKeys=[wrong])
    by_arn = kinesis.refusal("UntagResource", ResourceARN=arn, TagKeys=[wrong])

    assert by_name.name == by_arn.name == "InvalidArgumentException"


def test_a_tag_has_letters_digits_spaces_and_these_signs(kinesis: Kinesis) -> None:
    """Source: KINESALITE addTagsToStream.js."""
    name = kinesis.stream()
    tags = {"a": "a", "ü0 _.": "a", "/=+-@": "a", "b": "ü0 _./=+-@", "c": ""}

    kinesis("AddTagsToStream", StreamName=name, Tags=tags)

    told = kinesis("ListTagsForStream", StreamName=name)["Tags"]
    assert {one["Key"]: one["Value"] for one in told} == tags


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "AWS:x"])
def test_a_tag_key_does_not_begin_with_aws(kinesis: Kinesis, key: str) -> None:
    """Source: https://docs.aws.amazon.com/streams/latest/dev/tagging.html"""
    name = kinesis.stream()

    refusal = kinesis.refusal("AddTagsToStream", StreamName=name, Tags={key: "v"})

    assert refusal.name == "InvalidArgumentException"
    assert refusal.message == f"tag key {key!r} begins with aws:, which is reserved"


def test_shards_are_merged_from_the_lower_to_the_higher_only(kinesis: Kinesis) -> None:
    """Source: KINESALITE mergeShards.js."""
    name = kinesis.stream(shards=3)

    refusal = kinesis.refusal(
        "MergeShards",
        StreamName=name,
        ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000000",
    )

    assert refusal.name == "InvalidArgumentException"
    assert refusal.message == (
        "Shards shardId-000000000001 and shardId-000000000000 in stream pictures under account"
        " 000000000000 are not an adjacent pair of shards eligible for merging"
    )


@pytest.mark.parametrize("data", ["23456", "=+/=", "+/+=", "YR==", "YWJjYR=="])
def test_data_is_canonical_base64(kinesis: Kinesis, data: str) -> None:
    """Source: KINESALITE helpers.js, a Blob."""
    name = kinesis.stream()

    refusal = kinesis.refusal("PutRecord", StreamName=name, PartitionKey="k", Data=data)

    assert refusal.name == "SerializationException"


def test_a_serialization_exception_has_a_message_with_a_capital_letter(kinesis: Kinesis) -> None:
    """Source: KINESALITE helpers.js. All other errors spell it `message`."""
    wrong_type = kinesis.post("Kinesis_20131202.ListStreams", b'{"Limit": "1"}')
    wrong_value = kinesis.post("Kinesis_20131202.ListStreams", b'{"Limit": 0}')

    assert msgspec.json.decode(wrong_type.body).keys() == {"__type", "Message"}
    assert msgspec.json.decode(wrong_value.body).keys() == {"__type", "message"}


@pytest.mark.parametrize(("count", "shown"), [(100_001, 100_001), (100_000_000_000, 2**31 - 1)])
def test_an_absurd_number_of_shards_is_invalid(kinesis: Kinesis, count: int, shown: int) -> None:
    """A number that is too large for its type counts as the largest.

    Source: KINESALITE createStream.js.
    """
    refusal = kinesis.refusal("CreateStream", StreamName="s", ShardCount=count)

    assert refusal.name == "ValidationException"
    assert f"Value '{shown}' at 'shardCount' failed" in refusal.message
    assert refusal.message.endswith(f"{_LIMIT} 100000")


def test_a_retention_above_the_highest_is_invalid_and_below_the_lowest_another_error(
    kinesis: Kinesis,
) -> None:
    """Source: KINESALITE increaseStreamRetentionPeriod.js, when the highest was 168 hours."""
    name = kinesis.stream()

    def refused(hours: int) -> str:
        return kinesis.refusal(
            "IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=hours
        ).name

    assert refused(8_761) == "ValidationException"
    assert refused(23) == "InvalidArgumentException"


def test_only_descriptions_name_the_encryption_of_a_stream_without_one(kinesis: Kinesis) -> None:
    """Source: KINESALITE putRecord.js, putRecords.js and describeStream.js; LOCALSTACK
    test_kinesis.snapshot.json, test_record_lifecycle_data_integrity.
    """
    name = kinesis.stream()
    record = {"PartitionKey": "k", "Data": "YQ=="}

    assert kinesis("PutRecord", StreamName=name, **record).keys() == {"ShardId", "SequenceNumber"}
    assert kinesis("PutRecords", StreamName=name, Records=[record]).keys() == {
        "FailedRecordCount",
        "Records",
    }
    for told in kinesis("GetRecords", ShardIterator=kinesis.iterator("TRIM_HORIZON"))["Records"]:
        assert told.keys() == {
            "SequenceNumber",
            "ApproximateArrivalTimestamp",
            "Data",
            "PartitionKey",
        }
    for operation in ("DescribeStream", "DescribeStreamSummary"):
        (description,) = kinesis(operation, StreamName=name).values()
        assert description["EncryptionType"] == "NONE"


def test_an_iterator_may_be_in_quotes(kinesis: Kinesis) -> None:
    """Source: LOCALSTACK test_kinesis.py, test_get_records_shard_iterator_with_surrounding_quotes:
    the AWS CLI prints it so.
    """
    name = kinesis.stream()
    kinesis.put(b"a", stream=name)

    assert kinesis.data(f'"{kinesis.iterator("TRIM_HORIZON")}"') == [b"a"]


def test_a_request_without_a_target_names_an_unknown_operation(kinesis: Kinesis) -> None:
    """Source: KINESALITE connection.js."""
    answer = answer_of(kinesis.endpoint, {"content-type": "application/x-amz-json-1.1"}, b"{}")

    assert answer.status == 400
    assert msgspec.json.decode(answer.body)["__type"] == "UnknownOperationException"


def browser(kinesis: Kinesis, method: str, origin: str, **headers: str) -> tuple[int, Any]:
    """The status and the headers of the answer to a web page of this origin."""
    answers: list[MutableMapping[str, Any]] = []
    named = {"origin": origin, "content-type": "application/x-amz-json-1.1"} | headers

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": "/",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in named.items()
        ],
    }
    asyncio.run(application(kinesis.endpoint)(scope, receive, send))
    found = {name.decode().lower(): value.decode() for name, value in answers[0]["headers"]}
    return answers[0]["status"], found


PREFLIGHT = {
    "host": "localhost",
    "access_control_request_method": "POST",
    "access_control_request_headers": "a, b, c",
}
OWN_PAGE = "http://localhost:3000"


@pytest.mark.parametrize("origin", [OWN_PAGE, "https://127.0.0.1", "http://[::1]:8080"])
def test_a_browser_may_send_requests_of_a_page_of_this_machine(
    kinesis: Kinesis, origin: str
) -> None:
    """Source: KINESALITE connection.js."""
    status, headers = browser(kinesis, "OPTIONS", origin, **PREFLIGHT)

    assert status == 200
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-headers"] == "a, b, c"
    assert "POST" in headers["access-control-allow-methods"]
    assert headers["access-control-max-age"] == "172800"


def test_a_browser_may_read_the_answer_and_these_headers(kinesis: Kinesis) -> None:
    """Source: KINESALITE connection.js."""
    status, headers = browser(
        kinesis, "POST", OWN_PAGE, host="localhost", x_amz_target="Kinesis_20131202.ListStreams"
    )

    assert status == 200
    assert headers["access-control-allow-origin"] == OWN_PAGE
    assert headers["access-control-expose-headers"].replace(" ", "") == (
        "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date"
    )


@pytest.mark.parametrize("origin", ["https://example.com", "http://localhost.example.com", "null"])
def test_a_page_of_another_machine_gets_no_permission(kinesis: Kinesis, origin: str) -> None:
    """Unlike AWS, which allows every page, because it checks the signature of each request."""
    status, headers = browser(kinesis, "OPTIONS", origin, **PREFLIGHT)

    assert status == 400
    assert "access-control-allow-origin" not in headers
